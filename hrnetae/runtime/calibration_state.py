"""What a calibration has counted so far, on disk: a build that was stopped goes on with the next picture."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.files.npz import write_arrays
from hrnetae.runtime.histograms import BINS, Histogram

_FORMAT = "hrnetae calibration 1"
_SHARE = 20  # writing takes at most one part in so many of the time


@dataclass
class Counted:
    """What the first ``done`` files gave.

    histograms: tensor name -> its histogram. bad: a line for each file that could not be read; left_out: their names.
    """

    histograms: Mapping[str, Histogram]
    done: int
    bad: list[str]
    left_out: list[str]


class CalibrationState:
    """A file of counts. The build holds the lock of its model folder all the while.

    path: the file. recipe: what the counts are of (recipe.py); those of another one are not taken up.
    """

    def __init__(self, path: Path, recipe: str) -> None:
        self.path = path
        self._recipe = recipe
        self._next = 0.0  # on the monotonic clock

    def load(self, tensors: Sequence[str]) -> Counted:
        """Of the earlier build; nothing counted where there is none like this one, or its file is damaged."""
        try:
            with np.load(io.BytesIO(self.path.read_bytes()), allow_pickle=False) as arrays:
                about = json.loads(arrays["about"].tobytes())
                if about["format"] != _FORMAT or about["recipe"] != self._recipe or about["tensors"] != list(tensors):
                    raise ValueError("of another build")
                floats, integers, counts = arrays["floats"], arrays["integers"], arrays["counts"]
            histograms, rows = {}, iter(counts)
            for number, name in enumerate(tensors):
                low, high, width = map(float, floats[number])
                count, zeros, binned = map(int, integers[number])
                bins = next(rows) if binned else np.zeros(BINS, np.int64)
                histograms[name] = Histogram.restored(low, high, width, count, zeros, bins)
            return Counted(histograms, int(about["done"]), list(about["bad"]), list(about["left_out"]))
        except (OSError, EOFError, ValueError, KeyError, TypeError, IndexError, StopIteration, zipfile.BadZipFile):
            return Counted({name: Histogram() for name in tensors}, 0, [], [])

    def keep(self, counted: Counted) -> None:
        """Write what is counted, whole or not at all; nothing where that would take too much of the time."""
        begin = time.monotonic()
        if begin < self._next:
            return
        histograms = list(counted.histograms.values())
        bins = [one.counts() for one in histograms]
        binned = [bool(one.any()) for one in bins]  # none where extents are enough
        about = {
            "format": _FORMAT,
            "recipe": self._recipe,
            "tensors": list(counted.histograms),
            "done": counted.done,
            "bad": counted.bad,
            "left_out": counted.left_out,
        }
        integers = [(one.count, one.zeros, some) for one, some in zip(histograms, binned, strict=True)]
        arrays: dict[str, NDArray[Any]] = {
            "about": np.frombuffer(json.dumps(about).encode(), np.uint8),
            "floats": np.array([(one.low, one.high, one.width) for one in histograms], np.float64).reshape(-1, 3),
            "integers": np.array(integers, np.int64).reshape(-1, 3),
            "counts": np.array(list(compress(bins, binned)), np.int64).reshape(-1, BINS),
        }
        write_arrays(self.path, arrays)
        end = time.monotonic()
        self._next = end + _SHARE * (end - begin)

    def remove(self) -> None:
        """The model is there, or is built from the beginning."""
        self.path.unlink(missing_ok=True)
