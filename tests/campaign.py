"""The campaign: a great many drawn images, each decoded the dense way and at every level of this processor.

    python tests/campaign.py --cases 100000 --seed 0 --processes 2

The answers must be the same bits and finite. The maps lie next to memory that cannot be touched, some of them
unaligned. A case follows from the seed and its number; those that fail are printed and kept in
data/campaign_regressions.json, which test_levels.py decodes again. A change of the generators gives these numbers
another meaning: whoever changes them writes tests for what the file holds first.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import enlarged
import guarded
import hostile
import numpy as np
from numpy.typing import NDArray

from hrnetae import _kernels
from hrnetae.dispatch import LEVELS, available_levels
from hrnetae.outputs import arrange
from hrnetae.steps import joint_arrays

Array = NDArray[Any]
Answer = tuple[Array, Array, Array]  # keypoints, scores, tags

REGRESSIONS = Path(__file__).resolve().parent / "data" / "campaign_regressions.json"
NAMES = ("keypoints", "scores", "tags")
_CHUNK = 200  # cases that a process takes at a time
_SHOWN = 20  # failures

_memory = guarded.Guarded()


@dataclass(frozen=True)
class Failure:
    seed: int
    case: int
    what: str
    differs: str


@dataclass
class Tally:
    """What came of some cases."""

    cases: int = 0
    persons: int = 0
    seconds: float = 0.0
    families: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Takes over another one's."""
        self.cases += other.cases
        self.persons += other.persons
        self.seconds += other.seconds
        self.families += other.families
        self.failures += other.failures


def sparse_levels() -> tuple[str, ...]:
    """The levels that this processor has, without the dense way."""
    return tuple(name for name in available_levels() if name != "dense")


def draw_case(seed: int, number: int) -> tuple[str, hostile.Inputs]:
    """A case of the campaign, in words and as arguments of `hrnetae.reference.decode`."""
    rng = np.random.default_rng((seed, number))
    if rng.random() < 0.2:
        return "hostile", hostile.random_case(rng, longest=int(rng.choice((8, 16, 24, 32))))
    return enlarged.random_case(rng)


def place(inputs: hostile.Inputs, number: int) -> hostile.Inputs:
    """The same case with its maps in guarded memory, every fifth unaligned."""
    _memory.clear()
    at_end, shift = number % 2 == 0, int(number % 5 == 0)
    moved = {
        side: hostile.relaid(inputs[side], lambda maps: _memory.put(maps, at_end, shift))
        for side in ("output", "flipped")
    }
    return inputs | moved


def answers(inputs: hostile.Inputs, levels: Sequence[str]) -> Iterator[tuple[str, Answer]]:
    """What each level makes of a case."""
    params, skeleton = inputs["params"], inputs["skeleton"]
    maps = arrange(inputs["output"], inputs["flipped"], params, skeleton, inputs["scales"])
    for name in levels:
        yield name, _kernels.decode(maps, *joint_arrays(skeleton), params, inputs["image_size"], LEVELS[name])


def difference(found: Answer, expected: Answer) -> str:
    """Where two answers differ in a bit; empty where they do not."""
    if found[0].shape != expected[0].shape:
        return f"{len(found[0])} persons, expected {len(expected[0])}"
    for name, one, other in zip(NAMES, found, expected, strict=True):
        if one.shape != other.shape or one.dtype != other.dtype:
            return f"{name} {one.dtype} {one.shape}, expected {other.dtype} {other.shape}"
        if one.tobytes() != other.tobytes():
            at = tuple(int(i[0]) for i in np.nonzero(one.view(np.uint32) != other.view(np.uint32)))
            return f"{name}{list(at)} {one[at]!r}, expected {other[at]!r}"
    return ""


