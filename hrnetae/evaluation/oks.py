"""COCO's keypoint evaluation: precision and recall by object keypoint similarity (OKS), as pycocotools computes them.

The numbers are pycocotools' to the last bit, by the same float64 operations in the same order. The loops over persons
and joints are compiled (csrc/oks.c); counting and averaging are NumPy's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnetae import _kernels

Doubles = NDArray[np.float64]
Flags = NDArray[np.uint8]
Whole = NDArray[np.int64]

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
MOST_FOUND = 20  # of an image's persons, the best-scored ones, count
AREAS = ((0.0, 1e5**2), (32.0**2, 96.0**2), (96.0**2, 1e5**2))  # all, medium, large; in square pixels
ALL, MEDIUM, LARGE = range(3)

_IMAGES_AT_ONCE = 128  # bounds the memory for exponents
MATCHED, IGNORED = 1, 2  # bits of the kernel's flags


@dataclass(frozen=True, eq=False)
class Truths:
    """G annotated persons. keypoints: (G, K, 3) x, y, visibility; boxes: (G, 4) x, y, width, height.

    ignored: neither finding nor missing them counts. crowd: stands for any number of persons. counts: off where a match
    takes the person, but is none in the end (pycocotools: an annotation with the id 0).
    """

    image_ids: Whole
    category_ids: Whole
    keypoints: Doubles
    boxes: Doubles
    areas: Doubles
    ignored: NDArray[np.bool_]
    crowd: NDArray[np.bool_]
    counts: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Founds:
    """D found persons. keypoints: (D, K, 3) x, y, anything, of either float type."""

    image_ids: Whole
    category_ids: Whole
    keypoints: NDArray[np.floating[Any]]
    scores: NDArray[np.floating[Any]]
    areas: Doubles


@dataclass(frozen=True, eq=False)
class Curves:
    """precision: (T, R, C, A), highest at recall R or beyond; recall: (T, C, A). T thresholds, C categories, A areas.

    -1 where nobody is to be found.
    """

    precision: Doubles
    recall: Doubles


@dataclass(frozen=True, eq=False)
class Persons:
    """The kernel's view of some images (HaeOksPersons in csrc/oks.h)."""

    variances: Doubles
    truth_start: Whole
    truth: Doubles
    bounds: Doubles
    truth_area: Doubles
    found_start: Whole
    found: Doubles


@dataclass(frozen=True, eq=False)
class Rules:
    """The kernel's view of what counts (HaeOksRules in csrc/oks.h)."""

    threshold: Doubles
    truth_ignored: Flags
    truth_crowd: Flags
    truth_counts: Flags
    found_outside: Flags


def keypoint_curves(
    truths: Truths,
    founds: Founds,
    image_ids: Sequence[int],
    category_ids: Sequence[int],
    sigmas: Sequence[float],
) -> Curves:
    """Precision and recall over the images and categories given; persons of others are left out."""
    images, categories = np.unique(image_ids), np.unique(category_ids)
    precision = np.full((len(THRESHOLDS), len(RECALLS), len(categories), len(AREAS)), -1.0)
    recall = np.full((len(THRESHOLDS), len(categories), len(AREAS)), -1.0)
    for c, category in enumerate(categories):
        there = Rows.of(images, truths.image_ids, truths.category_ids == category)
        # By falling score within an image; equal ones keep their order.
        best_first = np.argsort(-founds.scores, kind="stable")
        here = Rows.of(images, founds.image_ids, founds.category_ids == category, best_first, MOST_FOUND)
        ignored = truths.ignored[there.rows] | outside_areas(truths.areas[there.rows])
        outside = outside_areas(founds.areas[here.rows])
        falling = np.argsort(-founds.scores[here.rows], kind="stable")
        flags = match(truths, founds, there, here, sigmas, ignored, outside)[:, :, falling]
        for a in range(len(AREAS)):
            wanted = int(np.count_nonzero(~ignored[a]))
            if wanted:
                precision[:, :, c, a], recall[:, c, a] = accumulate(flags[a], wanted)
    return Curves(precision, recall)


