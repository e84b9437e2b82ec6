"""Histograms of activations that grow picture by picture in constant memory.

The bins' width is a power of two, and zero lies on the edge between two bins. Where a value falls outside, the width is
doubled by putting bins together in pairs, which loses nothing: the result does not depend on the order of the pictures.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

BINS = 8192  # half of them below zero; 16 to each of the 256 levels of int8 where all of the range is used


class Histogram:
    """Counts of values, with their exact extent.

    low, high: least and largest value. count: how many values; zeros: how many of them are exactly 0.
    width: of a bin, a power of two; 0 while nothing but zeros was seen.
    """

    def __init__(self) -> None:
        self.low = math.inf
        self.high = -math.inf
        self.count = 0
        self.zeros = 0
        self.width = 0.0
        self._counts = np.zeros(BINS, np.int64)

    @classmethod
    def restored(
        cls, low: float, high: float, width: float, count: int, zeros: int, counts: NDArray[np.int64]
    ) -> Histogram:
        """One that goes on where another was. counts: (BINS,) int64, see ``counts``. Errors: ValueError for others."""
        if counts.shape != (BINS,) or counts.dtype != np.int64:
            raise ValueError(f"counts: {counts.dtype} {counts.shape}, expected int64 ({BINS},)")
        histogram = cls()
        histogram.low, histogram.high, histogram.width = low, high, width
        histogram.count, histogram.zeros = count, zeros
        histogram._counts[:] = counts
        return histogram

    def add(self, values: NDArray[np.float32], extent_only: bool = False) -> None:
        """Count float32 values of any shape. extent_only: low, high and count alone, which is faster.

        Errors: ValueError for values that are not finite.
        """
        if not values.size:
            return
        low, high = float(values.min()), float(values.max())
        if not (math.isfinite(low) and math.isfinite(high)):  # a NaN makes both NaN
            raise ValueError("values that are not finite")
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.count += values.size
        if extent_only:
            return
        self.zeros += values.size - int(np.count_nonzero(values))
        self._widen(max(-low, high))
        if self.width:
            # Multiplying by a power of two is exact, so a value on an edge falls to the right of it.
            positions = np.floor(values.reshape(-1) * np.float32(1 / self.width)).astype(np.int64)
            self._counts += np.bincount(positions + BINS // 2, minlength=BINS)
        else:
            self._counts[BINS // 2] += values.size

    def counts(self) -> NDArray[np.int64]:
        """(BINS,) int64: how many values lie in [edge, edge + width), see ``edges``."""
        return self._counts.copy()

    def edges(self) -> NDArray[np.float64]:
        """(BINS + 1,) float64: the bins' borders, ascending, the middle one 0."""
        return (np.arange(BINS + 1, dtype=np.float64) - BINS // 2) * np.float64(self.width)

    def magnitudes(self) -> NDArray[np.int64]:
        """(BINS / 2,) int64: how many values' magnitudes lie in [i width, (i + 1) width)."""
        half = BINS // 2
        return self._counts[half:] + self._counts[:half][::-1]

    def _widen(self, largest: float) -> None:
        """Double the width until ``largest`` falls inside; the first time, take the least that does."""
        if not largest:
            return
        if not self.width:
            # Below the least width, whose inverse float32 still has, values are zero for every purpose here.
            self.width = max(2.0 ** math.ceil(math.log2(largest / (BINS // 2))), 2.0**-100)
        while largest >= self.width * (BINS // 2):
            self._double()

    def _double(self) -> None:
        pairs = self._counts.reshape(BINS // 2, 2).sum(axis=1)
        self._counts[:] = 0
        self._counts[BINS // 4 : BINS // 4 + BINS // 2] = pairs
        self.width *= 2
