"""Why the numbers are what they are: curves, joints, groups of persons, scores, and the errors by kind.

sides.py        annotated and found persons as arrays
matching.py     who was found as whom
taxonomy.py     the kind of error of each joint, after Ronchi and Perona (2017)
corrections.py  what the AP would be without the errors of a kind
curves.py, joints.py, groups.py, gallery.py   the same persons from other sides
findings.py     what all of this comes to, in plain numbers
"""

from __future__ import annotations

from collections.abc import Collection

from hrnetae.evaluation.corrections import taxonomy_of
from hrnetae.evaluation.curves import calibration_of, curves_of
from hrnetae.evaluation.findings import Analysis
from hrnetae.evaluation.gallery import gallery_of
from hrnetae.evaluation.ground_truth import GroundTruth
from hrnetae.evaluation.groups import groupings_of
from hrnetae.evaluation.joints import joint_errors
from hrnetae.evaluation.matching import match_persons
from hrnetae.evaluation.metrics import METRICS, stats_of
from hrnetae.evaluation.oks import Curves as OksCurves
from hrnetae.evaluation.results import Results
from hrnetae.evaluation.sides import precision_recall, sides_of
from hrnetae.evaluation.taxonomy import classify
from hrnetae.skeleton import COCO17, Skeleton

GALLERY = 60


def analyse(
    truth: GroundTruth,
    results: Results,
    image_ids: Collection[int],
    skeleton: Skeleton = COCO17,
    gallery: int = GALLERY,
) -> Analysis:
    """Analyse results against the annotations of the pictures ``image_ids`` alone.

    gallery: about so many pictures are told person by person: a third the worst, a third the worst of each kind, the
    rest typical ones.
    Errors: DataError as `keypoint_metrics`; for annotations of more than one category.
    """
    sides = sides_of(truth, results, image_ids, skeleton)
    ignored = sides.coco_ignored
    flags = sides.flags(ignored, sides.coco_outside)
    precision, recall = precision_recall(flags, sides.founds.scores, (~ignored).sum(axis=1))
    stats = stats_of(OksCurves(precision, recall)) if len(sides.rows) else [0.0] * len(METRICS)
    matching = match_persons(sides)
    joints = classify(sides, matching)
    return Analysis(
        metrics=dict(zip(METRICS, stats, strict=True)),
        images=len(sides.image_ids),
        annotated=int((~sides.truths.ignored).sum()),
        found=len(sides.rows),
        curves=curves_of(precision, recall),
        joints=joint_errors(sides, joints),
        groupings=groupings_of(sides, matching),
        calibration=calibration_of(sides, matching, flags),
        taxonomy=taxonomy_of(sides, matching, joints),
        gallery=gallery_of(sides, matching, joints, truth.dataset["images"], gallery),
    )
