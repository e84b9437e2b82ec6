"""Who was matched with whom, picture by picture, so that metrics of other sets of pictures need no new evaluation.

Made for the bootstrap: the metrics of pictures drawn with replacement are those of the same flags, each counted as
often as its picture was drawn. Only found persons that count are kept, and precision is looked at only where one of
them is right, because between two of these it only falls.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.evaluation import oks
from hrnetae.evaluation.ground_truth import GroundTruth
from hrnetae.evaluation.metrics import METRICS, stats_of
from hrnetae.evaluation.oks import IGNORED, MATCHED, Doubles, Whole
from hrnetae.evaluation.results import Results
from hrnetae.evaluation.sides import sides_of
from hrnetae.skeleton import COCO17, Skeleton


@dataclass(frozen=True, eq=False)
class ImageMatches:
    """The matching of COCO's evaluation, for I images and the D found persons that count (20 an image at most).

    image_ids: (I,) int64, rising. wanted: (A, I) int64, persons to be found in each, for the areas all, medium, large.
    scores: (D,) float64, falling. rows: (D,) int64, which of the results. image: (D,) int64, index into image_ids.
    flags: (A, T, D) uint8, for areas and the thresholds OKS 0.50, 0.55 ... 0.95: bit 0 (MATCHED): right; bit 1
        (IGNORED): does not count; 0: wrong.
    """

    image_ids: NDArray[np.int64]
    wanted: NDArray[np.int64]
    scores: NDArray[np.float64]
    rows: NDArray[np.int64]
    image: NDArray[np.int64]
    flags: NDArray[np.uint8]

    @cached_property
    def _line(self) -> _Line:
        return _line_of(self)


def image_matches(
    truth: GroundTruth, results: Results, image_ids: Collection[int], skeleton: Skeleton = COCO17
) -> ImageMatches:
    """Match results with the annotations of the pictures ``image_ids``, once, as COCO's evaluation does.

    Errors: DataError as `keypoint_metrics`, and for annotations of several categories.
    """
    sides = sides_of(truth, results, image_ids, skeleton)
    ignored = sides.coco_ignored
    images = len(sides.image_ids)
    truth_images = sides.truth_images
    falling = np.argsort(-sides.founds.scores, kind="stable")
    return ImageMatches(
        image_ids=sides.image_ids,
        wanted=np.stack([np.bincount(truth_images[~one], minlength=images) for one in ignored]),
        scores=np.asarray(sides.founds.scores[falling], np.float64),
        rows=sides.rows[falling],
        image=sides.found_images[falling],
        flags=sides.flags(ignored, sides.coco_outside)[:, :, falling],
    )


def ap_of(matches: ImageMatches, weights: NDArray[Any] | None = None) -> dict[str, float]:
    """COCO's ten metrics of the images as often as weights (I,) says: whole numbers, 0 or more; None: each once.

    For indices of drawn images: ``weights=np.bincount(indices, minlength=I)``. With None the numbers are those of
    `keypoint_metrics`.
    """
    images = len(matches.image_ids)
    often = np.ones(images, np.int64) if weights is None else np.asarray(weights)
    if often.shape != (images,):
        raise ValueError(f"weights: shape {often.shape}, expected ({images},)")
    return dict(zip(METRICS, map(float, metrics_of(matches, often[None])[0]), strict=True))


def metrics_of(matches: ImageMatches, weights: NDArray[Any]) -> Doubles:
    """(R, 10): the METRICS for each row of ``weights`` (R, I), as `ap_of`. Lets go of the interpreter's lock."""
    return np.array([_metrics(matches, row) for row in np.asarray(weights, np.int64)]).reshape(-1, len(METRICS))


@dataclass(frozen=True, eq=False)
class _Line:
    """Area by area and threshold by threshold (A * T parts), the found persons that count, one after another.

    image: (N,) index. start: (A * T,) where a part begins. right: (M,) places in the line of those who are right;
    right_start: (A * T + 1,) where a part begins among these.
    """

    image: Whole
    start: Whole
    right: Whole
    right_start: Whole


def _line_of(matches: ImageMatches) -> _Line:
    flags = matches.flags.reshape(-1, len(matches.image))
    counts = (flags & IGNORED) == 0
    lengths = counts.sum(axis=1)
    right = flags[counts] == MATCHED
    part = np.repeat(np.arange(len(flags)), lengths)[right]
    return _Line(
        image=np.broadcast_to(matches.image, flags.shape)[counts],
        start=np.cumsum(lengths) - lengths,
        right=np.flatnonzero(right),
        right_start=np.searchsorted(part, np.arange(len(flags) + 1)),
    )


def _metrics(matches: ImageMatches, weights: Whole) -> list[float]:
    if not len(matches.rows):
        return [0.0] * len(METRICS)  # as keypoint_metrics has it
    line = matches._line
    often = weights[line.image]
    seen = np.concatenate([[0], np.cumsum(often)])
    found = np.concatenate([[0], np.cumsum(often[line.right])])
    areas, thresholds = matches.flags.shape[:2]
    wanted = matches.wanted @ weights
    precision = np.full((thresholds, len(oks.RECALLS), areas), -1.0)
    recall = np.full((thresholds, areas), -1.0)
    for part in range(areas * thresholds):
        a, t = divmod(part, thresholds)
        if not wanted[a]:
            continue
        first, last = line.right_start[part : part + 2]
        right = found[first + 1 : last + 1] - found[first]
        counted = seen[line.right[first:last] + 1] - seen[line.start[part]]
        precision[t, :, a], recall[t, a] = _curve(right, counted, int(wanted[a]))
    return stats_of(oks.Curves(precision, recall))


def _curve(right: Whole, counted: Whole, wanted: int) -> tuple[Doubles, float]:
    """Precision at RECALLS, and the recall reached, of how many were right among how many, up to each right one."""
    precision = np.zeros(len(oks.RECALLS))
    if not len(right):
        return precision, 0.0
    recalls = right / wanted
    best_from_here = np.maximum.accumulate((right / (counted + np.spacing(1)))[::-1])[::-1]
    at = np.searchsorted(recalls, oks.RECALLS, side="left")
    reached = at < len(right)
    precision[reached] = best_from_here[at[reached]]
    return precision, float(recalls[-1])
