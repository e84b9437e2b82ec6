"""From a histogram of activations to the range that int8 levels are spread over: the four calibrate modes.

max: everything seen. percentile: all but a small share. kl_divergence: the range whose rounded histogram tells least
apart from the whole one (Migacz, 8-bit inference with TensorRT, 2017). mse: the range of least expected squared error,
rounding within it and clipping beyond it (as in Banner et al., Post training 4-bit quantization, 2019, but of the
histogram itself).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from hrnetae.runtime.histograms import BINS, Histogram

PERCENTILE = 0.99999  # the share inside the range; the vendor's own files name no other
LEVELS = 256
_POOL = 2  # bins put together for kl_divergence: 2048 magnitudes are as good, in a quarter of the time
_CANDIDATES = 128
_NARROWEST = 1 / 32  # of the largest magnitude: no candidate of mse cuts deeper

Range = tuple[float, float]


def find_range(histogram: Histogram, mode: str, percentile: float | None = None) -> Range:
    """(low, high) of a tensor by a mode of CALIBRATE_MODES; low <= 0 <= high, both within what was seen and 0."""
    if not histogram.count:
        raise ValueError("an empty histogram")
    low, high = min(histogram.low, 0.0), max(histogram.high, 0.0)
    if mode != "max" and histogram.width:
        cut = _MODES[mode](histogram) if percentile is None or mode != "percentile" else _cut(histogram, percentile)
        low, high = max(low, min(cut[0], 0.0)), min(high, max(cut[1], 0.0))
    return low, high


def _percentile(histogram: Histogram) -> Range:
    return _cut(histogram, PERCENTILE)


def _cut(histogram: Histogram, share: float) -> Range:
    """Outer edges of the bins at which half of the share outside, or less, lies beyond on either side."""
    beyond = int((1 - share) / 2 * histogram.count + 1e-6)  # 1 - 0.99 is a little less than 0.01
    up = np.cumsum(histogram.counts())
    edges = histogram.edges()
    low = int(np.searchsorted(up, beyond, side="right"))
    high = int(np.searchsorted(up, histogram.count - beyond, side="left"))
    return float(edges[low]), float(edges[min(high + 1, BINS)])


def _least_divergence(histogram: Histogram) -> Range:
    """One threshold for the magnitude, on both sides where the values have both signs."""
    counts = histogram.magnitudes().reshape(-1, _POOL).sum(axis=1).astype(np.float64)
    signed = histogram.low < 0 < histogram.high
    levels = LEVELS // 2 if signed else LEVELS
    # Exact zeros, half of all values behind a Relu, are zero at every threshold; they would drown the rest.
    counts[0] -= histogram.zeros
    used = int(np.flatnonzero(counts)[-1]) + 1 if counts.any() else levels
    sizes = np.unique(np.linspace(min(levels, used), used, _CANDIDATES).astype(int))
    divergences = [_divergence(counts[:used], size, levels) for size in sizes]
    threshold = float(sizes[int(np.argmin(divergences))]) * _POOL * histogram.width
    return -threshold, threshold


def _divergence(counts: NDArray[np.float64], size: int, levels: int) -> float:
    """KL divergence of the first ``size`` bins, with what lies beyond added to the last, from their rounding to levels.

    Each level spreads its sum evenly over those of its bins that are not empty.
    """
    whole = counts[:size].copy()
    whole[-1] += counts[size:].sum()
    starts = np.linspace(0, size, levels, endpoint=False).astype(int)
    starts = np.unique(starts)
    sums = np.add.reduceat(counts[:size], starts)
    filled = np.add.reduceat((whole > 0).astype(np.float64), starts)
    even = np.divide(sums, filled, out=np.zeros_like(sums), where=filled > 0)
    rounded = np.where(whole > 0, np.repeat(even, np.diff([*starts, size])), 0.0)
    p, q = whole / max(whole.sum(), 1.0), rounded / max(rounded.sum(), 1.0)
    some = p > 0
    floor = 1e-9  # a bin that holds outliers alone has nothing to be rounded from
    return float((p[some] * np.log(p[some] / np.maximum(q[some], floor))).sum())


def _least_error(histogram: Histogram) -> Range:
    """The clipping, alike on both sides, of least expected squared error.

    A value inside is off by a uniform part of a step: step^2 / 12. Exact zeros are not off at all, as zero is a level.
    """
    counts = histogram.counts().astype(np.float64)
    centres = histogram.edges()[:-1] + histogram.width / 2
    largest = max(-histogram.low, histogram.high)
    best, least = largest, np.inf
    for threshold in np.linspace(largest * _NARROWEST, largest, _CANDIDATES):
        low, high = max(histogram.low, -threshold), min(histogram.high, threshold)
        low, high = min(low, 0.0), max(high, 0.0)
        beyond = np.maximum(centres - high, 0) + np.maximum(low - centres, 0)
        outside = counts[beyond > 0].sum()
        step = (high - low) / (LEVELS - 1)
        error = float((counts * beyond * beyond).sum()) + (histogram.count - histogram.zeros - outside) * step**2 / 12
        if error < least:
            best, least = float(threshold), error
    return -best, best


_MODES: Mapping[str, Callable[[Histogram], Range]] = MappingProxyType(
    {"percentile": _percentile, "kl_divergence": _least_divergence, "mse": _least_error}
)
