"""Drawn network outputs: people whose joints are known, as the maps that a pose network would have made of them.

For the benchmarks and the tests. No picture is involved: jointed figures are placed in an empty picture,
and each joint becomes a Gaussian blob in its heatmap and a patch of its person's tag in its tag map. The mirrored
output is drawn on its own, so that the two disagree as a network's do. Everything follows from the random generator
that is passed in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hrnetae.params import check_size
from hrnetae.skeleton import COCO17, Skeleton

Half = NDArray[np.float16]
Float = NDArray[np.float64]

SIGMA = 2.0  # cells, of every blob
TAG_SPACING = 1.6  # between the tags of two people, before jitter
STANDING_HEIGHT = (70.0, 340.0)  # pixels, in a picture whose longer side is 640


@dataclass(frozen=True)
class Scene:
    """One drawn picture.

    output, flipped: float16 (2K, H, W), K heatmaps and then K tag maps, of the picture and of the mirrored picture;
        with two stages a tuple of that and (K, 2H, 2W) heatmaps. What ``Decoder.decode`` takes.
    image_size: (width, height) of the picture in pixels.
    annotations: one COCO person annotation per figure, still without ``id`` and ``image_id``.
    """

    output: Half | tuple[Half, ...]
    flipped: Half | tuple[Half, ...]
    image_size: tuple[int, int]
    annotations: list[dict[str, Any]] = field(default_factory=list)


def draw_scene(
    rng: np.random.Generator,
    people: int,
    image_size: tuple[int, int],
    map_size: tuple[int, int] = (128, 128),
    stages: int = 1,
    noise: float = 0.0,
    skeleton: Skeleton = COCO17,
) -> Scene:
    """A picture of ``image_size`` (width, height) pixels with ``people`` figures, as the outputs of a network.

    map_size: (W, H) of the first stage's maps, in cells. The picture lies centred in a square of its longer side,
        and that square fills the map.
    stages: 1, or 2 for a second stage of heatmaps at twice the map's size.
    noise: 0 draws clean blobs where the joints are and constant tags. 1 is roughly a good network: blobs a little off,
        some missing, faint false ones, tags that waver, and a low coarse noise everywhere. Larger is worse.
    """
    if people < 0:
        raise ValueError(f"people: {people}, expected 0 or more")
    if stages not in (1, 2):
        raise ValueError(f"stages: {stages}, expected 1 or 2")
    if noise < 0:
        raise ValueError(f"noise: {noise}, expected 0 or more")
    image_size = check_size("image_size", image_size)
    map_size = check_size("map_size", map_size)
    figures, seen, heights = _place_figures(rng, people, image_size, skeleton)
    annotations = [
        _annotation(joints, shown, height, image_size)
        for joints, shown, height in zip(figures, seen, heights, strict=True)
    ]

    width, height = image_size
    side = max(image_size)
    cells = (figures - np.array(image_size) / 2 + side / 2) / side  # 0..1 across the padded square
    # What the network believes: one error for both outputs, in parts of the figure and of the map.
    error = rng.normal(size=figures.shape) * noise
    cells = cells + error * (0.004 * heights[:, None, None] / side + 0.1 / 128)
    drawn = seen & (rng.random(seen.shape) >= 0.05 * noise)
    peaks = rng.uniform(0.5, 0.95, size=seen.shape)
    tags = _person_tags(rng, people)

    mirror = np.array(skeleton.flip_index)
    outputs = []
    for flip in (False, True):
        at = cells + rng.normal(size=cells.shape) * (0.1 * noise / 128)
        shown, peak = drawn, peaks * (1 - 0.08 * noise * rng.random(seen.shape))
        if flip:
            at = at[:, mirror] * (-1, 1) + (1, 0)
            shown, peak = drawn[:, mirror], peak[:, mirror]
        outputs.append(_draw_maps(rng, at, shown, peak, tags, map_size, stages, noise))
    return Scene(outputs[0], outputs[1], (width, height), annotations)


class Annotated(Protocol):
    """What the ground truth needs to know of a scene: see `Scene`."""

    @property
    def image_size(self) -> tuple[int, int]: ...
    @property
    def annotations(self) -> list[dict[str, Any]]: ...


def ground_truth(
    scenes: Sequence[Annotated],
    skeleton: Skeleton = COCO17,
    description: str = "Synthetic people drawn by hrnetae.evaluation.synthetic; no picture exists.",
    suffix: str = ".jpg",
) -> dict[str, Any]:
    """The scenes' annotations as one COCO person-keypoint file; picture i has id i + 1 and a twelve-digit name."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, scene in enumerate(scenes, start=1):
        width, height = scene.image_size
        images.append({"id": image_id, "file_name": f"{image_id:012d}{suffix}", "width": width, "height": height})
        for annotation in scene.annotations:
            annotations.append({"id": len(annotations) + 1, "image_id": image_id, **annotation})
    person = {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(skeleton.joints),
        "skeleton": [[a + 1, b + 1] for a, b in skeleton.limbs],
    }
    return {
        "info": {"description": description},
        "images": images,
        "annotations": annotations,
        "categories": [person],
    }


