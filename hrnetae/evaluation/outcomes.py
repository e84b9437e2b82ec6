"""What became of each annotated person in one column of a comparison: by whom it was found, and how exactly."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from hrnetae.evaluation.ground_truth import GroundTruth
from hrnetae.evaluation.matching import match_persons
from hrnetae.evaluation.oks import Doubles, Whole
from hrnetae.evaluation.results import Results
from hrnetae.evaluation.sides import Mask, Sides, sides_of
from hrnetae.skeleton import COCO17, Skeleton

FOUND_OKS = 0.5  # from here on a person counts as found, as COCO's easiest threshold has it


@dataclass(frozen=True, eq=False)
class Outcome:
    """Of the G annotated persons of ``sides``, which are the same ones in the same order for every column.

    picture: (G,) index into sides.image_ids. counts: (G,) off for whom neither to find nor to miss counts.
    oks: (G,) with the partner (matching.py), 0 without one. joints: (G, K) the similarity of each joint, 0 without a
    partner or a label. found: (G,) row of the results that is the partner, -1 for none.
    strangers: (S,) rows of the results that are false positives; stranger_pictures, stranger_scores: (S,) theirs.
    """

    sides: Sides
    picture: Whole
    counts: Mask
    oks: Doubles
    joints: Doubles
    found: Whole
    strangers: Whole
    stranger_pictures: Whole
    stranger_scores: Doubles

    @property
    def labelled(self) -> Mask:
        """(G, K) whether the joint has a place in the ground truth."""
        there: Mask = self.sides.truths.keypoints[:, :, 2] > 0
        return there


def outcome_of(
    truth: GroundTruth, results: Results, image_ids: Collection[int], skeleton: Skeleton = COCO17
) -> Outcome:
    """Pair the results with the persons of these pictures. Errors: DataError as `sides_of`."""
    sides = sides_of(truth, results, image_ids, skeleton)
    matching = match_persons(sides)
    paired = np.flatnonzero(matching.found >= 0)
    partner = matching.found[paired]
    people = len(sides.annotation_ids)
    oks = np.zeros(people)
    oks[paired] = matching.oks[partner]
    joints = np.zeros((people, len(skeleton)))
    joints[paired] = _similarities(sides, paired, partner)
    found = np.full(people, -1, np.int64)
    found[paired] = sides.rows[partner]
    strangers = np.flatnonzero(matching.false_positives)
    return Outcome(
        sides=sides,
        picture=sides.truth_images,
        counts=~sides.truths.ignored,
        oks=oks,
        joints=joints,
        found=found,
        strangers=sides.rows[strangers],
        stranger_pictures=sides.found_images[strangers],
        stranger_scores=np.asarray(sides.founds.scores[strangers], np.float64),
    )


def _similarities(sides: Sides, truths: Whole, founds: Whole) -> Doubles:
    """(N, K) of each joint: exp(-d^2 / (2 area (2 sigma)^2)), https://cocodataset.org/#keypoints-eval."""
    there = sides.truths.keypoints[truths]
    squared = np.square(sides.founds.keypoints[founds, :, :2] - there[:, :, :2]).sum(axis=2)
    variances = (2 * np.array(sides.skeleton.sigmas)) ** 2
    areas = sides.truths.areas[truths] + np.spacing(1)
    similar: Doubles = np.exp(-squared / variances / areas[:, None] / 2) * (there[:, :, 2] > 0)
    return similar
