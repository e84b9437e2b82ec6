"""The rescoring's weights: a logistic regression on training pictures, by Newton's method with a ridge.

What is to be predicted is whether a person will count as right in COCO's evaluation: each annotated person goes to the
found one that is most like it (by OKS, best pair first), and the others are duplicates. The target rises from 0 at
OKS 0.45 to 1 at OKS 0.95, as the number of thresholds that such a person passes. The target is unique on purpose:
refine leaves many near-duplicates, and a score that is high for all of them is worse than none.
Method: e.g. Hastie, Tibshirani and Friedman, "The Elements of Statistical Learning" (2009), section 4.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.evaluation.ground_truth import GroundTruth
from hrnetae.evaluation.metrics import counted_annotations, truths_of
from hrnetae.rescoring import Rescoring
from hrnetae.skeleton import Skeleton
from hrnetae.tuning.trials import Persons

Doubles = NDArray[np.float64]

RIDGES = (50.0, 200.0, 600.0)
_STEPS = 50
_CLOSE = 1e-10  # a step below this is the last


def targets_of(persons: Persons, truth: GroundTruth, image_ids: Sequence[int], skeleton: Skeleton) -> Doubles:
    """(D,) 0 to 1, see the module."""
    truths = truths_of(truth, counted_annotations(truth, image_ids, skeleton), skeleton)
    sigmas = np.array(skeleton.sigmas)
    target = np.zeros(len(persons.picture))
    ids = np.asarray(image_ids)
    for picture in np.unique(persons.picture):
        rows = np.flatnonzero(persons.picture == picture)
        there = np.flatnonzero((truths.image_ids == ids[picture]) & ~truths.ignored)
        found, annotated = persons.results.keypoints[rows], truths.keypoints[there]
        target[rows] = _unique(_similarities(found, annotated, truths.areas[there], sigmas))
    return np.clip((target - 0.45) / 0.5, 0.0, 1.0)


def _similarities(found: NDArray[np.floating[Any]], annotated: Doubles, areas: Doubles, sigmas: Doubles) -> Doubles:
    """OKS (G, P) of P found persons (P, K, 3) with G annotated ones (G, K, 3), over the labelled joints."""
    offset = found[None, :, :, :2].astype(np.float64) - annotated[:, None, :, :2]
    reach = (2 * sigmas) ** 2 * (areas[:, None, None] + np.spacing(1)) * 2
    labelled = (annotated[:, None, :, 2] > 0) & np.ones((1, len(found), 1), bool)
    alike = np.exp(-np.square(offset).sum(axis=-1) / reach) * labelled
    return np.asarray(alike.sum(axis=-1) / np.maximum(labelled.sum(axis=-1), 1))


def _unique(similar: Doubles) -> Doubles:
    """(P,) the OKS with the annotated person that a found one is given, 0 for nobody."""
    similar = similar.copy()
    given = np.zeros(similar.shape[1])
    while similar.size and similar.max() > 0:
        annotated, found = np.unravel_index(similar.argmax(), similar.shape)
        given[found] = similar[annotated, found]
        similar[annotated] = 0
        similar[:, found] = 0
    return given


def fit(features: Doubles, target: Doubles, ridge: float) -> Rescoring:
    """features: (D, F), target: (D,) from 0 to 1; ridge: what the squares of the weights cost, for features of variance
    1. Few persons give a constant."""
    offset = features.mean(axis=0)
    scale = features.std(axis=0)
    scale[scale < 1e-9] = 1.0
    design = np.column_stack([np.ones(len(features)), (features - offset) / scale])
    cost = np.diag([1e-6, *[ridge] * features.shape[1]])
    weights = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        predicted = 1 / (1 + np.exp(-np.clip(design @ weights, -500, 500)))
        slope = design.T @ (predicted - target) + cost @ weights
        curve = (design * (predicted * (1 - predicted))[:, None]).T @ design + cost
        step = np.linalg.solve(curve, slope)
        weights = weights - step
        if np.abs(step).max() < _CLOSE:
            break
    own = weights[1:] / scale
    # Rounded, so that the last bits of other machines' linear algebra do not show in the file.
    bias = float(weights[0] - own @ offset)
    return Rescoring(_round(bias), tuple(_round(float(weight)) for weight in own))


def _round(value: float) -> float:
    return float(f"{value:.6g}")


def scores_by(rescoring: Rescoring, features: Doubles) -> NDArray[np.float32]:
    """(D,) what the decoder would give persons of these features."""
    total = np.full(len(features), rescoring.bias)
    for column, weight in zip(features.T, rescoring.weights, strict=True):
        total += weight * column
    return np.asarray(1 / (1 + np.exp(-np.clip(total, -500, 500))), np.float32)
