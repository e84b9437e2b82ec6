"""The two sides of an evaluation, as arrays that several questions are asked of: annotated persons and found ones."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.evaluation import oks
from hrnetae.evaluation.ground_truth import GroundTruth
from hrnetae.evaluation.metrics import counted_annotations, founds_of, truths_of
from hrnetae.evaluation.oks import Doubles, Flags, Founds, Rows, Truths, Whole
from hrnetae.evaluation.results import Results
from hrnetae.files.errors import DataError
from hrnetae.skeleton import Skeleton

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Sides:
    """Annotated and found persons of one category, sorted by picture.

    image_ids: (I,) rising. truths: G annotated persons, founds: D found ones; those of picture i are there.start[i] to
    there.start[i + 1] and here.start[i] to here.start[i + 1]. annotation_ids: (G,).
    founds: by falling score within a picture, 20 at most. rows: (D,), which of the results they are.
    """

    image_ids: Whole
    truths: Truths
    founds: Founds
    annotation_ids: Whole
    rows: Whole
    there: Rows
    here: Rows
    skeleton: Skeleton

    @property
    def truth_images(self) -> Whole:
        """(G,) index into image_ids."""
        return np.repeat(np.arange(len(self.image_ids)), np.diff(self.there.start))

    @property
    def found_images(self) -> Whole:
        """(D,) index into image_ids."""
        return np.repeat(np.arange(len(self.image_ids)), np.diff(self.here.start))

    @property
    def coco_ignored(self) -> Mask:
        """(A, G) whom neither to find nor to miss counts, for COCO's areas: all, medium, large."""
        return self.truths.ignored | oks.outside_areas(self.truths.areas)

    @property
    def coco_outside(self) -> Mask:
        """(A, D) who does not count unless matched, for COCO's areas."""
        return oks.outside_areas(self.founds.areas)

    def flags(self, ignored: Mask, outside: Mask) -> Flags:
        """(A, T, D): COCO's matching; see `oks.match`."""
        return oks.match(self.truths, self.founds, self.there, self.here, self.skeleton.sigmas, ignored, outside)


def sides_of(truth: GroundTruth, results: Results, image_ids: Collection[int], skeleton: Skeleton) -> Sides:
    """The persons of these pictures that COCO's evaluation looks at.

    Errors: DataError as `keypoint_metrics`, and for annotations of several categories.
    """
    annotations = counted_annotations(truth, image_ids, skeleton)
    categories = sorted({annotation["category_id"] for annotation in annotations})
    if len(categories) > 1:
        raise DataError(f"{truth.path}: persons of the categories {categories}, expected one category")
    every = truths_of(truth, annotations, skeleton)
    ids = np.array([annotation["id"] for annotation in annotations], np.int64)
    images = np.unique(np.array(sorted(image_ids), np.int64))
    known = categories or [entry["id"] for entry in truth.dataset["categories"]][:1]
    there = Rows.of(images, every.image_ids, np.isin(every.category_ids, known))
    founds = founds_of(results)
    here = best_founds(images, founds, np.isin(founds.category_ids, known))
    return Sides(
        image_ids=images,
        truths=_truths_at(every, there.rows),
        founds=founds_at(founds, here.rows),
        annotation_ids=ids[there.rows],
        rows=here.rows,
        there=in_place(there),
        here=in_place(here),
        skeleton=skeleton,
    )


def best_founds(images: Whole, founds: Founds, chosen: Mask) -> Rows:
    """Those of ``images`` by falling score within each, 20 at most; equal ones keep their order."""
    best_first = np.argsort(-founds.scores, kind="stable")
    return Rows.of(images, founds.image_ids, chosen, best_first, oks.MOST_FOUND)


def in_place(rows: Rows) -> Rows:
    """The same division of persons that have been put in its order."""
    return Rows(np.arange(len(rows.rows)), rows.start)


def founds_at(founds: Founds, rows: Whole | Mask) -> Founds:
    """Some of them; keypoints and scores become float64, which changes none."""
    return Founds(
        founds.image_ids[rows],
        founds.category_ids[rows],
        founds.keypoints[rows].astype(np.float64),
        founds.scores[rows].astype(np.float64),
        founds.areas[rows],
    )


def _truths_at(truths: Truths, rows: Whole) -> Truths:
    return Truths(
        truths.image_ids[rows],
        truths.category_ids[rows],
        truths.keypoints[rows],
        truths.boxes[rows],
        truths.areas[rows],
        truths.ignored[rows],
        truths.crowd[rows],
        truths.counts[rows],
    )


def precision_recall(flags: Flags, scores: NDArray[np.floating[Any]], wanted: Whole) -> tuple[Doubles, Doubles]:
    """Precision (T, R, A) and recall (T, A) of flags (A, T, D); -1 where nobody is wanted (A,)."""
    areas, thresholds, _ = flags.shape
    precision = np.full((thresholds, len(oks.RECALLS), areas), -1.0)
    recall = np.full((thresholds, areas), -1.0)
    falling = flags[:, :, np.argsort(-scores, kind="stable")]
    for a in range(areas):
        if wanted[a]:
            precision[:, :, a], recall[:, a] = oks.accumulate(falling[a], int(wanted[a]))
    return precision, recall
