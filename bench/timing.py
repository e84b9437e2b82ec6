"""One call timed beside another, turn by turn: what slows the machine down for a while slows both down."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from statistics import quantiles
from typing import Any, TypeVar

from pytest_benchmark.fixture import BenchmarkFixture

T = TypeVar("T")
S = TypeVar("S")
Timer = Callable[[], float]

SECONDS = 1.5  # for one figure, both calls together
FEWEST, MOST = 5, 2000  # rounds
MOST_OTHERS = 10  # between two rounds


def beside(
    benchmark: BenchmarkFixture,
    title: str,
    items: Sequence[T],
    call: Callable[[T], object],
    other_items: Sequence[S],
    other: Callable[[S], object],
    against: str,
    *,
    seconds: float = SECONDS,
    fewest: int = FEWEST,
    timer: Timer = time.perf_counter,
    **notes: Any,
) -> None:
    """Let pytest-benchmark time ``call`` on the items in turn, with ``other`` timed between its rounds.

    Both walk around their ring, half a ring apart: where the items are larger than the caches, neither finds its data
    there. title: of the figure in the report. against: what ``other`` is. notes: further facts for the report.
    """
    start = timer()
    call(items[0])
    middle = timer()
    other(other_items[0])
    ours, others = max(middle - start, 1e-9), max(timer() - middle, 1e-9)
    rounds = max(fewest, min(MOST, int(seconds / (ours + others))))
    per_turn = max(1, min(MOST_OTHERS, int(ours / others)))  # a short call beside a long one needs more samples
    times: list[float] = []
    turns = itertools.count()

    def turn() -> tuple[tuple[T], dict[str, Any]]:
        for _ in range(per_turn):
            item = other_items[(len(times) + len(other_items) // 2) % len(other_items)]
            begin = timer()
            other(item)
            times.append(timer() - begin)
        return (items[next(turns) % len(items)],), {}

    benchmark.pedantic(call, setup=turn, rounds=rounds)
    q1, median, q3 = quantiles(times, n=4, method="inclusive")
    benchmark.extra_info.update(title=title, against=against, other={"median": median, "q1": q1, "q3": q3}, **notes)
