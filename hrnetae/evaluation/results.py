"""COCO keypoint results: kept in columns, and written so that the same persons give the same bytes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from hrnetae.files.atomic import atomic_write
from hrnetae.poses import Poses

Result = dict[str, Any]  # image_id, category_id, keypoints (3K numbers), score, bbox (x, y, width, height)

_BLOCK = 1024  # persons that are plain Python numbers at a time


@dataclass(frozen=True, eq=False)
class Results(Sequence[Result]):
    """N found persons as arrays, a few hundred bytes each; as a sequence, COCO results.

    image_ids, category_ids: (N,). keypoints: (N, K, 3) x, y, joint value. scores: (N,). boxes: (N, 4) x, y, width,
    height.
    """

    image_ids: NDArray[np.int64]
    category_ids: NDArray[np.int64]
    keypoints: NDArray[np.floating[Any]]
    scores: NDArray[np.floating[Any]]
    boxes: NDArray[np.floating[Any]]

    @classmethod
    def of_poses(cls, poses: Poses, image_id: int, category_id: int = 1) -> Results:
        """The same persons as ``poses.to_coco(image_id, category_id)``."""
        count = len(poses)
        return cls(
            np.full(count, image_id), np.full(count, category_id), poses.keypoints, poses.person_scores(), poses.boxes()
        )

    @classmethod
    def of_entries(cls, entries: Sequence[Result], joints: int) -> Results:
        """From COCO results as they stand in a file, for a skeleton of so many joints."""
        return cls(
            np.array([entry["image_id"] for entry in entries], np.int64),
            np.array([entry["category_id"] for entry in entries], np.int64),
            np.array([entry["keypoints"] for entry in entries], np.float64).reshape(-1, joints, 3),
            np.array([entry["score"] for entry in entries], np.float64),
            np.array([entry["bbox"] for entry in entries], np.float64).reshape(-1, 4),
        )

    @classmethod
    def joined(cls, parts: Sequence[Results]) -> Results:
        """One after another; at least one part."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[Result]:
        for start in range(0, len(self), _BLOCK):
            yield from self._entries(slice(start, start + _BLOCK))

    @overload
    def __getitem__(self, index: int) -> Result: ...
    @overload
    def __getitem__(self, index: slice) -> Results: ...
    def __getitem__(self, index: int | slice) -> Result | Results:
        if isinstance(index, slice):
            return Results(*(getattr(self, field.name)[index] for field in fields(self)))
        at = range(len(self))[index]
        return self._entries(slice(at, at + 1))[0]

    def _entries(self, rows: slice) -> list[Result]:
        keypoints = self.keypoints[rows].reshape(len(self.scores[rows]), -1)
        columns = (self.image_ids[rows], self.category_ids[rows], keypoints, self.scores[rows], self.boxes[rows])
        names = ("image_id", "category_id", "keypoints", "score", "bbox")
        return [
            dict(zip(names, entry, strict=True)) for entry in zip(*(column.tolist() for column in columns), strict=True)
        ]


def write_results(path: str | os.PathLike[str], results: Results) -> None:
    """Write COCO results as JSON, one person per line, atomically; the text is that of ``json.dumps``.

    Errors: OSError; ValueError for a number that is not finite (JSON has none).
    """
    for column in (results.keypoints, results.scores, results.boxes):
        if not np.isfinite(column).all():
            raise ValueError("results: a number that is not finite, which JSON has no word for")
    with atomic_write(path) as handle:
        handle.write(b"[")
        for start in range(0, len(results), _BLOCK):
            separator = ",\n" if start else ""
            handle.write((separator + ",\n".join(map(json.dumps, results[start : start + _BLOCK]))).encode())
        handle.write(b"]\n")