@dataclass(frozen=True, eq=False)
class Rows:
    """Which persons belong to which image: those of image i are rows[start[i] : start[i + 1]]."""

    rows: Whole
    start: Whole

    @classmethod
    def of(
        cls,
        images: Whole,
        image_ids: Whole,
        chosen: NDArray[np.bool_],
        order: Whole | None = None,
        most: int | None = None,
    ) -> Rows:
        """The chosen persons of ``images`` (sorted), within an image in ``order``, ``most`` of them at most."""
        rows = np.arange(len(image_ids)) if order is None else order
        rows = rows[chosen[rows] & np.isin(image_ids[rows], images)]
        place = np.searchsorted(images, image_ids[rows])
        by_image = np.argsort(place, kind="stable")
        rows, place = rows[by_image], place[by_image]
        if most is not None:
            kept = np.arange(len(rows)) - np.searchsorted(place, place) < most
            rows, place = rows[kept], place[kept]
        return cls(rows, np.searchsorted(place, np.arange(len(images) + 1)))

    def chunks(self, images: int) -> Iterator[tuple[Whole, slice, Whole]]:
        """So many images at a time: their rows, where these stand in ``rows``, and ``start`` among them."""
        for first in range(0, len(self.start) - 1, images):
            start = self.start[first : first + images + 1]
            part = slice(int(start[0]), int(start[-1]))
            yield self.rows[part], part, start - start[0]


def outside_areas(areas: Doubles) -> NDArray[np.bool_]:
    """(A, N): whose area is in none of the ranges."""
    return np.stack([(areas < low) | (areas > high) for low, high in AREAS])


def match(
    truths: Truths,
    founds: Founds,
    there: Rows,
    here: Rows,
    sigmas: Sequence[float],
    ignored: NDArray[np.bool_],
    outside: NDArray[np.bool_],
) -> Flags:
    """(A, T, rows of ``here``): the kernel's flags, MATCHED and IGNORED, at THRESHOLDS, for A kinds of persons.

    ignored: (A, rows of ``there``), whom neither to find nor to miss counts. outside: (A, rows of ``here``), who is not
    counted unless matched.
    """
    flags = np.empty((len(ignored), len(THRESHOLDS), len(here.rows)), np.uint8)
    variances = (np.array(sigmas) * 2) ** 2
    least = np.minimum(THRESHOLDS, 1 - 1e-10)
    chunks = zip(there.chunks(_IMAGES_AT_ONCE), here.chunks(_IMAGES_AT_ONCE), strict=True)
    for (truth, truth_part, truth_start), (found, found_part, found_start) in chunks:
        persons = persons_of(truths, founds, truth, truth_start, found, found_start, variances)
        rules = Rules(
            threshold=least,
            truth_ignored=np.ascontiguousarray(ignored[:, truth_part]).view(np.uint8),
            truth_crowd=truths.crowd[truth].view(np.uint8),
            truth_counts=truths.counts[truth].view(np.uint8),
            found_outside=np.ascontiguousarray(outside[:, found_part]).view(np.uint8),
        )
        similarities = np.exp(_kernels.oks_exponents(persons))
        flags[:, :, found_part] = _kernels.oks_match(persons, rules, similarities)
    return flags


def persons_of(
    truths: Truths,
    founds: Founds,
    truth: Whole,
    truth_start: Whole,
    found: Whole,
    found_start: Whole,
    variances: Doubles,
) -> Persons:
    """The kernel's view of the rows ``truth`` and ``found``, which start image by image where the others say."""
    x, y, width, height = truths.boxes[truth].T
    return Persons(
        variances=variances,
        truth_start=truth_start,
        truth=truths.keypoints[truth],
        bounds=np.stack([x - width, y - height, x + width * 2, y + height * 2], axis=1),
        truth_area=truths.areas[truth] + np.spacing(1),
        found_start=found_start,
        found=founds.keypoints[found].astype(np.float64, copy=False),
    )


def accumulate(flags: Flags, wanted: int) -> tuple[Doubles, Doubles]:
    """Precision (T, R) and recall (T,) of found persons by falling score, (T, D), where ``wanted`` were to be found."""
    thresholds, count = flags.shape
    precision, recall = np.zeros((thresholds, len(RECALLS))), np.zeros(thresholds)
    if not count:
        return precision, recall
    for t, flag in enumerate(flags):
        right = np.cumsum(flag == MATCHED)
        wrong = np.cumsum(flag == 0)
        recalls = right / wanted
        precisions = right / (wrong + right + np.spacing(1))
        best_from_here = np.maximum.accumulate(precisions[::-1])[::-1]
        at = np.searchsorted(recalls, RECALLS, side="left")
        reached = at < count
        precision[t, reached] = best_from_here[at[reached]]
        recall[t] = recalls[-1]
    return precision, recall
