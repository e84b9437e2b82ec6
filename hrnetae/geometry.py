"""Where a picture lies in the network's input: the letterbox, the resize and the crop, and the way back.

Coordinates are in pixels from the left and upper edge: the first pixel reaches from 0 to 1 and its centre is at 0.5.
Resizing with aligned edges, as OpenCV and Pillow do it, is then a multiplication.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Size = tuple[int, int]

# What a picture may be resized to. No network's input comes near; what a file asks beyond it is a slip, and not worth
# the memory.
MOST_SIDE = 1 << 14
MOST_PIXELS = 1 << 26


@dataclass(frozen=True)
class Letterbox:
    """A picture that was resized and placed in the network's input.

    image_size: (width, height) of the picture.
    input_size: (width, height) of the network's input.
    resized: (width, height) of the resized picture. The two axes have scales of their own, as rounding made them.
    left, top: where the resized picture's corner lies in the input; negative where a crop has taken it away.
    """

    image_size: Size
    input_size: Size
    resized: Size
    left: int
    top: int

    def __post_init__(self) -> None:
        for name in ("image_size", "input_size", "resized"):
            if min(getattr(self, name)) < 1:
                raise ValueError(f"{name}: {getattr(self, name)}, expected a width and a height of 1 or more")

    @classmethod
    def fit(cls, image_size: Size, input_size: Size) -> Letterbox:
        """The picture as large as it fits with its shape kept, in the middle; an odd pixel of padding goes right, down.

        The scale is s = min(input width / width, input height / height), the resized sides are int(round(side s)), at
        least 1.
        """
        resized = fit_inside(image_size, input_size)
        left = (input_size[0] - resized[0]) // 2
        top = (input_size[1] - resized[1]) // 2
        return cls(image_size, input_size, resized, left, top)

    @property
    def scale(self) -> tuple[float, float]:
        """Input pixels per picture pixel, in x and in y."""
        return self.resized[0] / self.image_size[0], self.resized[1] / self.image_size[1]

    def to_input(self, points: ArrayLike) -> NDArray[np.floating[Any]]:
        """Points of the picture in the network's input.

        points: (..., 2) or more: x, y in pixels; further columns (a score) are passed through. A new array comes back,
            float32 or float64 as the points were, float64 for whole numbers.
        Errors: ValueError for another shape.
        """
        points = _float_points(points)
        points[..., :2] = points[..., :2] * np.array(self.scale) + np.array((self.left, self.top))
        return points

    def to_image(self, points: ArrayLike) -> NDArray[np.floating[Any]]:
        """Points of the network's input in the picture: the inverse of `to_input`, with the same arguments."""
        points = _float_points(points)
        points[..., :2] = (points[..., :2] - np.array((self.left, self.top))) / np.array(self.scale)
        return points


def fit_inside(size: Size, room: Size) -> Size:
    """The largest (width, height) of the shape of ``size`` that fits in ``room``, rounded to pixels, at least 1 x 1."""
    scale = min(room[0] / size[0], room[1] / size[1])
    return scaled(size, scale)


def scaled(size: Size, scale: float) -> Size:
    """``size`` times ``scale``, each side rounded to the nearest whole number (halves to the even one), at least 1."""
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _float_points(points: ArrayLike) -> NDArray[np.floating[Any]]:
    given = np.asarray(points)
    if given.ndim == 0 or given.shape[-1] < 2:
        raise ValueError(f"points: shape {given.shape}, expected (..., 2): x and y")
    dtype = given.dtype if given.dtype in (np.float32, np.float64) else np.dtype(np.float64)
    return given.astype(dtype)
