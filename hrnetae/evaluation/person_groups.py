"""Annotated persons sorted by what makes them hard, with the bounds of groups.py: who belongs where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hrnetae.evaluation.groups import JOINTS_A_GROUP, OVERLAPS, SIZES, Edges, crowding
from hrnetae.evaluation.oks import Doubles
from hrnetae.evaluation.sides import Sides


@dataclass(frozen=True, eq=False)
class Sorting:
    """One way to sort. name: for JSON; title, unit: to show. names: of the B groups. group: (G,) index of each person's
    group."""

    name: str
    title: str
    unit: str
    names: tuple[str, ...]
    group: NDArray[np.intp]

    def members(self) -> Doubles:
        """(G, B): 1 where a person is in a group, else 0."""
        inside: Doubles = (self.group[:, None] == np.arange(len(self.names))).astype(np.float64)
        return inside


def sort_people(sides: Sides) -> tuple[Sorting, ...]:
    """By size, crowding and number of labelled joints. Each person is in one group of each."""
    size = np.sqrt(np.maximum(sides.truths.areas, 0))
    labelled = np.count_nonzero(sides.truths.keypoints[:, :, 2] > 0, axis=1).astype(np.float64)
    joints: Edges = (*range(1, len(sides.skeleton) + 1, JOINTS_A_GROUP), None)
    return (
        _sorting("size", "Size", "px", SIZES, _names(SIZES, f"under {SIZES[1]}"), size),
        _sorting("crowding", "Crowding", "IoU", OVERLAPS, _names(OVERLAPS, "alone"), crowding(sides)),
        _sorting("visible_joints", "Labelled joints", "", joints, _whole(joints, len(sides.skeleton)), labelled),
    )


def _sorting(name: str, title: str, unit: str, edges: Edges, names: Sequence[str], values: Doubles) -> Sorting:
    lows = np.array([low for low in edges if low is not None], np.float64)
    group = np.clip(np.searchsorted(lows, values, side="right") - 1, 0, len(lows) - 1)
    return Sorting(name, title, unit, tuple(names), group)


def _names(edges: Edges, first: str) -> list[str]:
    """``first``, then ``low to high`` and at the end ``low or more``."""
    lows = [f"{low:g}" if low and low >= 1e-6 else "0" for low in edges if low is not None]
    return [first, *(f"{low} to {high}" for low, high in pairwise(lows[1:])), f"{lows[-1]} or more"]


def _whole(edges: Edges, most: int) -> list[str]:
    firsts = [int(edge) for edge in edges if edge is not None]
    lasts = [*(first - 1 for first in firsts[1:]), most]
    return [str(first) if first == last else f"{first} to {last}" for first, last in zip(firsts, lasts, strict=True)]
