"""Why the numbers are what they are: curves, joints, groups of persons, scores, and the errors by kind."""

from __future__ import annotations

from collections.abc import Collection

from hrnetae.evaluation.findings import Analysis
from hrnetae.evaluation.ground_truth import GroundTruth
from hrnetae.evaluation.results import Results
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

    gallery: about so many pictures are told person by person, two thirds the worst of all kinds and one third typical
    ones.
    Errors: DataError as `keypoint_metrics`; for annotations of more than one category.
    """
    raise NotImplementedError
