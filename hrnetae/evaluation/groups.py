"""AP and AR by what annotated persons have in common: their size, how crowded they stand, how many joints are labelled.

In a group's AP the annotated persons of other groups are ignored, as COCO ignores those of other areas. A found person
who matches nobody belongs to the group of the annotated person that it is most similar to, and counts in no group where
it is similar to nobody (OKS below 0.1): such false positives are in the overall AP alone. Only the groups "coco_size"
follow COCO's rule there, by the area of the found person's box, so that they are AP (M) and AP (L).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.evaluation import oks
from hrnetae.evaluation.findings import Group, Grouping
from hrnetae.evaluation.matching import Matching
from hrnetae.evaluation.oks import Doubles
from hrnetae.evaluation.sides import Mask, Sides, precision_recall

Edges = Sequence[float | None]

SIZES: Edges = (0, 32, 64, 96, 128, 192, 256, None)  # pixels, square roots of areas
OVERLAPS: Edges = (0, 1e-9, 0.1, 0.2, 0.35, None)  # intersection over union
JOINTS_A_GROUP = 5


def groupings_of(sides: Sides, matching: Matching) -> tuple[Grouping, ...]:
    """By size as COCO has it, by size, by crowding and by labelled joints."""
    size = np.sqrt(np.maximum(sides.truths.areas, 0))
    labelled = np.count_nonzero(sides.truths.keypoints[:, :, 2] > 0, axis=1)
    joints: Edges = (*range(1, len(sides.skeleton) + 1, JOINTS_A_GROUP), None)
    return (
        _by_coco_size(sides, matching),
        _grouping(sides, matching, "size", "Size", "px", size, SIZES, _size_names()),
        _grouping(
            sides, matching, "crowding", "Crowding", "IoU", crowding(sides), OVERLAPS, ("alone", *_ranges(OVERLAPS)[1:])
        ),
        _grouping(
            sides,
            matching,
            "visible_joints",
            "Labelled joints",
            "",
            labelled,
            joints,
            _whole(joints, len(sides.skeleton)),
        ),
    )


def crowding(sides: Sides) -> Doubles:
    """(G,) the highest intersection over union of a person's box with that of another (crowds apart) of its picture."""
    highest = np.zeros(len(sides.annotation_ids))
    single = ~sides.truths.crowd
    for first, last in zip(sides.there.start[:-1].tolist(), sides.there.start[1:].tolist(), strict=True):
        if last - first < 2:
            continue
        overlap = _overlaps(sides.truths.boxes[first:last])
        np.fill_diagonal(overlap, 0)
        highest[first:last] = np.max(overlap[:, single[first:last]], axis=1, initial=0)
    return highest


def _overlaps(boxes: Doubles) -> Doubles:
    """(n, n) intersection over union of (n, 4) x, y, width, height."""
    low, sides = boxes[:, :2], boxes[:, 2:]
    high = low + sides
    common = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    shared = np.maximum(common, 0).prod(axis=2)
    areas = sides.prod(axis=1)
    union = areas[:, None] + areas - shared
    shares: Doubles = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return shares


def _by_coco_size(sides: Sides, matching: Matching) -> Grouping:
    kinds = [oks.MEDIUM, oks.LARGE]
    bounds: list[tuple[float, float | None]] = [(32, 96), (96, None)]
    inside = ~oks.outside_areas(sides.truths.areas)[kinds]
    groups = _groups(sides, matching, ("medium", "large"), bounds, inside, sides.coco_outside[kinds])
    return Grouping("coco_size", "Size as COCO has it", "px", groups)


def _grouping(
    sides: Sides,
    matching: Matching,
    name: str,
    title: str,
    unit: str,
    values: NDArray[Any],
    edges: Edges,
    names: Sequence[str],
) -> Grouping:
    bounds = [(float(low or 0), high) for low, high in pairwise(edges)]
    inside = np.stack([(values >= low) & (values < (np.inf if high is None else high)) for low, high in bounds])
    near = matching.nearest
    outside = np.ones((len(bounds), len(near)), np.bool_)
    outside[:, near >= 0] = ~inside[:, near[near >= 0]]
    return Grouping(name, title, unit, _groups(sides, matching, names, bounds, inside, outside))


def _groups(
    sides: Sides,
    matching: Matching,
    names: Sequence[str],
    bounds: Sequence[tuple[float, float | None]],
    inside: Mask,
    outside: Mask,
) -> tuple[Group, ...]:
    """inside: (groups, G), who belongs to each; outside: (groups, D), who does not count in it unless matched."""
    ignored = sides.truths.ignored | ~inside
    wanted = np.count_nonzero(~ignored, axis=1)
    precision, recall = precision_recall(sides.flags(ignored, outside), sides.founds.scores, wanted)
    groups = []
    for number, (name, (low, high)) in enumerate(zip(names, bounds, strict=True)):
        partners = matching.found[~ignored[number]]
        similar = matching.oks[partners[partners >= 0]]
        ap = precision[:, :, number]
        groups.append(
            Group(
                name=name,
                low=low,
                high=high,
                persons=int(wanted[number]),
                paired=len(similar),
                mean_oks=float(similar.mean()) if len(similar) else None,
                ap=float(ap.mean()),
                ap50=float(ap[0].mean()),
                ap75=float(ap[oks.THRESHOLDS == 0.75].mean()),
                ar=float(recall[:, number].mean()),
            )
        )
    return tuple(groups)


def _size_names() -> list[str]:
    return [f"under {SIZES[1]}", *_ranges(SIZES)[1:]]


def _ranges(edges: Edges) -> list[str]:
    names = []
    for low, high in pairwise(edges):
        shown = f"{low or 0:g}" if (low or 0) >= 1e-6 else "0"
        names.append(f"{shown} or more" if high is None else f"{shown} to {high:g}")
    return names


def _whole(edges: Edges, most: int) -> list[str]:
    firsts = [int(edge) for edge in edges if edge is not None]
    lasts = [*(first - 1 for first in firsts[1:]), most]
    return [str(first) if first == last else f"{first} to {last}" for first, last in zip(firsts, lasts, strict=True)]
