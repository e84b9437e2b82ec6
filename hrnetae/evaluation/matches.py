"""Who was matched with whom, picture by picture, so that metrics of other sets of pictures need no new evaluation."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.evaluation.ground_truth import GroundTruth
from hrnetae.evaluation.results import Results
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


def image_matches(
    truth: GroundTruth, results: Results, image_ids: Collection[int], skeleton: Skeleton = COCO17
) -> ImageMatches:
    """Match results with the annotations of the pictures ``image_ids``, once, as COCO's evaluation does."""
    raise NotImplementedError


def ap_of(matches: ImageMatches, weights: NDArray[Any] | None = None) -> dict[str, float]:
    """COCO's ten metrics of the images as often as weights (I,) says: whole numbers, 0 or more; None: each once.

    For indices of drawn images: ``weights=np.bincount(indices, minlength=I)``.
    """
    raise NotImplementedError
