"""What the tuning is worth: metrics on pictures that it did not see, and how sure that is.

Every fold's pictures are decoded by parameters that were tuned on the other folds. The metrics are means over the folds
(persons of one fold are not ranked against those of another, whose scores may mean something else). The interval is a
paired bootstrap over pictures: a draw takes the same pictures for the default and for the tuned parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.evaluation.bootstrap import CONFIDENCE, draws
from hrnetae.evaluation.matches import ImageMatches, metrics_of
from hrnetae.evaluation.metrics import METRICS
from hrnetae.tuning.trials import Mask, Trials


@dataclass(frozen=True)
class Verdict:
    """default, tuned: the ten metrics, means over folds; -1, as COCO has it, where there is nobody of a size.

    low, high: the interval of CONFIDENCE (two-sided) of the AP's difference. significant: the interval lies above 0.
    """

    default: dict[str, float]
    tuned: dict[str, float]
    low: float
    high: float

    @property
    def gain(self) -> float:
        return self.tuned["AP"] - self.default["AP"]

    @property
    def significant(self) -> bool:
        return self.low > 0

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "default": self.default,
            "tuned": self.tuned,
            "gain": self.gain,
            "low": self.low,
            "high": self.high,
            "confidence": CONFIDENCE,
            "significant": self.significant,
        }


def judge(
    trials: Trials, default: ImageMatches, tuned: Sequence[ImageMatches], folds: Sequence[Mask], rounds: int, seed: int
) -> Verdict:
    """default: all pictures' matches. tuned: those of each fold's parameters. folds: (N,) the pictures of each."""
    columns = [_means(trials, [default] * len(folds), folds, None), _means(trials, tuned, folds, None)]
    drawn = []
    for weights in draws(len(trials.outputs), rounds, seed):
        before = _means(trials, [default] * len(folds), folds, weights)
        after = _means(trials, tuned, folds, weights)
        drawn.append(after[:, 0] - before[:, 0])
    differences = np.concatenate(drawn)
    known = differences[~np.isnan(differences)]
    outside = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(known, (outside, 100 - outside)) if len(known) else (0.0, 0.0)
    names = [dict(zip(METRICS, np.nan_to_num(column[0], nan=-1.0).tolist(), strict=True)) for column in columns]
    return Verdict(names[0], names[1], float(low), float(high))


def _means(
    trials: Trials, matches: Sequence[ImageMatches], folds: Sequence[Mask], weights: NDArray[np.int64] | None
) -> NDArray[np.float64]:
    """(R, 10): means over the folds of the metrics of drawn pictures, weights (R, N); None: each picture once. A fold
    in which a draw has nobody to be found does not count."""
    of_fold = []
    for one, fold in zip(matches, folds, strict=True):
        often = fold[None].astype(np.int64) if weights is None else weights * fold
        order = [trials.weights(one, row) for row in often]
        metrics = metrics_of(one, np.stack(order))
        metrics[metrics < 0] = np.nan
        of_fold.append(metrics)
    with np.errstate(invalid="ignore"):
        stacked = np.stack(of_fold)
        count = (~np.isnan(stacked)).sum(axis=0)
        return np.asarray(np.where(count > 0, np.nansum(stacked, axis=0) / np.maximum(count, 1), np.nan))
