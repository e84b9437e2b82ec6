"""The types: the kernels' stub is what the module is, and the public use in tests/typing passes `mypy --strict`."""

from __future__ import annotations

import importlib.util
import inspect
import re
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import numpy as np
import pytest
from numpy.typing import NDArray

import hrnetae
from hrnetae import Decoder, _kernels
from hrnetae.evaluation.oks import Persons, Rules

STUB = Path(hrnetae.__file__).with_name("_kernels.pyi")
TESTS = Path(__file__).parent
NUMBERS = get_origin(NDArray[Any])  # ndarray; on Python 3.12 with NumPy 2.5 the alias NDArray itself
# How _kernels.pyx declares what the stub says; a Python object is declared as nothing.
DECLARED = {"int": int, "float": NDArray[np.float32], "int32_t": NDArray[np.int32], "double": NDArray[np.float64]}


def read_stub(text: str) -> dict[str, Callable[..., Any]]:
    """The functions of a stub, which is Python that does nothing."""
    names: dict[str, Any] = {}
    exec(compile(text, str(STUB), "exec", dont_inherit=True), names)
    return {name: thing for name, thing in names.items() if inspect.isfunction(thing)}


def kernels() -> dict[str, Callable[..., Any]]:
    """The module's own functions."""
    functions = {name: thing for name, thing in vars(_kernels).items() if not name.startswith("_")}
    return {name: thing for name, thing in functions.items() if getattr(thing, "__module__", "") == "hrnetae._kernels"}


def declarations(function: Callable[..., Any]) -> list[tuple[str, Any]]:
    """(name, the type by its declaration in the .pyx or None) of each argument, from the docstring's first line."""
    inside = re.match(r"\w+\((.*)\)$", str(function.__doc__).splitlines()[0])
    assert inside, function.__doc__
    found = []
    for argument in re.split(r",\s*(?![^\[]*\])", inside[1]) if inside[1] else ():
        *words, name = re.sub(r"\[.*?\]", "", argument).split()
        found.append((name, DECLARED[words[-1]] if words else None))
    return found


def differences(stub: dict[str, Callable[..., Any]]) -> list[str]:
    """Where a stub and the module do not agree: functions; names, order, defaults and declared types of arguments."""
    module = kernels()
    wrong = [f"{name}: only in one of the two" for name in sorted(set(stub) ^ set(module))]
    for name in sorted(set(stub) & set(module)):
        ours, theirs = inspect.signature(stub[name]), inspect.signature(module[name])
        shape = [(one.name, one.kind, one.default) for one in ours.parameters.values()]
        if shape != [(one.name, one.kind, one.default) for one in theirs.parameters.values()]:
            wrong.append(f"{name}: {ours}, the module has {theirs}")
            continue
        for argument, declared in declarations(module[name]):
            said = ours.parameters[argument].annotation
            if said is int if declared is None else said != declared:
                wrong.append(f"{name}: {argument} is {said}, declared as {declared or 'an object'}")
        if ours.return_annotation is inspect.Signature.empty:
            wrong.append(f"{name}: returns nothing that is named")
    return wrong