# ---------------------------------------------------------------------------------------------------------------------
# Figures


def _place_figures(
    rng: np.random.Generator, people: int, image_size: tuple[int, int], skeleton: Skeleton
) -> tuple[Float, NDArray[np.bool_], Float]:
    """(P, K, 2) joints in pixels, (P, K) whether they can be seen, (P,) standing heights in pixels."""
    count = len(skeleton)
    size = np.array(image_size, dtype=np.float64)
    unit = size.max() / 640
    low, high = (math.log(bound * unit) for bound in STANDING_HEIGHT)
    figures = np.zeros((people, count, 2))
    seen = np.zeros((people, count), dtype=bool)
    heights = np.zeros(people)
    centres = np.zeros((people, 2))
    for i in range(people):
        for attempt in range(40):
            heights[i] = math.exp(rng.uniform(low, high))
            centres[i] = rng.uniform(0.06, 0.94, size=2) * size
            figures[i] = centres[i] + heights[i] * _pose(rng, skeleton)
            inside = ((figures[i] >= 0) & (figures[i] <= size - 1)).all(axis=1)
            seen[i] = inside & (rng.random(count) >= 0.1)
            if rng.random() < 0.2:  # hidden from the hips or the shoulders down, as behind a table
                seen[i] &= figures[i, :, 1] < centres[i, 1] - heights[i] * rng.uniform(-0.1, 0.2)
            apart = np.linalg.norm(centres[:i] - centres[i], axis=1)
            free = bool((apart > 0.3 * np.minimum(heights[:i], heights[i])).all())
            if seen[i].sum() >= min(5, count) and (free or attempt >= 20):
                break
        else:  # tiny pictures: take what there is, but never nobody
            figures[i] = np.clip(figures[i], 0, size - 1)
            seen[i] = True
    return figures, seen, heights


def _pose(rng: np.random.Generator, skeleton: Skeleton) -> Float:
    """(K, 2) joints of one figure about the middle of its hips, in standing heights, y down."""
    turn = math.cos(rng.uniform(-math.pi, math.pi))  # 1 faces us, -1 turns its back
    lean = rng.normal(0, 0.12)
    sits = rng.random() < 0.3
    up = np.array([math.sin(lean), -math.cos(lean)])
    across = np.array([math.cos(lean), math.sin(lean)])  # towards the figure's left when it faces us

    joints: dict[str, Float] = {"neck": 0.31 * up, "head": 0.47 * up, "nose": 0.40 * up + 0.02 * turn * across}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        out = sign * turn * across
        joints[f"{side}_eye"] = 0.42 * up + 0.018 * out
        joints[f"{side}_ear"] = 0.415 * up + 0.04 * out
        shoulder = joints[f"{side}_shoulder"] = 0.29 * up + 0.115 * out
        raised = rng.uniform(2.2, 3.0) if rng.random() < 0.12 else abs(rng.normal(0, 0.4))
        elbow = joints[f"{side}_elbow"] = shoulder + 0.17 * _limb(sign * raised, lean)
        joints[f"{side}_wrist"] = elbow + 0.15 * _limb(sign * raised + rng.normal(0, 0.7), lean)
        hip = joints[f"{side}_hip"] = 0.075 * out
        stride = rng.normal(0, 0.2)
        thigh = rng.uniform(0.05, 0.12) if sits else 0.245
        knee = joints[f"{side}_knee"] = hip + thigh * _limb(sign * 0.06 + (3 * stride if sits else stride), lean)
        joints[f"{side}_ankle"] = knee + 0.24 * _limb(stride - abs(rng.normal(0, 0.2)) * turn, 0.0)

    points = np.empty((len(skeleton), 2))
    for k, name in enumerate(skeleton.joints):
        angle = 2 * math.pi * k / len(skeleton)  # names that are not a person's: a ring around the hips
        ring = 0.3 * np.array([math.cos(angle), math.sin(angle)])
        points[k] = joints.get(name, ring)
    return points + rng.normal(0, 0.006, size=points.shape)


def _limb(angle: float, lean: float) -> Float:
    """A unit vector that hangs down at 0 and turns outwards to the figure's left with ``angle``, in radians."""
    return np.array([math.sin(angle + lean), math.cos(angle + lean)])


