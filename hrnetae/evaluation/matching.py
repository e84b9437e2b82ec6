"""Who was found as whom: one partner at most for everyone, by falling similarity (OKS).

COCO's own matching lets found persons choose by falling score, anew at every threshold, so that a person may have
another partner at each. An account of errors needs one partner. The pair of the highest OKS comes first; below OKS 0.1,
the threshold of Ronchi and Perona (2017), two have little in common and are no pair.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrnetae import _kernels
from hrnetae.evaluation import oks
from hrnetae.evaluation.oks import Doubles, Whole
from hrnetae.evaluation.sides import Mask, Sides

LEAST_OKS = 0.1  # of a pair
FORGIVEN_OKS = 0.5  # with somebody who does not count: from here on, COCO does not count a found person as wrong


@dataclass(frozen=True, eq=False)
class Candidates:
    """Every found person with every annotated one of its picture. found, truth: (N,) indices into Sides; oks: (N,)."""

    found: NDArray[np.intp]
    truth: NDArray[np.intp]
    oks: Doubles


@dataclass(frozen=True, eq=False)
class Matching:
    """truth: (D,) partner of each found person, -1 for none. found: (G,) partner of each annotated person, -1 for none.

    oks: (D,) with the partner, 0 for none. best: (D,) the highest with anybody who counts; nearest: (D,) who that is,
    -1 where it is below LEAST_OKS. forgiven: (D,) without partner, but on somebody who does not count.
    outscored: (G,) found, but somebody less similar and without partner, on the same person, has a higher score.
    """

    truth: Whole
    found: Whole
    oks: Doubles
    best: Doubles
    nearest: Whole
    forgiven: Mask
    outscored: Mask

    @property
    def false_positives(self) -> Mask:
        """(D,) those without a partner whom nothing forgives."""
        return (self.truth < 0) & ~self.forgiven


def match_persons(sides: Sides) -> Matching:
    """Find the pairs."""
    near = candidates_of(sides)
    real = ~sides.truths.ignored[near.truth]
    truth, found, value = _pairs(sides, near, real & (near.oks >= LEAST_OKS))
    best, nearest = _best(sides, near, real)
    forgiven = np.zeros(len(truth), np.bool_)
    forgiven[near.found[~real & (near.oks >= FORGIVEN_OKS)]] = True
    forgiven &= truth < 0
    free = (truth < 0) & ~forgiven
    rivals = real & free[near.found] & (near.oks >= LEAST_OKS) & (found[near.truth] >= 0)
    scores = sides.founds.scores
    above = scores[near.found[rivals]] > scores[found[near.truth[rivals]]]
    outscored = np.zeros(len(found), np.bool_)
    outscored[near.truth[rivals][above]] = True
    return Matching(truth, found, value, best, nearest, forgiven, outscored)


def candidates_of(sides: Sides) -> Candidates:
    """All pairs there could be, picture by picture, and their OKS."""
    many = np.diff(sides.there.start)[sides.found_images]
    found = np.repeat(np.arange(len(many)), many)
    first = np.repeat(sides.there.start[sides.found_images], many)
    truth = first + np.arange(len(found)) - np.repeat(np.cumsum(many) - many, many)
    if not len(found):
        return Candidates(found, truth, np.empty(0))
    variances = (np.array(sides.skeleton.sigmas) * 2) ** 2
    there, here = sides.there, sides.here
    persons = oks.persons_of(sides.truths, sides.founds, there.rows, there.start, here.rows, here.start, variances)
    labelled = np.count_nonzero(sides.truths.keypoints[:, :, 2] > 0, axis=1)
    joints = np.where(labelled, labelled, len(sides.skeleton))[truth]
    sums = np.add.reduceat(np.exp(_kernels.oks_exponents(persons)), np.cumsum(joints) - joints)
    return Candidates(found, truth, sums / joints)


def _pairs(sides: Sides, near: Candidates, allowed: Mask) -> tuple[Whole, Whole, Doubles]:
    """The highest OKS first; of equal ones the better-scored, then the first of the file."""
    at = np.flatnonzero(allowed)
    at = at[np.lexsort((near.truth[at], near.found[at], -near.oks[at]))]
    truth = np.full(len(sides.rows), -1, np.int64)
    found = np.full(len(sides.annotation_ids), -1, np.int64)
    value = np.zeros(len(sides.rows))
    for d, g, similar in zip(near.found[at].tolist(), near.truth[at].tolist(), near.oks[at].tolist(), strict=True):
        if truth[d] < 0 and found[g] < 0:
            truth[d], found[g], value[d] = g, d, similar
    return truth, found, value


def _best(sides: Sides, near: Candidates, real: Mask) -> tuple[Doubles, Whole]:
    best = np.zeros(len(sides.rows))
    nearest = np.full(len(sides.rows), -1, np.int64)
    at = np.flatnonzero(real)
    at = at[np.argsort(near.oks[at], kind="stable")]
    best[near.found[at]] = near.oks[at]  # the last written stays: the highest
    nearest[near.found[at]] = near.truth[at]
    nearest[best < LEAST_OKS] = -1
    return best, nearest
