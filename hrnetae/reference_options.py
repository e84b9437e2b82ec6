"""The options beyond the reference in plain NumPy, one function each: what the kernels are tested against.

docs/tuning.md says what they are for and what they are worth. Shapes and names are those of hrnetae.reference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.params import DecodeParams
from hrnetae.reference_maps import Float32, Float64, Scales, Size, finest_heat
from hrnetae.skeleton import Skeleton
from hrnetae.types import TopK

Mask = NDArray[np.bool_]
# Candidates' tags (n, L) and values (n,), persons' mean tags and the parameters: the person of each candidate, or -1.
Match = Callable[[Float32, Float32, list[Float32], DecodeParams], list[int]]

_PLAIN_SIGMA = 0.07  # for a skeleton without sigmas
_FAR = 20.0  # exponents of the similarity from here on add nothing


def average_tags(candidates: TopK, tags: Float32, window: int) -> TopK:
    """Candidates whose tags are means over the finite tags of window x window pixels; tags: (K or 1, H, W, L)."""
    reach, length = window // 2, tags.shape[3]
    averaged = np.full(candidates.tags.shape, np.nan, np.float32)
    for joint, place in np.ndindex(*candidates.x.shape):
        x, y = candidates.x[joint, place], candidates.y[joint, place]
        rows, columns = slice(max(0, y - reach), y + reach + 1), slice(max(0, x - reach), x + reach + 1)
        near = tags[joint % len(tags), rows, columns].reshape(-1, length)
        near = near[np.isfinite(near).all(axis=1)]
        if len(near):  # added one after the other, as the kernels do
            averaged[joint, place] = np.add.accumulate(near, axis=0)[-1] / np.float32(len(near))
    return candidates._replace(tags=averaged)


def group_again(
    persons: Float32, means: list[Float32], candidates: TopK, params: DecodeParams, order: Any, match: Match
) -> Float32:
    """The second pass: persons (P, K, 3 + L) whose joints are given away again by the final mean tags."""
    again = persons.copy()
    for joint in order:
        values = candidates.values[joint]
        kept = (values.astype(np.float64) > params.detection_threshold) & np.isfinite(values)
        if not kept.any():
            continue
        again[:, joint] = 0
        tags = candidates.tags[joint][kept]
        rows = np.column_stack([candidates.x[joint][kept], candidates.y[joint][kept], values[kept]])
        for row, tag, person in zip(rows, tags, match(tags, values[kept], means, params), strict=True):
            if person >= 0:
                again[person, joint] = (*row, *tag)
    return np.asarray(again[(again[:, :, 2] != 0).any(axis=1)], np.float32)


@np.errstate(all="ignore")
def fit_positions(
    persons: Float32,
    output: Any,
    flipped: Any,
    map_size: Size,
    params: DecodeParams,
    skeleton: Skeleton,
    scales: Scales,
) -> Float32:
    """Persons on maps of map_size, their joints at the vertex of the log-heat's parabola on the network's own map."""
    heat = finest_heat(output, flipped, params, skeleton, scales)
    height, width = heat.shape[1:]
    across, down = map_size[0] / width, map_size[1] / height
    fitted = persons.copy()
    for person, joint in zip(*np.nonzero(persons[:, :, 2] > 0), strict=True):
        inside = np.pad(heat[joint], 1, constant_values=-np.inf)
        x, y = (
            int(np.trunc(np.float32(persons[person, joint, axis] / per_cell)))
            for axis, per_cell in ((0, across), (1, down))
        )
        x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
        near = inside[y : y + 3, x : x + 3]
        if near.max() > near[1, 1]:
            v, u = divmod(int(near.argmax()), 3)
            x, y = x + u - 1, y + v - 1
        cell = np.pad(heat[joint], 3, mode="edge")[y + 2 : y + 5, x + 2 : x + 5].astype(np.float64)
        fitted[person, joint, 0] = (x + 0.5 + _vertex(cell[1])) * across
        fitted[person, joint, 1] = (y + 0.5 + _vertex(cell[:, 1])) * down
    return fitted


def _vertex(three: Float64) -> float:
    """Where the parabola through three log-heats has its top, from the middle one; 0 where it has none."""
    before, middle, after = three
    if not (before > 0 and after > 0 and middle >= before and middle >= after):
        return 0.0
    left, centre, right = np.log(three)
    bend = left - 2 * centre + right
    return float(0.5 * (left - right) / bend) if bend < 0 else 0.0


def other_scores(persons: Float32, formula: str) -> Float32:
    """(P,) of persons (P, K, 3 + L) before refine: "found" or "geometric"."""
    values = persons[:, :, 2]
    total = np.array([row.sum() for row in values], np.float32).astype(np.float64)
    found = np.maximum((values > 0).sum(axis=1), 1)
    over_found = np.where((values > 0).any(axis=1), total / found, 0)
    if formula == "found":
        return over_found.astype(np.float32)
    return np.asarray(np.sqrt(np.maximum(over_found * (total / values.shape[1]), 0)), np.float32)


def exact_back_project(x: Float32, y: Float32, map_size: Size, image_size: Size, input_size: Size) -> Any:
    """Positions on a map to pixels of the image, through the letterbox of the network's input as it was rounded."""
    scale = min(input_size[0] / image_size[0], input_size[1] / image_size[1])
    moved = []
    for place, cells, length, room in zip((x, y), map_size, image_size, input_size, strict=True):
        resized = max(1, round(length * scale))
        start = (room - resized) // 2
        moved.append(((place.astype(np.float64) * room / cells - start) * length / resized).astype(np.float32))
    return moved


