"""The paired bootstrap: how much a difference between columns would vary if other pictures had been taken.

A round draws as many pictures as there are, with replacement, and computes everything from the pictures drawn, for
every column from the same ones. Pictures are drawn, not persons: what is found of the people in one picture hangs
together. Nothing is matched or decoded again; a picture that was drawn twice counts twice.
Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapters 6 and 13 (percentile intervals).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.work import ordered_map

CONFIDENCE = 0.95
_ROUNDS_AT_ONCE = 20  # a piece of work for a thread

Doubles = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Difference:
    """A column less the baseline. low, high: ends of the interval of CONFIDENCE; None where there is none (a single
    picture, or nothing to measure in any of the draws). significant: the interval leaves out 0."""

    value: float
    low: float | None
    high: float | None

    @property
    def significant(self) -> bool:
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {"difference": self.value, "low": self.low, "high": self.high, "significant": self.significant}


@dataclass(frozen=True, eq=False)
class Shares:
    """Quotients of sums over pictures, M of them: ``above.sum(axis=0) / below.sum(axis=0)``. Both (I, M) float64."""

    above: Doubles
    below: Doubles

    def values(self) -> Doubles:
        """(M,) over all pictures; NaN where ``below`` adds up to 0."""
        return _quotient(self.above.sum(axis=0), self.below.sum(axis=0))

    def resampled(self, weights: Counts) -> Doubles:
        """(R, M): of the pictures as often as each row of ``weights`` (R, I) says."""
        often = weights.astype(np.float64)
        # Not by @, whose own threads would stand in the way of those that draw.
        above, below = (np.einsum("ri,im->rm", often, sums) for sums in (self.above, self.below))
        return _quotient(above, below)


def _quotient(above: Doubles, below: Doubles) -> Doubles:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, above / below, np.nan)


def resample(
    measure: Callable[[Counts], Doubles],
    pictures: int,
    rounds: int,
    seed: int,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Doubles:
    """(rounds, ...): what ``measure`` makes of so many draws of the pictures.

    measure: of weights (R, pictures), how often each picture was drawn in each round, makes (R, ...).
    The draws follow from the seed alone, whatever the number of workers (threads).
    """
    parts = []
    done = 0
    for part in ordered_map(measure, draws(pictures, rounds, seed), workers):
        parts.append(part)
        done += len(part)
        if progress is not None:
            progress(done, rounds)
    return np.concatenate(parts)


def draws(pictures: int, rounds: int, seed: int) -> Iterator[Counts]:
    """How often each picture is drawn: (R, pictures) for some rounds at a time, ``rounds`` rows in all."""
    rng = np.random.default_rng(seed)
    for start in range(0, rounds, _ROUNDS_AT_ONCE):
        count = min(_ROUNDS_AT_ONCE, rounds - start)
        drawn = rng.integers(0, pictures, (count, pictures)) + pictures * np.arange(count)[:, None]
        yield np.bincount(drawn.ravel(), minlength=count * pictures).reshape(count, pictures)


def difference(baseline: float, value: float, drawn: Doubles, pictures: int) -> Difference | None:
    """baseline, value: over all pictures; None where one of them is NaN. drawn: (R,) differences of the rounds, NaN
    where a draw had nothing to measure."""
    if np.isnan(baseline) or np.isnan(value):
        return None
    known = drawn[~np.isnan(drawn)]
    if pictures < 2 or not len(known):
        return Difference(value - baseline, None, None)
    outside = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(known, (outside, 100 - outside))
    return Difference(value - baseline, float(low), float(high))


def differences(values: Sequence[Doubles], drawn: Doubles, pictures: int) -> list[list[Difference | None]]:
    """Of every further column to the first, measure by measure: [column - 1][measure].

    values: (M,) per column. drawn: (rounds, columns, M).
    """
    return [
        [
            difference(float(values[0][m]), float(values[c][m]), drawn[:, c, m] - drawn[:, 0, m], pictures)
            for m in range(len(values[0]))
        ]
        for c in range(1, len(values))
    ]