def _annotation(joints: Float, seen: NDArray[np.bool_], height: float, image_size: tuple[int, int]) -> dict[str, Any]:
    size = np.array(image_size, dtype=np.float64)
    margin = 0.08 * height
    low = np.clip(joints[seen].min(axis=0) - margin, 0, size)
    high = np.clip(joints[seen].max(axis=0) + margin, 0, size)
    box = [round(float(value), 2) for value in (*low, *(high - low))]
    keypoints: list[float] = []
    for (x, y), shown in zip(joints, seen, strict=True):
        keypoints += [round(float(x), 1), round(float(y), 1), 2] if shown else [0, 0, 0]
    return {
        "category_id": 1,
        "iscrowd": 0,
        "bbox": box,
        "area": round(0.55 * box[2] * box[3], 2),  # a person fills about half of the box
        "num_keypoints": int(seen.sum()),
        "keypoints": keypoints,
    }


# ---------------------------------------------------------------------------------------------------------------------
# Maps


def _person_tags(rng: np.random.Generator, people: int) -> Float:
    """(P,) tags about 0, TAG_SPACING apart up to jitter, in random order."""
    ladder = (np.arange(people) - (people - 1) / 2) * TAG_SPACING
    return rng.permutation(ladder) + rng.uniform(-0.25, 0.25, size=people)


def _draw_maps(
    rng: np.random.Generator,
    at: Float,
    shown: NDArray[np.bool_],
    peaks: Float,
    tags: Float,
    map_size: tuple[int, int],
    stages: int,
    noise: float,
) -> Half | tuple[Half, ...]:
    """``at`` (P, K, 2) in 0..1 across the map, ``shown`` and ``peaks`` (P, K), ``tags`` (P,) -> one output."""
    people, count = shown.shape
    blobs = [
        (k, float(at[i, k, 0]), float(at[i, k, 1]), float(peaks[i, k]), float(tags[i] + noise * rng.normal(0, 0.08)))
        for i, k in zip(*np.nonzero(shown), strict=True)
    ]
    for k in range(count):
        for _ in range(rng.poisson(0.5 * noise)):
            x, y = rng.uniform(0, 1, size=2)
            whose = tags[rng.integers(people)] if people and rng.random() < 0.5 else rng.normal(0, TAG_SPACING)
            blobs.append((k, float(x), float(y), float(rng.uniform(0.05, 0.25)), float(whose)))

    stage_maps = []
    for stage in range(stages):
        width, height = (side << stage for side in map_size)
        heat = np.zeros((count, height, width), dtype=np.float32)
        tag_map = np.zeros_like(heat)
        for k, x, y, peak, tag in blobs:
            _add_blob(heat[k], tag_map[k], x * width - 0.5, y * height - 0.5, peak, tag)
        if noise > 0:
            heat += _coarse_noise(rng, count, width, height, 0.012 * noise)
            tag_map += _coarse_noise(rng, count, width, height, 0.02 * noise)
        maps = np.concatenate([heat, tag_map]) if stage == 0 else heat
        stage_maps.append(maps.astype(np.float16))
    return stage_maps[0] if stages == 1 else tuple(stage_maps)


def _add_blob(
    heat: NDArray[np.float32], tag_map: NDArray[np.float32], x: float, y: float, peak: float, tag: float
) -> None:
    """A Gaussian at cell position (x, y); where it is the highest so far, the tag map takes ``tag``."""
    height, width = heat.shape
    reach = math.ceil(3 * SIGMA)
    left, right = max(0, round(x) - reach), min(width, round(x) + reach + 1)
    top, bottom = max(0, round(y) - reach), min(height, round(y) + reach + 1)
    if left >= right or top >= bottom:
        return
    rows = np.exp(-((np.arange(top, bottom) - y) ** 2) / (2 * SIGMA**2))
    columns = np.exp(-((np.arange(left, right) - x) ** 2) / (2 * SIGMA**2))
    blob = (peak * np.outer(rows, columns)).astype(np.float32)
    patch = heat[top:bottom, left:right]
    tag_map[top:bottom, left:right][blob > np.maximum(patch, 0.02)] = tag
    np.maximum(patch, blob, out=patch)


def _coarse_noise(
    rng: np.random.Generator, count: int, width: int, height: int, strength: float
) -> NDArray[np.float32]:
    """(count, height, width) coarse noise: one normal number per block of 16 x 16 cells."""
    blocks = rng.normal(0, strength, size=(count, -(-height // 16), -(-width // 16)))
    return blocks.repeat(16, axis=1).repeat(16, axis=2)[:, :height, :width].astype(np.float32)
