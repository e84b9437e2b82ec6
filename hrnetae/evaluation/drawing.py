"""People drawn into a picture."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from hrnetae.files.pictures import require_cv2
from hrnetae.poses import Poses
from hrnetae.skeleton import Skeleton

Picture = npt.NDArray[np.uint8]
Color = tuple[int, int, int]

# RGB; told apart by people with any of the usual colour deficiencies, on dark and on light ground.
LEFT: Color = (255, 160, 32)
RIGHT: Color = (64, 156, 255)
MIDDLE: Color = (240, 240, 240)
OUTLINE: Color = (16, 16, 16)

_SHIFT = 4  # cv2 draws with 1/16 of a pixel
_LIMB_SHARE = 0.018  # a limb's thickness, in the larger side of a person's box
_JOINT_SHARE = 1.3  # a joint's radius, in half thicknesses of a limb
_THINNEST = 0.8  # pixels; thinner limbs lose their colour
_SHARES_OF_PICTURE = 0.0012, 0.03  # the least and the largest thickness, in the picture's larger side
_FINE = 4.0  # thickness in pixels from which on whole pixels are fine enough
_MOST_ENLARGED = 5
_MARGIN = 2.0  # around a person's joints, in thicknesses: half a limb with its outline, and a joint's dot


def draw(image: Picture, poses: Poses, *, min_score: float = 0.0, min_value: float = 0.0) -> Picture:
    """A copy of the picture with people drawn over it: limbs coloured by side, as thick as the person is large.

    image: uint8 (H, W, 3) RGB. poses: in this picture's pixels. Joints with no more heat than ``min_value`` and people
    whose score is below ``min_score`` are left out. The best people are drawn last, on top of the others.
    Errors: TypeError or ValueError for something else than a picture; DataError where OpenCV is not installed.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        raise TypeError(f"image: {getattr(image, 'dtype', type(image).__name__)}, expected a uint8 array")
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image: shape {image.shape}, expected (H, W, 3)")
    canvas = np.array(image, order="C")
    scores = poses.person_scores()
    for person in np.argsort(scores, kind="stable"):
        if scores[person] >= min_score:
            draw_person(canvas, poses.keypoints[person], poses.skeleton, min_value)
    return canvas


def draw_person(canvas: Picture, keypoints: npt.NDArray[np.float32], skeleton: Skeleton, min_value: float) -> None:
    """One person, into the canvas itself. keypoints: (K, 3) x, y, value.

    A small person is drawn enlarged and then shrunk with the part of the picture behind it, so that its limbs are
    finer than whole pixels; enlarging to blocks and taking their means leaves all other pixels as they were.
    """
    seen = (keypoints[:, 2] > min_value) & np.isfinite(keypoints).all(axis=1)
    if not seen.any():
        return
    # Who is tiny in a large picture must be seen where that is shown as a whole; a giant must not fill it.
    least, most = (max(_THINNEST, share * max(canvas.shape[:2])) for share in _SHARES_OF_PICTURE)
    thickness = min(max(limb_thickness(keypoints[seen, :2]), least), most)
    left, top, right, bottom = _part_around(keypoints[seen, :2], _MARGIN * thickness + 2, canvas)
    if left >= right or top >= bottom:
        return
    part = canvas[top:bottom, left:right]
    enlarged = min(_MOST_ENLARGED, math.ceil(_FINE / thickness))
    points = np.where(seen[:, None], (keypoints[:, :2].astype(np.float64) - (left, top)) * enlarged, 0)
    if enlarged == 1:
        _paint(part, points, seen, skeleton, thickness)
        return
    cv2 = require_cv2()
    blocks = np.repeat(np.repeat(part, enlarged, axis=0), enlarged, axis=1)
    _paint(blocks, points, seen, skeleton, thickness * enlarged)
    part[:] = cv2.resize(blocks, (right - left, bottom - top), interpolation=cv2.INTER_AREA)


