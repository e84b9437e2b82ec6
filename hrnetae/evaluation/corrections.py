"""What the AP would be without the errors of a kind: the results are corrected, and evaluated once more.

Each kind is corrected alone, and then one after another in the order of ERROR_KINDS, which is that of the software of
Ronchi and Perona (2017). The gains of the second way, the AP as it is and the rest add up to 1.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hrnetae.evaluation import oks
from hrnetae.evaluation.curves import curves_of
from hrnetae.evaluation.findings import (
    ERROR_KINDS,
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    GOOD,
    JOINT_KINDS,
    SCORE,
    Curves,
    Fix,
    Taxonomy,
)
from hrnetae.evaluation.matching import Matching, candidates_of
from hrnetae.evaluation.oks import Doubles
from hrnetae.evaluation.sides import Sides, best_founds, founds_at, in_place, precision_recall
from hrnetae.evaluation.taxonomy import JointFindings, corrected


def taxonomy_of(sides: Sides, matching: Matching, joints: JointFindings) -> Taxonomy:
    """The errors by kind, and what each costs."""
    start = ap = _mean_ap(_curves_without(sides, matching, joints, ()))
    fixes = []
    for number, kind in enumerate(ERROR_KINDS):
        alone = _mean_ap(_curves_without(sides, matching, joints, (kind,)))
        curves = _curves_without(sides, matching, joints, ERROR_KINDS[: number + 1])
        before, ap = ap, _mean_ap(curves)
        count = count_of(kind, matching, joints, sides)
        fixes.append(Fix(kind, count, alone, alone - start, ap, ap - before, curves))
    wrong = matching.false_positives
    return Taxonomy(
        ap=start,
        fixes=tuple(fixes),
        rest=1 - ap if start >= 0 else 0.0,
        labelled=int(np.count_nonzero(joints.kind >= 0)),
        good=joints.count(GOOD),
        paired=len(joints.found),
        duplicates=int(np.count_nonzero(wrong & (matching.nearest >= 0))),
    )


def count_of(kind: str, matching: Matching, joints: JointFindings, sides: Sides) -> int:
    """How many errors of a kind of ERROR_KINDS there are: joints or persons."""
    if kind in JOINT_KINDS:
        return joints.count(kind)
    if kind == SCORE:
        return int(np.count_nonzero(matching.outscored))
    if kind == FALSE_POSITIVE:
        return int(np.count_nonzero(matching.false_positives))
    return int(np.count_nonzero((matching.found < 0) & ~sides.truths.ignored))


def _mean_ap(curves: Curves) -> float:
    return float(np.mean([point.precision for point in curves.by_threshold]))  # in the order of keypoint_metrics


def _curves_without(sides: Sides, matching: Matching, joints: JointFindings, kinds: tuple[str, ...]) -> Curves:
    keypoints = corrected(sides, joints, [kind for kind in kinds if kind in JOINT_KINDS])
    founds = replace(sides.founds, keypoints=keypoints)
    if SCORE in kinds:
        founds = replace(founds, scores=_best_scores(replace(sides, founds=founds), matching))
    if FALSE_POSITIVE in kinds:
        founds = founds_at(founds, ~matching.false_positives)
    ignored = sides.coco_ignored[oks.ALL]
    if FALSE_NEGATIVE in kinds:
        ignored = ignored | (matching.found < 0)
    wanted = np.array([np.count_nonzero(~ignored)])
    if not wanted[0] and not sides.truths.ignored.all():
        return _perfect()  # nobody to be found is left, because nobody had been
    here = best_founds(sides.image_ids, founds, np.ones(len(founds.scores), np.bool_))
    changed = replace(sides, founds=founds_at(founds, here.rows), here=in_place(here))
    flags = changed.flags(ignored[None], changed.coco_outside[: oks.ALL + 1])
    return curves_of(*precision_recall(flags, changed.founds.scores, wanted))


def _best_scores(sides: Sides, matching: Matching) -> Doubles:
    """(D,) scores that could not be better: each one's OKS with the partner, 0 without one, which is behind all."""
    near = candidates_of(sides)
    partners = matching.truth[near.found] == near.truth
    scores = np.zeros(len(sides.rows))
    scores[near.found[partners]] = near.oks[partners]
    return scores


def _perfect() -> Curves:
    return curves_of(np.ones((len(oks.THRESHOLDS), len(oks.RECALLS), 1)), np.ones((len(oks.THRESHOLDS), 1)))
