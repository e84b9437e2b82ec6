"""Drawn pictures of several jointed figures, with the ground truth that follows from how they were drawn.

The demo's network is trained and tested on them. 1 to 6 figures of many sizes stand before a textured background,
overlap, are hidden by clutter and reach out of the picture. A scene follows from its seed alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.evaluation.drawn_figures import Canvas, Colour, Figure, paint_figure, random_figure
from hrnetae.evaluation.synthetic import ground_truth
from hrnetae.files.pictures import require_cv2
from hrnetae.skeleton import COCO17

LONG_SIDE = (256, 300)  # pixels, of a picture
MOST_FIGURES = 6
VISIBLE = 0.5  # share of a joint's disc that shows in a visible joint
KNOWN = 0.3  # share of it that the figure itself covers in a joint that is hidden but labelled

_HUES = (0.0, 0.12, 0.31, 0.5, 0.64, 0.83)  # well apart to the eye
_HUE_JITTER = 0.015


@dataclass(frozen=True)
class Crowding:
    """How hard the figures are to tell apart.

    heights: smallest and largest standing height in pixels. counts: how often 1 to MOST_FIGURES figures are tried.
    apart: least distance of two figures' middles, in standing heights of the smaller one.
    fewest_joints: that must be labelled in a figure; others are not drawn.
    """

    heights: tuple[float, float]
    counts: tuple[float, ...]
    apart: float
    fewest_joints: int


LOOSE = Crowding((130.0, 240.0), (0.25, 0.3, 0.2, 0.12, 0.08, 0.05), 0.6, 8)
DENSE = Crowding((110.0, 240.0), (0.15, 0.25, 0.22, 0.18, 0.12, 0.08), 0.3, 5)


@dataclass(frozen=True)
class DrawnScene:
    """One picture.

    picture: uint8 (H, W, 3) RGB. annotations: one COCO person annotation per figure, without ``id`` and ``image_id``.
        keypoints: x, y in pixels, 0 at the edge of the picture and 0.5 at the centre of its first pixel; v is 2 for a
        joint that can be seen, 1 for one that the figure itself or something else hides for the most part, 0 (and x,
        y 0) for one that is outside, turned away or hidden by something else.
        area: the pixels of the figure that can be seen; bbox: the box around them.
    """

    picture: NDArray[np.uint8]
    annotations: list[dict[str, Any]]

    @property
    def image_size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        height, width = self.picture.shape[:2]
        return width, height


def draw_scene(seed: int, crowding: Crowding = LOOSE) -> DrawnScene:
    """The scene of a seed, 0 or more. Same seed and crowding, same bytes."""
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"seed: {seed!r}, expected a whole number")
    if seed < 0:
        raise ValueError(f"seed: {seed}, expected 0 or more")
    rng = np.random.default_rng(seed)
    width, height = _random_size(rng)
    figures = _place_figures(rng, crowding, width, height)
    # What is behind and before the figures has generators of its own: it stays when a figure is taken out.
    behind, before, light = rng.spawn(3)
    background = _background(behind, width, height)
    occluders = before.bit_generator.state
    while True:
        canvas = Canvas(background.copy(), np.zeros((height, width), np.int16))
        for number, figure in enumerate(figures):
            paint_figure(canvas, figure, number)
        before.bit_generator.state = occluders
        _paint_occluders(before, canvas)
        annotations = [annotation_of(canvas, figure, number) for number, figure in enumerate(figures)]
        seen = [annotation["num_keypoints"] >= crowding.fewest_joints for annotation in annotations]
        if all(seen):
            return DrawnScene(_photograph(light, canvas.picture), annotations)
        figures = [figure for figure, kept in zip(figures, seen, strict=True) if kept]


def scenes_ground_truth(scenes: Sequence[DrawnScene], suffix: str = ".png") -> dict[str, Any]:
    """The scenes' annotations as one COCO keypoint file; picture i has id i + 1 and a name of twelve digits."""
    return ground_truth(scenes, COCO17, "People drawn by hrnetae.evaluation.drawn_scenes.", suffix)


# ---------------------------------------------------------------------------------------------------------------------
# Where the figures stand


def _random_size(rng: np.random.Generator) -> tuple[int, int]:
    long = int(rng.integers(LONG_SIDE[0], LONG_SIDE[1] + 1))
    short = round(long * rng.uniform(0.7, 1.0))
    return (long, short) if rng.random() < 0.6 else (short, long)


def _place_figures(rng: np.random.Generator, crowding: Crowding, width: int, height: int) -> list[Figure]:
    """From the back to the front; the first is always well inside."""
    count = int(rng.choice(MOST_FIGURES, p=crowding.counts)) + 1
    hues = rng.permutation(_HUES)[:count] + rng.uniform(-_HUE_JITTER, _HUE_JITTER, size=count)
    figures: list[Figure] = []
    middles: list[tuple[NDArray[np.float64], float]] = []
    for i in range(count):
        for _ in range(30):
            tall = math.exp(rng.uniform(*np.log(crowding.heights)))
            tall = min(tall, 0.9 * height) if i == 0 else tall
            margin = 0.3 if i == 0 else 0.08
            middle = rng.uniform(margin, 1 - margin, size=2) * (width, height)
            if i == 0:
                middle[1] = np.clip(middle[1], 0.48 * tall, height - 0.48 * tall)
            if all(np.linalg.norm(middle - other) > crowding.apart * min(tall, size) for other, size in middles):
                middles.append((middle, tall))
                figures.append(random_figure(rng, middle, tall, float(hues[i]) % 1.0))
                break
    return figures


# ---------------------------------------------------------------------------------------------------------------------
# What else is in the picture