def fits(value: Any, annotation: Any) -> bool:
    """Whether a value is of an annotated type, for the types that the stub uses."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return any(fits(value, one) for one in inner)
    if origin is tuple:
        return type(value) is tuple and len(value) == len(inner) and all(map(fits, value, inner))
    if origin is NUMBERS:
        scalar = inner[0] if len(inner) == 1 else get_args(inner[1])[0]
        return isinstance(value, np.ndarray) and value.dtype == np.dtype(scalar)
    if origin is not None:  # a sequence or a list
        return isinstance(value, origin) and all(fits(one, inner[0]) for one in value)
    return value is None if annotation in (None, type(None)) else isinstance(value, annotation)


# ------------------------------------------------------------------------------------------------------------- the stub


def test_stub_and_module_match() -> None:
    assert len(kernels()) > 15
    assert differences(read_stub(STUB.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("def has_level", "def have_level", "have_level: only in one"),
        ("def has_level(level: int)", "def has_level(which: int)", "has_level: (which: int)"),
        ("def has_level(level: int)", "def has_level(level: int = 0)", "has_level: (level: int = 0)"),
        ("def has_level(level: int)", "def has_level(level: str)", "has_level: level is <class 'str'>"),
        ("heat: _Floats, kernel: int,", "kernel: int, heat: _Floats,", "heatmap_nms: (kernel"),
        ("x: _Whole,", "x: _Floats,", "group_by_tag: x is"),
        ("params: DecodeParams) -> None", "params: int) -> None", "adjust: params is <class 'int'>"),
        ("def stop_batch(capsule: object) -> None", "def stop_batch(capsule: object)", "stop_batch: returns nothing"),
    ],
)
def test_the_comparison_finds_what_is_planted(old: str, new: str, complaint: str) -> None:
    text = STUB.read_text(encoding="utf-8")
    assert old in text
    found = differences(read_stub(text.replace(old, new)))
    assert found and any(one.startswith(complaint) for one in found), found


def use_every_kernel() -> None:
    """All that the package does with the kernels, on a small output with two people."""
    output = np.zeros((34, 12, 16), np.float32)
    output[:17, 3, 4] = output[:17, 8, 12] = 0.9
    output[17:, :, 8:] = 5
    decoder = Decoder()
    assert len(decoder.decode(output, output, image_size=(64, 48))) > 0
    decoder.decode_features(output.astype(np.float16), image_size=(64, 48))
    decoder.decode_batch([output] * 4, image_sizes=[(64, 48)] * 4, threads=2)
    heat, tags = hrnetae.project(output, image_size=(64, 48))
    persons = hrnetae.group_by_tag(*hrnetae.top_k(hrnetae.heatmap_nms(heat), tags))
    hrnetae.refine(hrnetae.adjust(persons, heat), heat, tags)
    _kernels.assign(np.zeros((2, 3)), np.zeros(2, np.int32))
    _kernels.has_level(0)
    _kernels.version()
    whole, double, flag = np.array([0, 1]), np.ones(1), np.ones((1, 1), np.uint8)
    people = Persons(np.ones(1), whole, np.ones((1, 1, 3)), np.ones((1, 4)), double, whole, np.ones((1, 1, 3)))
    _kernels.oks_match(people, Rules(double, flag, flag[0], flag[0], flag), np.exp(_kernels.oks_exponents(people)))


def test_what_comes_and_goes_is_what_the_stub_says(monkeypatch: pytest.MonkeyPatch) -> None:
    used = set()

    def watched(name: str, function: Callable[..., Any], stub: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(stub)

        def call(*arguments: Any) -> Any:
            used.add(name)
            for argument, value in signature.bind(*arguments).arguments.items():
                assert fits(value, signature.parameters[argument].annotation), (name, argument, value)
            answer = function(*arguments)
            assert fits(answer, signature.return_annotation), (name, answer)
            return answer

        return call

    stub = read_stub(STUB.read_text(encoding="utf-8"))
    for name, function in kernels().items():
        monkeypatch.setattr(_kernels, name, watched(name, function, stub[name]))
    use_every_kernel()
    assert used == set(stub) - {"stop_batch"}  # which only an error calls


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (np.zeros(2, np.float32), NDArray[np.float32], True),
        (np.zeros(2, np.float64), NDArray[np.float32], False),
        ([0.0], NDArray[np.float32], False),
        ((1, 2), tuple[int, int], True),
        ((1, 2, 3), tuple[int, int], False),
        ([None, (1,)], list[tuple[int] | None], True),
        ([None, (1.5,)], list[tuple[int] | None], False),
        (None, None, True),
        (0, None, False),
        (1, bool, False),
    ],
)
def test_fits(value: Any, annotation: Any, expected: bool) -> None:
    assert fits(value, annotation) is expected


# --------------------------------------------------------------------------------------------------------- public use


def test_the_package_is_marked_as_typed() -> None:
    assert Path(hrnetae.__file__).with_name("py.typed").is_file()


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed; `make check` has it")
@pytest.mark.slow
def test_public_use_passes_mypy_strict(tmp_path: Path) -> None:
    """With a slip of each kind planted: mypy must find these and nothing else."""
    planted = tmp_path / "planted.py"
    planted.write_text(
        "from typing import assert_type\nfrom hrnetae import Decoder, DecodeParams\n"
        "assert_type(Decoder().params, int)\nDecoder(params=5)\nDecodeParams().nonsense\n"
    )
    files = [*map(str, sorted((TESTS / "typing").glob("*.py"))), str(planted)]
    options = ["--strict", "--no-error-summary", "--no-color-output", "--hide-error-context"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, *files], cwd=TESTS.parent, capture_output=True, text=True, timeout=900
    )
    lines = [line for line in done.stdout.splitlines() if ": error:" in line]
    found = [re.search(r"planted\.py:(\d+): error: .*\[([\w-]+)\]$", line) for line in lines]
    assert [one.groups() if one else line for one, line in zip(found, lines, strict=True)] == [
        ("3", "assert-type"),
        ("4", "arg-type"),
        ("5", "attr-defined"),
    ], done.stdout + done.stderr
