"""The ten COCO keypoint metrics, by pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from hrnetae.evaluation.ground_truth import GroundTruth
from hrnetae.evaluation.results import Result
from hrnetae.files.errors import DataError
from hrnetae.skeleton import COCO17, Skeleton

METRICS = ("AP", "AP50", "AP75", "APm", "APl", "AR", "AR50", "AR75", "ARm", "ARl")


def keypoint_metrics(
    ground_truth: GroundTruth, results: Sequence[Result], image_ids: Collection[int], skeleton: Skeleton = COCO17
) -> dict[str, float]:
    """Score results against the annotations of the pictures ``image_ids`` alone.

    Returns the METRICS in COCO's order, 0 to 1; -1, as pycocotools has it, where no person of that size is annotated.
    Nothing found at all is 0 throughout. At most 20 persons of a picture count (COCO's rule), the best-scored ones.
    Errors: DataError for annotations with another number of joints than the skeleton's, or a skeleton without sigmas.
    """
    if not skeleton.sigmas:
        raise DataError(f"skeleton {skeleton.name}: no sigmas, expected {len(skeleton)} (object keypoint similarity)")
    wanted = frozenset(image_ids)
    annotations = [a for a in ground_truth.dataset["annotations"] if a["image_id"] in wanted]
    _check_joints(ground_truth, annotations, skeleton)
    if not results:
        return dict.fromkeys(METRICS, 0.0)
    frame: dict[str, Any] = {
        "images": [image for image in ground_truth.dataset["images"] if image["id"] in wanted],
        "categories": ground_truth.dataset["categories"],
    }
    # pycocotools writes into the entries, so it gets copies.
    truth = frame | {"annotations": [dict(annotation) for annotation in annotations]}
    found = frame | {"annotations": [_as_detection(result, number) for number, result in enumerate(results, 1)]}
    stats = _evaluate(truth, found, sorted(wanted), skeleton.sigmas)
    return {name: float(value) for name, value in zip(METRICS, stats, strict=True)}


def _as_detection(result: Mapping[str, Any], number: int) -> dict[str, Any]:
    _, _, width, height = result["bbox"]
    return {**result, "id": number, "area": width * height, "iscrowd": 0}


def _check_joints(ground_truth: GroundTruth, annotations: Sequence[Mapping[str, Any]], skeleton: Skeleton) -> None:
    for annotation in annotations:
        keypoints = annotation["keypoints"]
        if not isinstance(keypoints, list) or len(keypoints) != 3 * len(skeleton):
            count = len(keypoints) if isinstance(keypoints, list) else type(keypoints).__name__
            raise DataError(
                f"{ground_truth.path}: annotation {annotation['id']} has keypoints of length {count}, expected "
                f"{3 * len(skeleton)} for {skeleton.name}"
            )


def _evaluate(
    truth: dict[str, Any], found: dict[str, Any], image_ids: list[int], sigmas: Sequence[float]
) -> Sequence[float]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):  # it reports its steps there
        sides = []
        for dataset in (truth, found):
            side = COCO()
            side.dataset = dataset
            side.createIndex()
            sides.append(side)
        scorer = COCOeval(*sides, "keypoints")
        scorer.params.imgIds = image_ids
        scorer.params.kpt_oks_sigmas = np.array(sigmas)
        scorer.evaluate()
        scorer.accumulate()
        scorer.summarize()
    stats: Sequence[float] = scorer.stats
    return stats
