"""COCO keypoint results: a file of persons, written so that the same persons give the same bytes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from typing import Any

from hrnetae.files.atomic import atomic_write

Result = dict[str, Any]  # image_id, category_id, keypoints (3K numbers), score, bbox (x, y, width, height)


def write_results(path: str | os.PathLike[str], results: Sequence[Result]) -> None:
    """Write COCO results as JSON, one person per line, atomically.

    Errors: OSError; ValueError for a number that is not finite (JSON has none).
    """
    with atomic_write(path) as handle:
        handle.writelines(_lines(results))


def _lines(results: Sequence[Result]) -> Iterable[bytes]:
    separator = "["
    for result in results:
        yield (separator + json.dumps(result, allow_nan=False)).encode()
        separator = ",\n"
    yield b"]\n" if results else b"[]\n"
