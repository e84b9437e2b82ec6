"""Jointed figures with the 17 joints of COCO: a random pose, and its parts painted onto a picture.

A figure is one hue, so that a network can tell whose joint it sees. Left and right cannot be told by colour, which a
mirror would not exchange: each limb has a light edge on its left as one goes down a left limb, on its right as one
goes down a right one. Fronts are light and have a face, backs are dark and have none.
"""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.files.pictures import require_cv2
from hrnetae.skeleton import COCO17

Float = NDArray[np.float64]
Colour = tuple[int, int, int]

# In standing heights.
STUD = 0.024  # radius of the disc at a joint
_HEAD = 0.095
_SHIFT = 4  # OpenCV takes positions in 1/16 pixels
_JOINT = {name: k for k, name in enumerate(COCO17.joints)}
_FACE = ("nose", "left_eye", "right_eye")


@dataclass(frozen=True)
class Figure:
    """One figure, not yet painted.

    joints: (17, 2) x, y in pixels of the picture, 0 at the centre of its first pixel.
    height: standing height in pixels. hue: 0..1. front: it faces us. head: centre of the head in pixels.
    """

    joints: Float
    height: float
    hue: float
    front: bool
    head: Float


@dataclass
class Canvas:
    """A picture in the making, and what can be seen at each of its pixels.

    picture: uint8 (H, W, 3) RGB. owner: int16 (H, W): 0 background or clutter; PARTS * f + 1 something of figure f
        (from 0); PARTS * f + 2 + k its joint k.
    studs: pixels that each joint's disc covered when it was painted, by that number.
    """

    PARTS = len(COCO17) + 1

    picture: NDArray[np.uint8]
    owner: NDArray[np.int16]
    studs: dict[int, tuple[NDArray[np.intp], NDArray[np.intp]]] = field(default_factory=dict)

    def disc(self, at: Float, radius: float, colour: Colour, owner: int) -> None:
        """A filled disc; ``at`` (x, y) and ``radius`` in pixels."""
        cv2 = require_cv2()

        centre = _fixed(at)
        size = max(1, round(radius * (1 << _SHIFT)))
        cv2.circle(self.picture, centre, size, colour, -1, cv2.LINE_AA, _SHIFT)
        cv2.circle(self.owner, centre, size, owner, -1, cv2.LINE_8, _SHIFT)

    def line(self, start: Float, end: Float, width: float, colour: Colour, owner: int) -> None:
        """A line with round ends, ``width`` pixels wide."""
        cv2 = require_cv2()

        thickness = max(1, round(width))
        cv2.line(self.picture, _fixed(start), _fixed(end), colour, thickness, cv2.LINE_AA, _SHIFT)
        cv2.line(self.owner, _fixed(start), _fixed(end), owner, thickness, cv2.LINE_8, _SHIFT)

    def polygon(self, corners: Float, colour: Colour, owner: int) -> None:
        """A filled polygon; ``corners`` (N, 2) in pixels."""
        cv2 = require_cv2()

        points = np.rint(corners * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(self.picture, [points], colour, cv2.LINE_AA, _SHIFT)
        cv2.fillPoly(self.owner, [points], owner, cv2.LINE_8, _SHIFT)

    def stud(self, at: Float, radius: float, colour: Colour, owner: int) -> None:
        """A joint's disc, whose pixels are remembered."""
        self.disc(at, radius, colour, owner)
        rows, columns = self._around(at, radius)
        ys, xs = np.nonzero(self.owner[rows, columns] == owner)
        self.studs[owner] = (ys + rows.start, xs + columns.start)

    def _around(self, at: Float, radius: float) -> tuple[slice, slice]:
        reach = math.ceil(radius) + 2
        x, y = (max(0, math.floor(value)) for value in at)
        return slice(max(0, y - reach), y + reach + 1), slice(max(0, x - reach), x + reach + 1)


def random_figure(rng: np.random.Generator, hips: Float, height: float, hue: float) -> Figure:
    """A figure in a random pose; ``hips`` (x, y) is the middle between its hips, all in pixels."""
    front = bool(rng.random() < 0.7)
    turn = rng.uniform(-0.85, 0.85)  # radians away from straight front or back
    lean = float(np.clip(rng.normal(0, 0.22), -0.6, 0.6))
    up = np.array([math.sin(lean), -math.cos(lean)])
    # Where the figure's own left is, seen from us: to our right when it faces us.
    left = np.array([math.cos(lean), math.sin(lean)]) * (1 if front else -1)
    breadth = math.cos(turn)

    neck = 0.29 * up
    tilt = lean + rng.normal(0, 0.12)
    crown = np.array([math.sin(tilt), -math.cos(tilt)])
    side = np.array([math.cos(tilt), math.sin(tilt)]) * (1 if front else -1)
    head = neck + 0.115 * crown
    looks = 0.045 * math.sin(turn) * side
    points = {"nose": head - 0.018 * crown + 1.3 * looks}
    for name, sign in (("left", 1.0), ("right", -1.0)):
        points[f"{name}_eye"] = head + 0.022 * crown + sign * 0.038 * breadth * side + looks
        points[f"{name}_ear"] = head + sign * 0.092 * side
        shoulder = points[f"{name}_shoulder"] = neck - 0.01 * up + sign * 0.115 * breadth * left
        hip = points[f"{name}_hip"] = sign * 0.07 * breadth * left
        outwards = sign if front else -sign  # on which side of the picture
        raised = rng.uniform(0.1, 2.7) if rng.random() < 0.6 else rng.uniform(-0.1, 0.7)
        elbow = points[f"{name}_elbow"] = shoulder + 0.165 * _hanging(outwards * raised - lean)
        bent = raised + rng.uniform(-0.5, 1.6)
        points[f"{name}_wrist"] = elbow + 0.15 * _hanging(outwards * bent - lean)
        stride = rng.uniform(-0.05, 0.75)
        knee = points[f"{name}_knee"] = hip + 0.23 * _hanging(outwards * stride - 0.3 * lean)
        points[f"{name}_ankle"] = knee + 0.23 * _hanging(outwards * (stride - rng.uniform(-0.1, 0.8)) - 0.3 * lean)
    joints = np.array([points[name] for name in COCO17.joints])
    return Figure(hips + height * joints, height, hue, front, hips + height * head)


def paint_figure(canvas: Canvas, figure: Figure, number: int) -> None:
    """Paint figure ``number`` (from 0) over what the canvas shows."""
    body = Canvas.PARTS * number + 1
    _paint_limbs(canvas, figure, body, (("hip", "knee", 0.078, 0.62), ("knee", "ankle", 0.062, 0.92)))
    _paint_torso(canvas, figure, body)
    _paint_limbs(canvas, figure, body, (("shoulder", "elbow", 0.058, 0.72), ("elbow", "wrist", 0.048, 0.98)))
    _paint_studs(canvas, figure, body)
    _paint_head(canvas, figure, body)


def _paint_limbs(canvas: Canvas, figure: Figure, body: int, limbs: tuple[tuple[str, str, float, float], ...]) -> None:
    """limbs: from which joint, to which, thickness in heights, brightness."""
    for side, sign in (("right", -1.0), ("left", 1.0)):
        for start, end, thickness, brightness in limbs:
            a, b = (figure.joints[_JOINT[f"{side}_{name}"]] for name in (start, end))
            _paint_limb(canvas, figure, body, a, b, sign, thickness, brightness)


def _paint_limb(
    canvas: Canvas, figure: Figure, body: int, a: Float, b: Float, sign: float, thickness: float, brightness: float
) -> None:
    width = thickness * figure.height
    canvas.line(a, b, width, _shade(figure.hue, 0.9, brightness), body)
    along = (b - a) / max(1e-6, float(np.linalg.norm(b - a)))
    edge = sign * 0.34 * width * np.array([along[1], -along[0]])
    canvas.line(a + edge, b + edge, 0.3 * width, _shade(figure.hue, 0.15, 1.0), body)


def _paint_torso(canvas: Canvas, figure: Figure, body: int) -> None:
    names = ("left_shoulder", "right_shoulder", "right_hip", "left_hip")
    corners = np.array([figure.joints[_JOINT[name]] for name in names])
    saturation, brightness = (0.55, 1.0) if figure.front else (0.95, 0.42)
    canvas.polygon(corners, _shade(figure.hue, saturation, brightness), body)
    _paint_limbs(canvas, figure, body, (("shoulder", "hip", 0.055, brightness),))
    neck = figure.joints[[_JOINT["left_shoulder"], _JOINT["right_shoulder"]]].mean(axis=0)
    canvas.line(neck, figure.head, 0.07 * figure.height, _shade(figure.hue, saturation, brightness), body)


def _paint_studs(canvas: Canvas, figure: Figure, body: int) -> None:
    for side in ("right", "left"):
        for name, radius, saturation, brightness in (
            ("hip", 1.0, 0.8, 0.2),
            ("knee", 1.0, 0.8, 0.2),
            ("ankle", 1.5, 0.9, 0.3),
            ("shoulder", 1.0, 0.8, 0.2),
            ("elbow", 1.0, 0.8, 0.2),
            ("wrist", 1.4, 0.3, 1.0),
        ):
            _paint_stud(canvas, figure, body, f"{side}_{name}", radius, _shade(figure.hue, saturation, brightness))


def _paint_head(canvas: Canvas, figure: Figure, body: int) -> None:
    for ear in ("left_ear", "right_ear"):
        _paint_stud(canvas, figure, body, ear, 1.5, _shade(figure.hue, 0.9, 0.6))
    saturation, brightness = (0.35, 1.0) if figure.front else (0.95, 0.35)
    canvas.disc(figure.head, _HEAD * figure.height * 0.86, _shade(figure.hue, saturation, brightness), body)
    if figure.front:
        for name in _FACE:
            colour = (230, 40, 40) if name == "nose" else (20, 20, 20)
            _paint_stud(canvas, figure, body, name, 0.75, colour)


def _paint_stud(canvas: Canvas, figure: Figure, body: int, name: str, radius: float, colour: Colour) -> None:
    k = _JOINT[name]
    canvas.stud(figure.joints[k], max(1.0, radius * STUD * figure.height), colour, body + 1 + k)


def _hanging(angle: float) -> Float:
    """A unit vector that hangs down at 0 and turns towards the right of the picture with ``angle`` in radians."""
    return np.array([math.sin(angle), math.cos(angle)])


def _shade(hue: float, saturation: float, brightness: float) -> Colour:
    red, green, blue = (round(255 * value) for value in colorsys.hsv_to_rgb(hue, saturation, brightness))
    return red, green, blue


def _fixed(at: Float) -> tuple[int, int]:
    values: list[Any] = np.rint(at * (1 << _SHIFT)).astype(int).tolist()
    return values[0], values[1]
