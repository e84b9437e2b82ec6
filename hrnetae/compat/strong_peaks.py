"""Heatmap NMS and top-k of whole maps for grouping alone: it asks only for peaks above the threshold, which are few."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hrnetae.params import DecodeParams
from hrnetae.types import TopK

Array = npt.NDArray[Any]

# Where a larger part of the maps is above the threshold, or left after the nearest neighbours (plateaus), looking at
# pixels one by one is the slower way.
_MOST_ABOVE = 1 / 4
_MOST_LEFT = 1 / 64


def strong_peaks(heat: npt.NDArray[np.float32], tags: Array, params: DecodeParams) -> TopK | None:
    """The candidates that `group_by_tag` looks at, as NMS and top-k find them; zeros in place of the others.

    heat: (K, H, W) float32; tags: (K or 1, H, W, L). None where the dense way has to be taken, or is the faster one:
    a threshold below 0, infinite heat, much of the maps above the threshold.
    """
    if params.detection_threshold < 0 or heat.size == 0:
        return None
    # Of float32 numbers, all that are above the threshold, a double, are at least its float32.
    above = np.flatnonzero(heat >= np.float32(params.detection_threshold))
    if above.size > _MOST_ABOVE * heat.size:
        return None
    places = np.unravel_index(above, heat.shape)
    values = heat[places]
    if not np.isfinite(values).all():
        return None
    highest = _highest_of_window(heat, places, values, params.nms_kernel // 2)
    return None if highest is None else _best(highest, tags, heat, params.max_num_people)


def _highest_of_window(heat: Array, places: tuple[Array, ...], values: Array, reach: int) -> tuple[Array, ...] | None:
    """Of pixels (joint, y, x), those that no pixel of their window exceeds; None where too many are left."""
    steps = range(-reach, reach + 1)
    around = sorted(
        ((dy, dx) for dy in steps for dx in steps if dy or dx), key=lambda step: step[0] ** 2 + step[1] ** 2
    )
    for number, (dy, dx) in enumerate(around):
        joint, y, x = places
        # Clipped, a neighbour outside the map becomes one of the window's pixels inside. A NaN exceeds nothing.
        beside = heat[joint, np.clip(y + dy, 0, heat.shape[1] - 1), np.clip(x + dx, 0, heat.shape[2] - 1)]
        kept = ~(beside > values)
        places, values = tuple(axis[kept] for axis in places), values[kept]
        if number == 3 and values.size > _MOST_LEFT * heat.size:
            return None
    return places


def _best(places: tuple[Array, ...], tags: Array, heat: Array, most: int) -> TopK:
    """The best ``most`` pixels of each joint: larger value first, then y, then x."""
    joints, count, length = len(heat), min(most, heat[0].size), tags.shape[-1]
    order = np.lexsort((-heat[places], places[0]))  # stable, and the pixels come in the order of y and x
    joint, y, x = (axis[order] for axis in places)
    rank = np.arange(joint.size) - np.searchsorted(joint, joint)
    kept = rank < count
    joint, y, x, rank = joint[kept], y[kept], x[kept], rank[kept]
    found = TopK(
        np.zeros((joints, count), np.float32),
        np.zeros((joints, count), np.int32),
        np.zeros((joints, count), np.int32),
        np.zeros((joints, count, length), np.float32),
    )
    for array, column in zip(found, (heat[joint, y, x], x, y, tags[joint % len(tags), y, x]), strict=True):
        array[joint, rank] = column
    return found
