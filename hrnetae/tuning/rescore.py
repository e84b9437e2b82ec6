"""Whether a rescoring helps, and which: its ridge is chosen on training pictures that it was not fitted on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.evaluation.matches import ImageMatches, ap_of, image_matches
from hrnetae.evaluation.results import Results
from hrnetae.rescoring import Rescoring
from hrnetae.tuning.fit import RIDGES, fit, scores_by, targets_of
from hrnetae.tuning.folds import folds_of
from hrnetae.tuning.search import LEAST_GAIN
from hrnetae.tuning.trials import Mask, Persons, Trials

_PARTS = 4


def fit_rescoring(trials: Trials, persons: Persons, training: Mask, seed: int) -> Rescoring | None:
    """The rescoring for what a setting finds, fitted on the pictures of ``training`` (N,) alone; None where the scores
    are better left as they are, or the training pictures are too few to tell."""
    chosen = np.flatnonzero(training)
    parts = min(_PARTS, len(chosen))
    if parts < 2 or not training[persons.picture].any():
        return None
    target = targets_of(persons, trials.truth, trials.image_ids.tolist(), trials.skeleton)
    part_of = np.full(len(training), -1)
    part_of[chosen] = folds_of(len(chosen), parts, seed)
    plain = _ap(trials, persons, persons.results.scores, [part_of == part for part in range(parts)])
    best, best_ridge = plain + LEAST_GAIN, 0.0
    for ridge in RIDGES:
        ap = _ap_out_of_part(trials, persons, target, part_of, parts, ridge)
        if ap > best:
            best, best_ridge = ap, ridge
    if not best_ridge:
        return None
    rows = training[persons.picture]
    return fit(persons.features[rows], target[rows], best_ridge)


def _ap_out_of_part(
    trials: Trials, persons: Persons, target: NDArray[np.float64], part_of: NDArray[np.int64], parts: int, ridge: float
) -> float:
    scores = persons.results.scores.copy()
    of_person = part_of[persons.picture]
    for part in range(parts):
        rows = (of_person >= 0) & (of_person != part)
        if not rows.any():
            return 0.0
        own = of_person == part
        scores[own] = scores_by(fit(persons.features[rows], target[rows], ridge), persons.features[own])
    return _ap(trials, persons, scores, [part_of == part for part in range(parts)])


def _ap(trials: Trials, persons: Persons, scores: NDArray[np.floating[Any]], groups: Sequence[Mask]) -> float:
    """Mean over groups of pictures: scores of models that were fitted apart are not ranked against each other."""
    matches = rescored(trials, persons, scores)
    return float(np.mean([ap_of(matches, trials.weights(matches, group))["AP"] for group in groups]))


def rescored(trials: Trials, persons: Persons, scores: NDArray[np.floating[Any]]) -> ImageMatches:
    """The matches of the same persons with other scores (D,)."""
    results: Results = dataclasses.replace(persons.results, scores=np.asarray(scores))
    return image_matches(trials.truth, results, trials.image_ids, trials.skeleton)