def check(inputs: hostile.Inputs, levels: Sequence[str]) -> tuple[int, str]:
    """How many persons a case has, and how the levels' answers differ from the dense one; empty where they do not."""
    (_, dense), *others = answers(inputs, ("dense", *levels))
    complaints = [
        f"dense: {name} not finite" for name, one in zip(NAMES, dense, strict=True) if not np.isfinite(one).all()
    ]
    for level, answer in others:
        differs = difference(answer, dense)
        if differs:
            complaints.append(f"{level}: {differs}")
    return len(dense[0]), "; ".join(complaints)


def run_cases(seed: int, first: int, count: int, levels: Sequence[str]) -> Tally:
    """Cases first..first + count - 1."""
    tally, start = Tally(cases=count), time.perf_counter()
    for number in range(first, first + count):
        what, inputs = draw_case(seed, number)
        persons, differs = check(place(inputs, number), levels)
        tally.persons += persons
        tally.families[what.split(",")[0]] += 1
        if differs:
            tally.failures.append(Failure(seed, number, what, differs))
    tally.seconds = time.perf_counter() - start
    return tally


def keep(failures: Sequence[Failure], path: Path = REGRESSIONS) -> None:
    """Adds failures to the file, each case once."""
    known = load_regressions(path)
    cases = {(one.seed, one.case): one for one in [*known, *failures]}
    text = json.dumps([asdict(one) for one in cases.values()], indent=1)
    path.write_text(text + "\n", encoding="utf-8")


def load_regressions(path: Path = REGRESSIONS) -> list[Failure]:
    """The failures that were kept; none where there is no file."""
    if not path.is_file():
        return []
    return [Failure(**one) for one in json.loads(path.read_text(encoding="utf-8"))]


# ------------------------------------------------------------------------------------------------------------ the run


def run(seed: int, first: int, cases: int, processes: int, levels: Sequence[str]) -> Tally:
    """All cases, in processes of their own; says how it goes. Failures are printed and kept as they come."""
    total, start, said = Tally(), time.perf_counter(), 0.0
    chunks = iter(range(first, first + cases, _CHUNK))
    running: dict[Future[Tally], int] = {}
    with ProcessPoolExecutor(processes) as pool:

        def submit() -> None:
            for at in chunks:
                running[pool.submit(run_cases, seed, at, min(_CHUNK, first + cases - at), levels)] = at
                return

        for _ in range(2 * processes):
            submit()
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                try:
                    part = future.result()
                except BrokenProcessPool:
                    starts = ", ".join(str(at) for at in sorted(running.values()))
                    sys.exit(
                        f"a process died in one of the {_CHUNK} cases from {starts}; --first and --cases tell which"
                    )
                del running[future]
                submit()
                for failure in part.failures[: max(0, _SHOWN - len(total.failures))]:
                    print(f"FAILED --seed {failure.seed} --first {failure.case}: {failure.what}: {failure.differs}")
                if part.failures:
                    keep(part.failures)
                total.add(part)
            elapsed = time.perf_counter() - start
            if elapsed - said > 10 or not running:
                said = elapsed
                rate = total.cases / elapsed
                print(f"{total.cases}/{cases} cases, {rate:.0f}/s, {len(total.failures)} failed", flush=True)
    return total


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if every answer was right."""
    parser = argparse.ArgumentParser(description="Dense against sparse decode on drawn images, bit for bit.")
    parser.add_argument("--cases", type=int, default=100_000, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of the first case (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=1, help="at a time (default: %(default)s)")
    options = parser.parse_args(arguments)
    levels = sparse_levels()
    missing = [name for name in LEVELS if name not in available_levels()]
    print(f"dense against {', '.join(levels)}; not on this processor: {', '.join(missing) or 'none'}", flush=True)
    total = run(options.seed, options.first, options.cases, options.processes, levels)
    print(f"{total.persons} persons; {1000 * total.seconds / max(1, total.cases):.2f} ms a case")
    print(", ".join(f"{name} {count}" for name, count in total.families.most_common()))
    print(f"{len(total.failures)} of {total.cases} cases failed")
    return 1 if total.failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