def similarity(one: Float32, other: Float32, area: float, skeleton: Skeleton) -> float:
    """OKS of two persons' keypoints (K, 2 or more), with this area in the annotation's place."""
    sigmas = np.array(skeleton.sigmas or (_PLAIN_SIGMA,) * len(skeleton))
    squares = np.square(one[:, :2].astype(np.float64) - other[:, :2]).sum(axis=1)
    exponent = squares / (2 * area * (2 * sigmas) ** 2)
    return float(np.where(exponent < _FAR, np.exp(-exponent), 0).sum() / len(sigmas))


def _box(keypoints: Float32, chosen: Mask) -> tuple[float, float]:
    """Width and height of the box around the chosen joints, without the pixel that a box has at least."""
    if not chosen.any():
        return 0.0, 0.0
    span = np.ptp(keypoints[chosen, :2].astype(np.float64), axis=0)
    return float(span[0]), float(span[1])


def kept_persons(keypoints: Float32, scores: Float32, most: float, skeleton: Skeleton) -> list[int]:
    """Who stays of persons (P, K, 3) when those like a better one by more than ``most`` are dropped; rising."""
    kept: list[int] = []
    for person in np.argsort(-scores, kind="stable").tolist():
        for better in kept:
            width, height = _box(keypoints[better], keypoints[better, :, 2] > 0)
            area = (width + 1) * (height + 1)
            if similarity(keypoints[better], keypoints[person], area, skeleton) > most:
                break
        else:
            kept.append(person)
    return sorted(kept)


def person_features(keypoints: Float32, tags: Float32, found: Mask, image_size: Size, skeleton: Skeleton) -> Float64:
    """(P, F), see hrnetae.rescoring.FEATURES. keypoints: (P, K, 3) in the image; tags: (P, K, L); found: (P, K)."""
    count, joints = found.shape
    if not count:
        return np.zeros((0, 22))
    values = keypoints[:, :, 2].astype(np.float64)
    number = found.sum(axis=1)
    some = np.maximum(number, 1)
    own = np.where(found, values, 0)
    filled = ~found & (values > 0)
    mean, over_found = own.sum(axis=1) / joints, own.sum(axis=1) / some
    mean_tags = np.where(found[..., None], tags.astype(np.float64), 0).sum(axis=1) / some[:, None]
    spread = np.where(found[..., None], (tags - mean_tags[:, None]) ** 2, 0).sum(axis=(1, 2)) / some
    boxes = np.array([_box(one, one[:, 2] > 0) for one in keypoints]) + 1
    cores = np.array([_box(*both) for both in zip(keypoints, found, strict=True)])
    area, side = boxes.prod(axis=1), max(image_size)
    alike = np.array(
        [[0 if a == b else similarity(keypoints[a], keypoints[b], area[a] / 2, skeleton) for b in range(count)]
         for a in range(count)]
    )  # fmt: skip
    better = mean[None] > mean[:, None]
    nearest = np.linalg.norm(mean_tags[:, None] - mean_tags[None], axis=2) + np.diag([np.inf] * count)
    lead = np.where(alike.max(axis=1) > 0, mean - mean[alike.argmax(axis=1)], 0)
    placed = (own.sum(axis=1) + np.where(filled, values, 0).sum(axis=1)) / joints
    columns = (
        mean,
        over_found,
        np.sqrt(np.maximum(mean * over_found, 0)),
        np.log(np.maximum(mean, 0) + 0.01),
        np.log(np.maximum(over_found, 0) + 0.01),
        own.max(axis=1),
        np.where(number > 0, np.where(found, values, np.inf).min(axis=1), 0),
        number / joints,
        np.log(some),
        filled.sum(axis=1) / joints,
        np.where(filled, values, 0).sum(axis=1) / np.maximum(filled.sum(axis=1), 1),
        np.minimum(np.sqrt(spread), 10),
        np.log(np.sqrt(area) / side),
        np.log((cores.max(axis=1) + 4) / side),
        np.log(boxes[:, 1] / boxes[:, 0]),
        np.full(count, np.log(count)),
        alike.max(axis=1),
        np.where(better, alike, 0).max(axis=1),
        lead,
        np.log(np.clip(nearest.min(axis=1), 0.01, 9)),
        placed,
        np.log(np.maximum(placed, 0) + 0.01),
    )
    return np.column_stack(columns)