def _background(rng: np.random.Generator, width: int, height: int) -> NDArray[np.uint8]:
    """Coarse patches, a gradient, a pattern and shapes, all of little colour."""
    cv2 = require_cv2()

    patch = int(rng.integers(12, 40))
    rows, columns = -(-height // patch), -(-width // patch)
    coarse = rng.normal(0, rng.uniform(5, 25), size=(rows, columns, 1)) + rng.normal(0, 4, size=(rows, columns, 3))
    texture = np.kron(coarse, np.ones((patch, patch, 1)))[:height, :width]
    ys, xs = np.mgrid[:height, :width].astype(np.float64)
    slope = rng.uniform(-40, 40, size=2)
    texture += (slope[0] * xs / width + slope[1] * ys / height)[:, :, None]
    if rng.random() < 0.4:
        angle, period = rng.uniform(0, math.pi), rng.uniform(5, 30)
        wave = np.sin(2 * math.pi * (xs * math.cos(angle) + ys * math.sin(angle)) / period)
        texture += rng.uniform(4, 20) * (wave if rng.random() < 0.5 else np.sign(wave))[:, :, None]
    base = rng.uniform(60, 190) + rng.uniform(-15, 15, size=3)
    canvas = Canvas(np.clip(base + texture, 0, 255).astype(np.uint8), np.zeros((height, width), np.int16))
    for _ in range(rng.integers(3, 12)):
        _paint_clutter(rng, canvas, rng.uniform(8, 90))
    return np.asarray(cv2.GaussianBlur(canvas.picture, (0, 0), rng.uniform(0.4, 1.6)), np.uint8)


def _paint_occluders(rng: np.random.Generator, canvas: Canvas) -> None:
    height, width = canvas.owner.shape
    for _ in range(rng.choice(4, p=(0.45, 0.3, 0.15, 0.1))):
        kind = rng.random()
        if kind < 0.3:  # a post
            x, lean = rng.uniform(0, width), rng.normal(0, 15)
            top, foot = np.array([(x, -20.0), (x + lean, height + 20.0)])
            canvas.line(top, foot, rng.uniform(4, 12), _dull_colour(rng), 0)
        elif kind < 0.45:  # a wall at the foot of the picture
            edge = height * rng.uniform(0.8, 0.97)
            corners = np.array([(-9.0, edge), (width + 9.0, edge + rng.normal(0, 6)), (width + 9.0, height + 9.0)])
            canvas.polygon(np.vstack([corners, (-9.0, height + 9.0)]), _dull_colour(rng), 0)
        else:
            _paint_clutter(rng, canvas, rng.uniform(12, 45))


def _paint_clutter(rng: np.random.Generator, canvas: Canvas, size: float) -> None:
    """A disc, a bar or a crooked box of about ``size`` pixels."""
    height, width = canvas.owner.shape
    at = rng.uniform((0, 0), (width, height))
    kind = rng.integers(3)
    colour = _dull_colour(rng)
    if kind == 0:
        canvas.disc(at, size / 2, colour, 0)
    elif kind == 1:
        canvas.line(at, at + rng.uniform(-1.5, 1.5, size=2) * size, rng.uniform(2, 10), colour, 0)
    else:
        angles = np.sort(rng.uniform(0, 2 * math.pi, size=4))
        corners = at + size * rng.uniform(0.4, 0.8) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        canvas.polygon(corners, colour, 0)


def _dull_colour(rng: np.random.Generator) -> Colour:
    red, green, blue = np.clip(rng.uniform(30, 225) + rng.uniform(-22, 22, size=3), 0, 255).astype(int).tolist()
    return red, green, blue


def _photograph(rng: np.random.Generator, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A little blur, less or more light, and noise."""
    cv2 = require_cv2()

    soft: NDArray[np.float64] = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 0.7)).astype(np.float64)
    lit = soft * rng.uniform(0.85, 1.1) + rng.normal(0, rng.uniform(2, 6), size=picture.shape)
    return np.clip(np.rint(lit), 0, 255).astype(np.uint8)


# ---------------------------------------------------------------------------------------------------------------------
# The ground truth


def annotation_of(canvas: Canvas, figure: Figure, number: int) -> dict[str, Any]:
    """The COCO annotation of figure ``number`` (from 0), once everything is painted; see `DrawnScene`.

    Of a figure that cannot be seen at all only ``num_keypoints`` 0.
    """
    mask = (canvas.owner > Canvas.PARTS * number) & (canvas.owner <= Canvas.PARTS * (number + 1))
    keypoints: list[float] = []
    labelled = 0
    for k, at in enumerate(figure.joints):
        visibility = _visibility(canvas, mask, at, Canvas.PARTS * number + 2 + k)
        labelled += visibility > 0
        x, y = (round(float(value) + 0.5, 2) for value in at)
        keypoints += [x, y, visibility] if visibility else [0, 0, 0]
    rows, columns = (np.nonzero(mask.any(axis=axis))[0] for axis in (1, 0))
    if not len(rows):
        return {"num_keypoints": 0}
    left, top = int(columns[0]), int(rows[0])
    return {
        "category_id": 1,
        "iscrowd": 0,
        "bbox": [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top],
        "area": int(np.count_nonzero(mask)),
        "num_keypoints": labelled,
        "keypoints": keypoints,
    }


def _visibility(canvas: Canvas, mask: NDArray[np.bool_], at: NDArray[np.float64], stud: int) -> int:
    height, width = canvas.owner.shape
    if stud not in canvas.studs or not (0 <= at[0] <= width - 1 and 0 <= at[1] <= height - 1):
        return 0
    pixels = canvas.studs[stud]
    if np.mean(canvas.owner[pixels] == stud) >= VISIBLE:
        return 2
    return 1 if np.mean(mask[pixels]) >= KNOWN else 0
