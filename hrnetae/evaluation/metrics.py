"""The ten COCO keypoint metrics: by our own evaluation (oks.py) or by pycocotools. The numbers are the same."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.evaluation import oks
from hrnetae.evaluation.ground_truth import GroundTruth
from hrnetae.evaluation.results import Result, Results
from hrnetae.files.errors import DataError
from hrnetae.skeleton import COCO17, Skeleton

METRICS = ("AP", "AP50", "AP75", "APm", "APl", "AR", "AR50", "AR75", "ARm", "ARl")
BACKENDS = ("own", "pycocotools")

Annotations = Sequence[Mapping[str, Any]]


def keypoint_metrics(
    ground_truth: GroundTruth,
    results: Sequence[Result],
    image_ids: Collection[int],
    skeleton: Skeleton = COCO17,
    backend: str = "own",
) -> dict[str, float]:
    """Score results against the annotations of the pictures ``image_ids`` alone.

    backend: one of BACKENDS; "pycocotools" takes thirty times as long for the same numbers.
    Returns the METRICS in COCO's order, 0 to 1; -1, as pycocotools has it, where no person of that size is annotated.
    Nothing found at all is 0 throughout. At most 20 persons of a picture count (COCO's rule), the best-scored ones.
    Errors: DataError for annotations with another number of joints than the skeleton's or with something else than
    numbers, or a skeleton without sigmas.
    """
    wanted = frozenset(image_ids)
    annotations = _annotations_of(ground_truth, wanted, skeleton)
    if not results:
        return dict.fromkeys(METRICS, 0.0)
    if backend == "pycocotools":
        stats = _by_pycocotools(ground_truth, annotations, results, sorted(wanted), skeleton)
    else:
        stats = _by_oks(ground_truth, annotations, results, sorted(wanted), skeleton)
    return {name: float(value) for name, value in zip(METRICS, stats, strict=True)}


def _annotations_of(ground_truth: GroundTruth, wanted: Collection[int], skeleton: Skeleton) -> Annotations:
    """Those of the images wanted, checked for being of this skeleton, and the skeleton for having sigmas."""
    if not skeleton.sigmas:
        raise DataError(f"skeleton {skeleton.name}: no sigmas, expected {len(skeleton)} (object keypoint similarity)")
    annotations = [a for a in ground_truth.dataset["annotations"] if a["image_id"] in wanted]
    _check_joints(ground_truth, annotations, skeleton)
    return annotations


def _check_joints(ground_truth: GroundTruth, annotations: Sequence[Mapping[str, Any]], skeleton: Skeleton) -> None:
    for annotation in annotations:
        keypoints = annotation["keypoints"]
        if not isinstance(keypoints, list) or len(keypoints) != 3 * len(skeleton):
            count = len(keypoints) if isinstance(keypoints, list) else type(keypoints).__name__
            raise DataError(
                f"{ground_truth.path}: annotation {annotation['id']} has keypoints of length {count}, expected "
                f"{3 * len(skeleton)} for {skeleton.name}"
            )


# ---------------------------------------------------------------------------------------------------------------------
# Our own


def _by_oks(
    ground_truth: GroundTruth,
    annotations: Annotations,
    results: Sequence[Result],
    image_ids: Sequence[int],
    skeleton: Skeleton,
) -> list[float]:
    if not isinstance(results, Results):
        results = Results.of_entries(results, len(skeleton))
    categories = {category["id"] for category in ground_truth.dataset["categories"]}
    taken = _in_order(annotations, categories)
    curves = oks.keypoint_curves(
        truths_of(ground_truth, taken, skeleton), founds_of(results), image_ids, sorted(categories), skeleton.sigmas
    )
    return stats_of(curves)


def counted_annotations(ground_truth: GroundTruth, image_ids: Collection[int], skeleton: Skeleton) -> Annotations:
    """The annotations of these pictures that an evaluation looks at, in its order.

    Errors: DataError as `keypoint_metrics`.
    """
    categories = {category["id"] for category in ground_truth.dataset["categories"]}
    return _in_order(_annotations_of(ground_truth, frozenset(image_ids), skeleton), categories)


def _in_order(annotations: Annotations, categories: Collection[int]) -> Annotations:
    # pycocotools takes annotations by image, and then by their id: of two with the same one, the last stands for both.
    by_id = {annotation["id"]: annotation for annotation in annotations}
    ordered = sorted(annotations, key=lambda annotation: annotation["image_id"])
    return [by_id[annotation["id"]] for annotation in ordered if annotation["category_id"] in categories]


def stats_of(curves: oks.Curves) -> list[float]:
    """The METRICS of precision (T, R, ..., A) and recall (T, ..., A), for the areas all, medium, large."""
    every = np.full(len(oks.THRESHOLDS), True)
    half, three_quarters = oks.THRESHOLDS == 0.5, oks.THRESHOLDS == 0.75
    columns = ((every, oks.ALL), (half, oks.ALL), (three_quarters, oks.ALL), (every, oks.MEDIUM), (every, oks.LARGE))
    return [_mean(c[at, ..., area]) for c in (curves.precision, curves.recall) for at, area in columns]


def _mean(values: NDArray[np.float64]) -> float:
    """Over what is not -1; -1 where all is."""
    there = values[values > -1]
    return float(np.mean(there)) if there.size else -1.0


def truths_of(ground_truth: GroundTruth, annotations: Annotations, skeleton: Skeleton) -> oks.Truths:
    """Annotations that `counted_annotations` gave, as arrays."""

    def numbers(name: str, *shape: int) -> NDArray[np.float64]:
        return _numbers(ground_truth, annotations, name, shape)

    crowd = np.array([bool(annotation["iscrowd"]) for annotation in annotations], np.bool_)
    empty = np.array([annotation["num_keypoints"] == 0 for annotation in annotations], np.bool_)
    return oks.Truths(
        image_ids=np.array([annotation["image_id"] for annotation in annotations], np.int64),
        category_ids=np.array([annotation["category_id"] for annotation in annotations], np.int64),
        keypoints=numbers("keypoints", len(skeleton), 3),
        boxes=numbers("bbox", 4),
        areas=numbers("area"),
        ignored=crowd | empty,
        crowd=crowd,
        counts=np.array([annotation["id"] != 0 for annotation in annotations], np.bool_),
    )


def _numbers(
    ground_truth: GroundTruth, annotations: Annotations, name: str, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """(G, *shape): a field of all annotations, in which it is a number or a flat list of them."""
    length = (math.prod(shape),) if shape else ()
    values = _finite([annotation[name] for annotation in annotations], length)
    if values is None:
        bad = next(annotation for annotation in annotations if _finite([annotation[name]], length) is None)
        raise DataError(f"{ground_truth.path}: annotation {bad['id']} has {name} {bad[name]}, expected numbers")
    return values.reshape(len(annotations), *shape)


def _finite(values: list[Any], length: tuple[int, ...]) -> NDArray[np.float64] | None:
    """(len(values), *length), or None unless all are finite numbers and of that length."""
    if not values:
        return np.empty((0, *length))
    try:
        array = np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    return array if array.shape == (len(values), *length) and np.isfinite(array).all() else None


def founds_of(results: Results) -> oks.Founds:
    """Found persons; their area is that of their box."""
    sides = results.boxes[:, 2:].astype(np.float64)
    return oks.Founds(
        results.image_ids, results.category_ids, results.keypoints, results.scores, sides[:, 0] * sides[:, 1]
    )


# ---------------------------------------------------------------------------------------------------------------------
# pycocotools


def _by_pycocotools(
    ground_truth: GroundTruth,
    annotations: Annotations,
    results: Sequence[Result],
    image_ids: Sequence[int],
    skeleton: Skeleton,
) -> Sequence[float]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    wanted = frozenset(image_ids)
    frame: dict[str, Any] = {
        "images": [image for image in ground_truth.dataset["images"] if image["id"] in wanted],
        "categories": ground_truth.dataset["categories"],
    }
    # pycocotools writes into the entries, so it gets copies.
    truth = frame | {"annotations": [dict(annotation) for annotation in annotations]}
    found = frame | {"annotations": [_as_detection(result, number) for number, result in enumerate(results, 1)]}
    with contextlib.redirect_stdout(io.StringIO()):  # it reports its steps there
        sides = []
        for dataset in (truth, found):
            side = COCO()
            side.dataset = dataset
            side.createIndex()
            sides.append(side)
        scorer = COCOeval(*sides, "keypoints")
        scorer.params.imgIds = image_ids
        scorer.params.kpt_oks_sigmas = np.array(skeleton.sigmas)
        scorer.evaluate()
        scorer.accumulate()
        scorer.summarize()
    stats: Sequence[float] = scorer.stats
    return stats


def _as_detection(result: Mapping[str, Any], number: int) -> dict[str, Any]:
    _, _, width, height = result["bbox"]
    return {**result, "id": number, "area": width * height, "iscrowd": 0}
