"""How far each joint is from where it should be, over all persons who were found."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hrnetae.evaluation.findings import JOINT_KINDS, JointErrors
from hrnetae.evaluation.oks import Doubles
from hrnetae.evaluation.sides import Sides
from hrnetae.evaluation.taxonomy import JointFindings


def joint_errors(sides: Sides, joints: JointFindings) -> tuple[JointErrors, ...]:
    """One for each joint of the skeleton."""
    size = np.sqrt(sides.truths.areas[joints.truth])
    errors = []
    for k, name in enumerate(sides.skeleton.joints):
        kinds = joints.kind[:, k]
        labelled = kinds >= 0
        pixels = joints.distance[labelled, k]
        sized = labelled & (size > 0)
        scaled = joints.distance[sized, k] / size[sized]
        counts = {kind: int(np.count_nonzero(kinds == number)) for number, kind in enumerate(JOINT_KINDS)}
        errors.append(
            JointErrors(
                joint=name,
                labelled=len(pixels),
                **counts,
                mean_pixels=_of(np.mean, pixels),
                median_pixels=_of(np.median, pixels),
                p90_pixels=_of(_p90, pixels),
                mean_scaled=_of(np.mean, scaled),
                median_scaled=_of(np.median, scaled),
                p90_scaled=_of(_p90, scaled),
                mean_similarity=_of(np.mean, joints.similarity[labelled, k]),
            )
        )
    return tuple(errors)


def _p90(values: Doubles) -> float:
    return float(np.percentile(values, 90))


def _of(mean: Callable[[Doubles], float], values: Doubles) -> float | None:
    return float(mean(values)) if len(values) else None
