"""Precision over recall, AP over the OKS threshold, and what a score is worth."""

from __future__ import annotations

import numpy as np

from hrnetae.evaluation import oks
from hrnetae.evaluation.findings import Calibration, CalibrationBin, Curves, PrecisionRecall
from hrnetae.evaluation.matching import Matching
from hrnetae.evaluation.oks import IGNORED, MATCHED, Doubles, Flags
from hrnetae.evaluation.sides import Sides

BINS = 10
LEAST_IN_BIN = 5  # persons, where there are as many


def curves_of(precision: Doubles, recall: Doubles) -> Curves:
    """Of precision (T, R, A) and recall (T, A), at the first area: all."""
    points = [
        PrecisionRecall(
            threshold=round(float(oks.THRESHOLDS[t]), 2),
            precision=tuple(precision[t, :, oks.ALL].tolist()),
            ap=float(np.mean(precision[t, :, oks.ALL])),
            recall=float(recall[t, oks.ALL]),
        )
        for t in range(len(precision))
    ]
    return Curves(tuple(np.round(oks.RECALLS, 2).tolist()), tuple(points))


def calibration_of(sides: Sides, matching: Matching, flags: Flags) -> Calibration:
    """flags: (A, T, D), COCO's. Persons on somebody who does not count are left out."""
    counted = np.flatnonzero(~matching.forgiven & ((flags[oks.ALL, 0] & IGNORED) == 0))
    scores, similar = np.asarray(sides.founds.scores[counted], np.float64), matching.best[counted]
    right = [flags[oks.ALL, t, counted] == MATCHED for t in (0, int(np.flatnonzero(oks.THRESHOLDS == 0.75)[0]))]
    rising = np.argsort(scores, kind="stable")
    bins = max(1, min(BINS, len(counted) // LEAST_IN_BIN))
    parts = [part for part in np.array_split(rising, bins) if len(part)]
    return Calibration(
        bins=tuple(
            CalibrationBin(
                low=float(scores[part[0]]),
                high=float(scores[part[-1]]),
                persons=len(part),
                mean_score=float(scores[part].mean()),
                mean_oks=float(similar[part].mean()),
                precision50=float(right[0][part].mean()),
                precision75=float(right[1][part].mean()),
            )
            for part in parts
        ),
        rank_correlation=rank_correlation(scores, similar),
    )


def rank_correlation(a: Doubles, b: Doubles) -> float | None:
    """Spearman's: that of the ranks, equal values sharing the mean of theirs. None where it is not defined."""
    if len(a) < 2:
        return None
    ranks = _ranks(a), _ranks(b)
    if any(np.ptp(one) == 0 for one in ranks):
        return None
    return float(np.corrcoef(*ranks)[0, 1])


def _ranks(values: Doubles) -> Doubles:
    _, which, many = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(many)
    ranks: Doubles = (last - (many - 1) / 2)[which]
    return ranks
