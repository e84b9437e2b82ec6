"""A few hundred mutated files for every reader, as the fuzzers draw them; `make fuzz` reads 100,000 of each."""

from __future__ import annotations

import pytest
from runner import run_case
from targets import READERS, TARGETS

# Those that take long get fewer.
_CASES = {"checkpoints": 60, "vamc": 80, "pictures": 150}
_SEED = 1_000_000  # of its own: the campaigns count from 0


@pytest.mark.parametrize("name", READERS)
def test_hostile_files_are_refused_in_one_line_or_read(name: str) -> None:
    target = TARGETS[name]()
    complaints = {number: run_case(target, _SEED, number) for number in range(_CASES.get(name, 200))}
    assert {number: what for number, what in complaints.items() if what} == {}
    assert target.accepted > 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", READERS)
def test_a_case_follows_from_its_seed_and_number(name: str) -> None:
    one, other = TARGETS[name](), TARGETS[name]()
    for number in range(5):
        assert one.content(3, number) == other.content(3, number)  # type: ignore[attr-defined]
    assert len({one.content(seed, 4) for seed in range(20)}) > 10  # type: ignore[attr-defined]
