"""The fuzzer of the kernels: its first cases, and that it sees what it is there for."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import campaign
import kernel_cases as cases
import kernels
import numpy as np
import pytest
from hostile import arrays_of, pick
from kernels import KERNELS

from hrnetae import _kernels

CASES = 400


def kind_of(number: int) -> str:
    return str(pick(np.random.default_rng((0, number)), kernels._WHEEL).__name__)


def numbers_of(kind: str, count: int = 60) -> list[int]:
    return [number for number in range(2000) if kind_of(number) == kind][:count]


@pytest.mark.parametrize("first", range(0, CASES, 100))
def test_nothing_is_wrong_with_the_first_cases(first: int) -> None:
    assert {number: what for number in range(first, first + 100) if (what := KERNELS.run(0, number))} == {}


def test_every_kind_is_among_them() -> None:
    assert {kind_of(number) for number in range(CASES)} == {kind.__name__ for kind, _ in kernels.KINDS}


def test_a_case_follows_from_its_number() -> None:
    def drawn() -> list[bytes]:
        rng = np.random.default_rng((3, 14))
        image = cases.any_image(rng, cases.any_scene(rng))
        return [maps.tobytes() for side in ("output", "flipped") for maps in arrays_of(image[side])]

    assert drawn() == drawn() != []


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_every_kind_of_number_is_drawn(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    some = np.concatenate([cases.any_floats(rng, (20, 20), dtype).ravel() for _ in range(50)])
    tiny = np.finfo(dtype).smallest_normal
    payloads = {one.tobytes() for one in some[np.isnan(some)]}
    assert len(payloads) > 50
    assert np.isposinf(some).any()
    assert np.isneginf(some).any()
    assert ((some != 0) & (np.abs(some) < tiny)).any()
    assert (np.signbit(some) & (some == 0)).any()


def spoil(monkeypatch: pytest.MonkeyPatch, name: str, change: Callable[..., Any]) -> None:
    """Lets a kernel's answer, and what it was given, pass through ``change``."""
    real = getattr(_kernels, name)
    monkeypatch.setattr(_kernels, name, lambda *arguments: change(real(*arguments), *arguments))


def said_of(kind: str) -> set[str]:
    return {what for number in numbers_of(kind) if (what := KERNELS.run(0, number))}


def test_a_level_that_differs_in_a_bit_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(answer: campaign.Answer, *arguments: Any) -> campaign.Answer:
        scores = np.nextafter(answer[1], np.float32(9)) if arguments[-1] == 0 else answer[1]
        return answer[0], scores, answer[2]

    spoil(monkeypatch, "decode", change)
    assert any(re.match(r"decode: baseline: scores\[", what) for what in said_of("_decode"))


def test_a_number_that_is_not_finite_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, "decode", lambda answer, *_: (answer[0], answer[1] * np.float32(np.nan), answer[2]))
    assert any("scores not finite" in what for what in said_of("_decode"))
    monkeypatch.undo()
    spoil(monkeypatch, "group_by_tag", lambda persons, *_: persons * np.float32(np.inf))
    with np.errstate(invalid="ignore"):
        assert "group: group_by_tag not finite" in said_of("_group")


def test_an_input_that_is_written_to_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(answer: campaign.Answer, maps: Any, *_: Any) -> campaign.Answer:
        array = maps.plain[0]
        array.view(np.uint8)[0, 0, 0] ^= 1
        return answer

    monkeypatch.setattr("guarded.Guarded.put", lambda _, array, at_end, shift=0: array.copy())
    spoil(monkeypatch, "decode", change)
    assert any("an input was written to" in what for what in said_of("_decode"))


def test_a_wrong_error_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(*_: Any) -> Any:
        raise ValueError("two\nlines")

    spoil(monkeypatch, "decode", change)
    assert any("no line of text" in what for what in said_of("_refused"))
    with pytest.raises(ValueError, match="two"):
        said_of("_decode")