def _part_around(points: npt.NDArray[np.float32], margin: float, canvas: Picture) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the canvas' part with all points and a margin, in whole pixels."""
    height, width = canvas.shape[:2]
    low = np.clip(np.floor(points.min(axis=0) - margin), 0, (width, height))
    high = np.clip(np.ceil(points.max(axis=0) + margin), 0, (width, height))
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _paint(
    canvas: Picture, points: npt.NDArray[np.float64], seen: npt.NDArray[np.bool_], skeleton: Skeleton, thickness: float
) -> None:
    """The outlines of all limbs, then the limbs, side by side, then the joints. points: (K, 2)."""
    cv2 = require_cv2()
    fixed = _fixed(points)
    limbs = [limb for limb in skeleton.limbs if seen[limb[0]] and seen[limb[1]]]
    inside = max(1, round(thickness))
    outline = inside + max(2, round(0.7 * thickness))
    colored = {OUTLINE: limbs, MIDDLE: [], RIGHT: [], LEFT: []}
    for limb in limbs:
        colored[_limb_color(skeleton, *limb)].append(limb)
    for color, lines in colored.items():
        if lines:
            width = outline if color == OUTLINE else inside
            cv2.polylines(canvas, fixed[np.array(lines)], False, color, width, cv2.LINE_AA, _SHIFT)
    radius = max(1.5, _JOINT_SHARE * thickness / 2)
    rim, dot = (round(size * 2**_SHIFT) for size in (radius + max(1.0, 0.2 * thickness), radius))
    for joint in np.flatnonzero(seen).tolist():
        at = fixed[joint].tolist()
        cv2.circle(canvas, at, rim, OUTLINE, cv2.FILLED, cv2.LINE_AA, _SHIFT)
        cv2.circle(canvas, at, dot, _joint_color(skeleton, joint), cv2.FILLED, cv2.LINE_AA, _SHIFT)


def write_corner(canvas: Picture, text: str) -> None:
    """A line of text in the upper left corner, into the canvas itself; as large as the picture makes it readable."""
    cv2 = require_cv2()
    scale = max(0.3, min(canvas.shape[:2]) / 800)
    thickness = max(1, round(2 * scale))
    at = (round(12 * scale), round(36 * scale))
    for color, width in ((OUTLINE, thickness + max(2, 2 * thickness)), (MIDDLE, thickness)):
        cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, color, width, cv2.LINE_AA)


def limb_thickness(points: npt.NDArray[np.floating[Any]]) -> float:
    """In pixels, for a person whose joints are these points, (n, 2), before the picture's bounds for it."""
    points = points.astype(np.float64)
    extent = float((points.max(axis=0) - points.min(axis=0)).max())
    return max(_THINNEST, _LIMB_SHARE * extent)


def _side(skeleton: Skeleton, joint: int) -> str:
    name = skeleton.joints[joint]
    return "left" if name.startswith("left") else "right" if name.startswith("right") else "middle"


def _joint_color(skeleton: Skeleton, joint: int) -> Color:
    return {"left": LEFT, "right": RIGHT, "middle": MIDDLE}[_side(skeleton, joint)]


def _limb_color(skeleton: Skeleton, a: int, b: int) -> Color:
    """That of its side; a limb from the middle to a side has the side's colour, one across has none."""
    sides = {_side(skeleton, a), _side(skeleton, b)} - {"middle"}
    return {"left": LEFT, "right": RIGHT}[sides.pop()] if len(sides) == 1 else MIDDLE


def _fixed(points: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    """(K, 2) in cv2's fixed-point pixels. Pixel centres are at whole numbers there, at halves in ours."""
    limit = 2.0**20
    fixed: npt.NDArray[np.int32] = np.floor(np.clip(points - 0.5, -limit, limit) * 2**_SHIFT + 0.5).astype(np.int32)
    return fixed
