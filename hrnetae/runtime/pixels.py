"""Operations on uint8 planes (C, H, W): what the vdsp parameters and the process_ops of a build are made of.

Planes, because that is what the input files hold and what the network takes: nothing is turned over on the way, and
each plane is resized right into its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from hrnetae.files.pictures import require_cv2
from hrnetae.geometry import Size

Planes = NDArray[np.uint8]

# How a picture is resized: the library, and its name for the method. OpenCV interpolates between the nearest pixels,
# Pillow averages over the area that shrinks into one pixel.
METHODS = MappingProxyType(
    {
        "cv2_bilinear": "INTER_LINEAR",
        "cv2_bicubic": "INTER_CUBIC",
        "cv2_nearest": "INTER_NEAREST",
        "cv2_area": "INTER_AREA",
        "pillow_bilinear": "BILINEAR",
        "pillow_bicubic": "BICUBIC",
        "pillow_nearest": "NEAREST",
        "pillow_area": "BOX",
    }
)


def check_planes(picture: Planes) -> None:
    """Raise ValueError or TypeError unless this is a picture of three uint8 planes (3, H, W)."""
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8:
        found = picture.dtype if isinstance(picture, np.ndarray) else type(picture).__name__
        raise TypeError(f"picture: {found}, expected an array of uint8")
    if picture.ndim != 3 or picture.shape[0] != 3 or 0 in picture.shape:
        raise ValueError(f"picture: shape {picture.shape}, expected (3, H, W)")


def to_planes(picture: NDArray[np.uint8]) -> Planes:
    """(H, W, C) as contiguous planes (C, H, W)."""
    cv2 = require_cv2()
    return np.stack(cv2.split(picture))


def resize(planes: Planes, size: Size, method: str) -> Planes:
    """Every plane resized to (width, height) by one of METHODS."""
    out = np.empty((len(planes), size[1], size[0]), np.uint8)
    resize_into(planes, out, method)
    return out


def resize_into(planes: Planes, out: Planes, method: str) -> None:
    """The same, written into ``out`` (C, height, width), which may be a part of a larger array."""
    if planes.shape == out.shape:
        out[:] = planes
    elif method.startswith("cv2_"):
        _resize_by_opencv(planes, out, METHODS[method])
    else:
        _resize_by_pillow(planes, out, METHODS[method])


def place(planes: Planes, size: Size, left: int, top: int, resized: Size, method: str, border: Sequence[int]) -> Planes:
    """The planes resized and put into a canvas of (width, height) ``size`` at (left, top).

    What lies outside the canvas is cut off (a crop: negative left and top); what the picture leaves free has the value
    of its plane in ``border``.
    """
    width, height = size
    canvas = np.empty((len(planes), height, width), np.uint8)
    if 0 <= left <= width - resized[0] and 0 <= top <= height - resized[1]:
        for plane, value in zip(canvas, border, strict=True):
            plane[:top] = plane[top + resized[1] :] = value
            plane[:, :left] = plane[:, left + resized[0] :] = value
        resize_into(planes, canvas[:, top : top + resized[1], left : left + resized[0]], method)
        return canvas
    canvas[:] = np.array(border, np.uint8)[:, None, None]
    whole = resize(planes, resized, method)
    x, y = max(left, 0), max(top, 0)
    part = whole[:, max(-top, 0) : max(height - top, 0), max(-left, 0) : max(width - left, 0)]
    canvas[:, y : y + part.shape[1], x : x + part.shape[2]] = part
    return canvas


def look_up(planes: Planes, tables: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """out[c] = tables[c][planes[c]]: any function of single pixels, computed once for the 256 values they can have.

    tables: float32 (C, 256). out: float32 (C, H, W), contiguous.
    """
    cv2 = require_cv2()
    for plane, table, into in zip(planes, tables, out, strict=True):
        cv2.LUT(plane, table, dst=into)


def _resize_by_opencv(planes: Planes, out: Planes, method: str) -> None:
    cv2 = require_cv2()
    size = (out.shape[2], out.shape[1])
    for plane, into in zip(planes, out, strict=True):
        done = cv2.resize(plane, size, dst=into, interpolation=getattr(cv2, method))
        if not np.shares_memory(done, into):  # OpenCV may take memory of its own where a row's stride does not suit it
            into[:] = done


def _resize_by_pillow(planes: Planes, out: Planes, method: str) -> None:
    from PIL import Image

    size = (out.shape[2], out.shape[1])
    for plane, into in zip(planes, out, strict=True):
        into[:] = np.asarray(Image.fromarray(plane).resize(size, Image.Resampling[method]))
