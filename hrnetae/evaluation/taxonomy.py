"""Which kind of error each joint of a person who was found has: jitter, inversion, swap or miss.

Source: Ronchi and Perona, "Benchmarking and Error Diagnosis in Multi-Instance Pose Estimation", ICCV 2017, section 3.
A joint's similarity with a place is its part in OKS: s = exp(-d^2 / (2 area (2 sigma)^2)). With its own place
s >= 0.85 is good, the spread of what people annotate. Else the most similar place decides: its own (jitter), that of
the joint of the other side of the same person (inversion), that of the same joint or the other side's of another person
(swap). Where not even that is similar to 0.5, it is a miss. docs/errors.md says more.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrnetae.evaluation.findings import GOOD, INVERSION, JITTER, JOINT_KINDS, MISS, SWAP
from hrnetae.evaluation.matching import Matching
from hrnetae.evaluation.oks import Doubles, Whole
from hrnetae.evaluation.sides import Mask, Sides

HUMAN = 0.85  # similarity from which on a joint is good
NEAR = 0.5  # similarity from which on a joint is at a place
UNLABELLED_CODE = -1

_CLOSER = 1 - 1e-9  # of a corrected distance, so that rounding does not fall short of the similarity


@dataclass(frozen=True, eq=False)
class JointFindings:
    """The joints of P pairs, K of each.

    found, truth: (P,) indices into Sides. kind: (P, K) index into JOINT_KINDS, UNLABELLED_CODE for none.
    distance: (P, K) pixels from the truth. similarity: (P, K) with the truth. place: (P, K) similarity with the most
    similar place of all. All but kind are 0 where the joint is not labelled.
    """

    found: Whole
    truth: Whole
    kind: NDArray[np.int8]
    distance: Doubles
    similarity: Doubles
    place: Doubles

    def count(self, kind: str) -> int:
        """How many joints are of a kind."""
        return int(np.count_nonzero(self.kind == JOINT_KINDS.index(kind)))


def classify(sides: Sides, matching: Matching) -> JointFindings:
    """The kind of every joint of every pair."""
    found = np.flatnonzero(matching.truth >= 0)
    truth = matching.truth[found]
    flip = np.array(sides.skeleton.flip_index)
    labelled = sides.truths.keypoints[truth, :, 2] > 0
    own = _similarity(sides, found, truth, np.arange(len(flip)))
    mirrored = np.where(flip != np.arange(len(flip)), _similarity(sides, found, truth, flip), 0.0)
    others = _similarity_with_others(sides, found, truth, flip)
    place = np.maximum(np.maximum(own, mirrored), others)
    kind = np.select(
        [~labelled, own >= HUMAN, place < NEAR, own == place, mirrored == place],
        [UNLABELLED_CODE, *(JOINT_KINDS.index(name) for name in (GOOD, MISS, JITTER, INVERSION))],
        JOINT_KINDS.index(SWAP),
    )
    away = sides.founds.keypoints[found, :, :2] - sides.truths.keypoints[truth, :, :2]
    return JointFindings(
        found=found,
        truth=truth,
        kind=kind.astype(np.int8),
        distance=np.where(labelled, np.hypot(away[..., 0], away[..., 1]), 0.0),
        similarity=own,
        place=np.where(labelled, place, 0.0),
    )


def _similarity(sides: Sides, found: Whole, truth: Whole, joints: NDArray[np.intp]) -> Doubles:
    """(N, K): of found joint k with the annotated joint ``joints[k]``; 0 where that is not labelled."""
    places = sides.truths.keypoints[truth][:, joints]
    squared = np.square(sides.founds.keypoints[found, :, :2] - places[..., :2]).sum(axis=2)
    similar = np.exp(-squared / _spread(sides, truth) / 2)
    return np.where(places[..., 2] > 0, similar, 0.0)


def _spread(sides: Sides, truth: Whole) -> Doubles:
    """(N, K): area (2 sigma)^2, in square pixels."""
    variances = (np.array(sides.skeleton.sigmas) * 2) ** 2
    spread: Doubles = variances * (sides.truths.areas[truth] + np.spacing(1))[:, None]
    return spread


def _similarity_with_others(sides: Sides, found: Whole, truth: Whole, flip: NDArray[np.intp]) -> Doubles:
    """(P, K): the highest with the same joint, or that of the other side, of other persons of the picture."""
    start = sides.there.start
    image = sides.truth_images[truth]
    many = start[image + 1] - start[image]
    pair = np.repeat(np.arange(len(found)), many)
    other = start[image][pair] + np.arange(len(pair)) - np.repeat(np.cumsum(many) - many, many)
    pair, other = pair[other != truth[pair]], other[other != truth[pair]]
    similar = np.zeros((len(found), len(flip)))
    if len(pair):
        same = _similarity(sides, found[pair], other, np.arange(len(flip)))
        either = np.maximum(same, _similarity(sides, found[pair], other, flip))
        first = np.flatnonzero(np.diff(pair, prepend=-1))
        similar[pair[first]] = np.maximum.reduceat(either, first)
    return similar


def corrected(sides: Sides, joints: JointFindings, kinds: Collection[str]) -> Doubles:
    """(D, K, 3) keypoints with the errors of these kinds corrected.

    A joint goes straight towards its own place: a jitter until it is good (0.85), a miss until it is near (0.5), an
    inverted or swapped joint until it is as similar to its own place as it was to the one that it was mistaken for.
    """
    keypoints = np.array(sides.founds.keypoints, np.float64)
    goal = np.select(
        [joints.kind == JOINT_KINDS.index(JITTER), joints.kind == JOINT_KINDS.index(MISS)], [HUMAN, NEAR], joints.place
    )
    chosen: Mask = np.isin(joints.kind, [JOINT_KINDS.index(kind) for kind in kinds])
    pair, joint = np.nonzero(chosen)
    spread = _spread(sides, joints.truth)[pair, joint]
    reach = np.sqrt(-2 * np.log(goal[pair, joint]) * spread) * _CLOSER
    places = sides.truths.keypoints[joints.truth[pair], joint, :2]
    away = keypoints[joints.found[pair], joint, :2] - places
    share = reach / joints.distance[pair, joint]
    keypoints[joints.found[pair], joint, :2] = places + away * share[:, None]
    return keypoints
