"""COCO keypoint results read from a file, as `results.write_results` and other tools write them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.evaluation.results import Results
from hrnetae.files.errors import DataError
from hrnetae.foreign import read_file, shown
from hrnetae.skeleton import COCO17, Skeleton

_LARGEST_ID = 2**62
_LARGEST = 1 << 32  # bytes
_NUMBERS = frozenset((int, float))
_WANTED = "image_id, category_id, keypoints, score (https://cocodataset.org/#format-results)"


def read_results(path: str | os.PathLike[str], skeleton: Skeleton = COCO17) -> Results:
    """The persons of a COCO results file (JSON). A missing ``bbox`` is the smallest box around all of the keypoints.

    Errors: DataError, which names the file and the first entry that is not as it should be.
    """
    entries = _read_list(Path(path))
    for number, entry in enumerate(entries):
        complaint = _complaint(entry, 3 * len(skeleton))
        if complaint:
            raise DataError(f"{os.fspath(path)}: entry {number} {complaint}")
    keypoints = _numbers(path, "keypoints", [entry["keypoints"] for entry in entries], 3 * len(skeleton))
    keypoints = keypoints.reshape(-1, len(skeleton), 3)
    return Results(
        np.array([entry["image_id"] for entry in entries], np.int64),
        np.array([entry["category_id"] for entry in entries], np.int64),
        keypoints,
        _numbers(path, "score", [[entry["score"]] for entry in entries], 1).reshape(-1),
        _boxes(path, entries, keypoints),
    )


def _read_list(path: Path) -> list[Any]:
    try:
        found = json.loads(read_file(path, _LARGEST))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}, expected COCO results (JSON)") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: malformed JSON ({error}), expected COCO results") from None
    if not isinstance(found, list):
        raise DataError(f"{path}: a JSON {_kind(found)}, expected COCO results: a list of persons")
    return found


def _complaint(entry: Any, length: int) -> str | None:
    if not isinstance(entry, dict):
        return f"is a {_kind(entry)}, expected an object with {_WANTED}"
    for name in ("image_id", "category_id"):
        if type(entry.get(name)) is not int or abs(entry[name]) > _LARGEST_ID:
            return f"has {_found(entry, name)}, expected a whole number; {_WANTED}"
    if type(entry.get("score")) not in (int, float):
        return f"has {_found(entry, 'score')}, expected a number; {_WANTED}"
    keypoints = entry.get("keypoints")
    if not isinstance(keypoints, list):
        return f"has {_found(entry, 'keypoints')}, expected a list of {length} numbers; {_WANTED}"
    if len(keypoints) != length:
        return f"has {len(keypoints)} numbers as keypoints, expected {length}"
    box = entry.get("bbox")
    if box is not None and (not isinstance(box, list) or len(box) != 4):
        return f"has {_found(entry, 'bbox')}, expected x, y, width, height"
    return None


def _numbers(path: str | os.PathLike[str], name: str, rows: Sequence[list[Any]], width: int) -> NDArray[np.float64]:
    """(N, width): ``rows`` of that length each, which must hold finite numbers."""
    if not rows:
        return np.empty((0, width))
    array = _finite(rows)
    if array is None:
        bad = next(number for number, row in enumerate(rows) if _finite([row]) is None)
        raise DataError(f"{os.fspath(path)}: entry {bad} has something else than finite numbers as {name}")
    return array


def _finite(rows: Sequence[list[Any]]) -> NDArray[np.float64] | None:
    # Types first: NumPy would make text of all numbers beside one text, each as long as that.
    if not all(set(map(type, row)) <= _NUMBERS for row in rows):
        return None
    try:
        array = np.array(rows, np.float64)
    except OverflowError:  # a whole number of hundreds of digits
        return None
    return array if np.isfinite(array).all() else None


def _boxes(
    path: str | os.PathLike[str], entries: Sequence[Mapping[str, Any]], keypoints: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N, 4): as they stand in the file or, where they are missing, around the keypoints."""
    points = keypoints[:, :, :2]
    low = points.min(axis=1)
    boxes = np.concatenate([low, points.max(axis=1) - low], axis=1)
    given = [number for number, entry in enumerate(entries) if entry.get("bbox") is not None]
    boxes[given] = _numbers(path, "bbox", [entries[number]["bbox"] for number in given], 4)
    return boxes


def _found(entry: Mapping[str, Any], name: str) -> str:
    if name not in entry:
        return f"no {name}"
    return f"{shown(entry[name], 44, json.dumps)} as {name}"


def _kind(value: Any) -> str:
    return {dict: "object", list: "list", str: "string", bool: "truth value", type(None): "null"}.get(
        type(value), "number"
    )
