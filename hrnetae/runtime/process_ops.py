"""The ``process_ops`` of a build file: what is done to a calibration picture before it is the network's input.

The picture is uint8 planes (C, H, W), RGB, until Normalize (or ToTensor) makes float32 of it; ToTensor adds the batch
axis. What the pages leave open is decided so that a calibration sees what the network will see at run time: Pad puts
the picture in the middle of a square of 114, as the letterbox of the vdsp operators does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.files.errors import DataError
from hrnetae.files.pictures import read_picture, require_cv2
from hrnetae.geometry import MOST_PIXELS, MOST_SIDE, Size, fit_inside, scaled
from hrnetae.runtime import pixels

Picture = NDArray[Any]  # uint8 or float32 (C, H, W)
Step = Callable[[Picture], Picture]

PAD_VALUE = 114
_BACKENDS = ("cv2", "pillow")
_INTERPOLATIONS = ("bilinear", "bicubic", "nearest", "area")
_IMREAD_COLOR = 1
_FLOAT32_MAX = float(np.finfo(np.float32).max)


class ProcessOps:
    """A list of operations, checked once and applied to many pictures. May be used from many threads.

    ops: one mapping each, with the operation's name under ``type`` and its parameters beside it:
        DecodeImage (cv2_flags, backend), Resize (size, adaptive_side, interpolation, backend), Pad (pad_to_square),
        CenterCrop (crop_size, backend), CvtColor (code), ChannelSplit (index), ToTensor,
        Normalize (mean, std, div255, norm_type).
    Errors: DataError, which names the operation and the parameter, for what is not known.
    """

    def __init__(self, ops: Sequence[Mapping[str, object]]) -> None:
        self._read: Callable[[str], pixels.Planes] = _read_by_opencv
        self._steps: list[tuple[str, Step]] = []
        for number, op in enumerate(ops):
            self._add(number, _Parameters(number, op))

    def __call__(self, path: str | os.PathLike[str]) -> NDArray[np.float32]:
        """The network's input of the picture in a file: float32 (1, C, H, W), contiguous.

        Errors: DataError, which names the file.
        """
        name = os.fspath(path)
        picture: Picture = self._read(name)
        for title, step in self._steps:
            try:
                picture = step(picture)
            except _DoesNotFitError as error:
                raise DataError(f"{name}: {title}: {error}") from None
        return np.ascontiguousarray(picture, np.float32)[np.newaxis]

    def _add(self, number: int, op: _Parameters) -> None:
        if op.name == "DecodeImage":
            if number:
                raise DataError(f"{op.title}: not the first operation, expected it there")
            self._read = _decode_image(op)
        else:
            if op.name not in _OPERATIONS:
                raise DataError(f"{op.title}: unknown operation, expected DecodeImage, {', '.join(_OPERATIONS)}")
            self._steps.append((op.title, _OPERATIONS[op.name](op)))
        op.check_all_taken()


class _DoesNotFitError(Exception):
    """A picture that an operation cannot be applied to; who called knows the file."""


class _Parameters:
    """The parameters of one operation, taken one by one with their checks."""

    def __init__(self, number: int, op: Mapping[str, object]) -> None:
        self.title = f"process_ops[{number}]"
        if not isinstance(op, Mapping) or not isinstance(op.get("type"), str):
            raise DataError(f"{self.title}: {op!r}, expected the name of an operation under type")
        self.name = str(op["type"])
        self.title += f" {self.name}"
        self._values = dict(op)
        self._known = ["type"]

    def has(self, key: str) -> bool:
        return key in self._values

    def take(self, key: str, default: object = None) -> Any:
        self._known.append(key)
        return self._values.get(key, default)

    def choice(self, key: str, default: str, choices: Sequence[str]) -> str:
        value = self.take(key, default)
        value = default if value is None else str(value)
        if value not in choices:
            raise self.error(key, value, f"one of {', '.join(choices)}")
        return value

    def size(self, key: str) -> tuple[int, int]:
        """[height, width] as in the file; one number stands for both."""
        value = self.take(key)
        pair = [value, value] if type(value) is int else value
        if not isinstance(pair, (list, tuple)) or len(pair) != 2 or any(type(side) is not int for side in pair):
            raise self.error(key, value, "[height, width]")
        return pair[0], pair[1]

    def numbers(self, key: str) -> NDArray[np.float64] | None:
        """One number or one per channel; None where there is none."""
        value = self.take(key)
        if value is None:
            return None
        listed = value if isinstance(value, (list, tuple)) else [value]
        numbers = all(type(one) in (int, float) and abs(one) <= _FLOAT32_MAX for one in listed)
        if len(listed) not in (1, 3) or not numbers:
            raise self.error(key, value, "three numbers, or one, of float32's range")
        return np.array(listed, np.float64)

    def error(self, key: str, value: object, expected: str) -> DataError:
        found = repr(value)
        found = found if len(found) <= 60 else f"{found[:57]}..."
        return DataError(f"{self.title}: {key} {found}, expected {expected}")

    def check_all_taken(self) -> None:
        for key in self._values:
            if key not in self._known:
                known = ", ".join(self._known[1:]) or "no parameters"
                raise DataError(f"{self.title}: unknown parameter {key}, expected {known}")


# ---------------------------------------------------------------------------------------------------------------------
# Reading


def _decode_image(op: _Parameters) -> Callable[[str], pixels.Planes]:
    """The picture in RGB; a CvtColor after it gives BGR to networks that want it."""
    flags = op.take("cv2_flags", _IMREAD_COLOR)
    if flags not in (_IMREAD_COLOR, None):
        raise op.error("cv2_flags", flags, f"{_IMREAD_COLOR} (colour)")
    return _read_by_pillow if op.choice("backend", "cv2", _BACKENDS) == "pillow" else _read_by_opencv


def _read_by_opencv(name: str) -> pixels.Planes:
    return pixels.to_planes(read_picture(name))


def _read_by_pillow(name: str) -> pixels.Planes:
    """As Pillow reads: without turning it by its EXIF orientation."""
    from PIL import Image

    try:
        with Image.open(name) as image:
            return np.ascontiguousarray(np.asarray(image.convert("RGB")).transpose(2, 0, 1))
    except FileNotFoundError:
        raise DataError(f"{name}: no such file, expected a picture") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{name}: {error}, expected a picture") from None


# ---------------------------------------------------------------------------------------------------------------------
# The operations


def _resize(op: _Parameters) -> Step:
    """To [height, width]; with ``adaptive_side`` the shape is kept: see `_adaptive_size`."""
    height, width = op.size("size")
    side = op.take("adaptive_side")
    if side not in (None, "long", "short"):
        raise op.error("adaptive_side", side, "long or short")
    free = -1 in (height, width)
    if min(height, width) < (-1 if free else 1) or max(height, width) < 1 or 0 in (height, width):
        raise op.error("size", [height, width], "[height, width], each 1 or more, or -1 for one of them")
    if max(height, width) > MOST_SIDE or height * width > MOST_PIXELS:
        raise op.error("size", [height, width], f"sides up to {MOST_SIDE} and {MOST_PIXELS} pixels")
    if free and side is None:
        raise op.error("size", [height, width], "adaptive_side beside a size with -1")
    method = f"{op.choice('backend', 'cv2', _BACKENDS)}_{op.choice('interpolation', 'bilinear', _INTERPOLATIONS)}"

    def resize(picture: Picture) -> Picture:
        _expect_pixels(picture)
        size = (width, height)
        if side is not None:
            size = _adaptive_size((picture.shape[2], picture.shape[1]), size, side)
            _expect_room(size)
        return pixels.resize(picture, size, method)

    return resize


def _adaptive_size(picture: Size, size: Size, side: str) -> Size:
    """[N, -1]: the long (or the short) side becomes N. Two numbers: as large as fits (long) or as covers (short) them.

    The shape is kept, sides are rounded: long gives the same size as the vdsp letterbox.
    """
    if -1 in size:
        length = max(size)
        return scaled(picture, length / (max(picture) if side == "long" else min(picture)))
    if side == "long":
        return fit_inside(picture, size)
    return scaled(picture, max(size[0] / picture[0], size[1] / picture[1]))


def _pad(op: _Parameters) -> Step:
    """To a square of the longer side: in the middle, an odd pixel to the right and below, value 114."""
    square = op.take("pad_to_square")
    if type(square) is not bool:
        raise op.error("pad_to_square", square, "true or false")

    def pad(picture: Picture) -> Picture:
        _expect_pixels(picture)
        channels, height, width = picture.shape
        side = max(height, width)
        if not square or height == width:
            return picture
        _expect_room((side, side))
        out = np.full((channels, side, side), PAD_VALUE, np.uint8)
        top, left = (side - height) // 2, (side - width) // 2
        out[:, top : top + height, left : left + width] = picture
        return out

    return pad


def _center_crop(op: _Parameters) -> Step:
    height, width = op.size("crop_size")
    op.choice("backend", "cv2", _BACKENDS)  # both cut the same pixels
    if min(height, width) < 1:
        raise op.error("crop_size", [height, width], "[height, width], each 1 or more")

    def center_crop(picture: Picture) -> Picture:
        top, left = (picture.shape[1] - height) // 2, (picture.shape[2] - width) // 2
        if min(top, left) < 0:
            found = f"{picture.shape[2]} x {picture.shape[1]} pixels"
            raise _DoesNotFitError(f"{found}, expected {width} x {height} or more to crop from")
        return picture[:, top : top + height, left : left + width]

    return center_crop


def _cvt_color(op: _Parameters) -> Step:
    code = op.choice("code", "", ("COLOR_RGB2BGR", "COLOR_BGR2RGB", "COLOR_RGB2YCrCb"))

    def cvt_color(picture: Picture) -> Picture:
        if picture.shape[0] != 3:
            raise _DoesNotFitError(f"{picture.shape[0]} channels, expected 3")
        if code != "COLOR_RGB2YCrCb":
            return picture[::-1]
        _expect_pixels(picture)
        cv2 = require_cv2()
        return pixels.to_planes(cv2.cvtColor(np.ascontiguousarray(picture.transpose(1, 2, 0)), cv2.COLOR_RGB2YCrCb))

    return cvt_color


def _channel_split(op: _Parameters) -> Step:
    index = op.take("index")
    if type(index) is not int or not 0 <= index < 3:
        raise op.error("index", index, "0, 1 or 2")

    def channel_split(picture: Picture) -> Picture:
        if index >= picture.shape[0]:
            raise _DoesNotFitError(f"{picture.shape[0]} channels, expected more than {index}")
        return picture[index : index + 1]

    return channel_split


def _normalize(op: _Parameters) -> Step:
    """(x / 255 - mean) / std; without the division where ``div255`` is off, without mean and std where there are none.

    ``div255`` is on unless the file says otherwise. ``norm_type`` null or "None" switches mean and std off.
    """
    div255 = op.take("div255", True)
    if type(div255) is not bool and div255 is not None:
        raise op.error("div255", div255, "true or false")
    off = op.has("norm_type")
    norm_type = op.take("norm_type")
    if norm_type not in (None, "None"):
        raise op.error("norm_type", norm_type, "null or None (no mean and std)")
    mean, std = op.numbers("mean"), op.numbers("std")
    mean = np.zeros(1) if off or mean is None else mean
    std = np.ones(1) if off or std is None else std
    if not std.all():
        raise op.error("std", std.tolist(), "deviations other than 0")

    def function(x: NDArray[np.floating[Any]], channels: int) -> NDArray[np.floating[Any]]:
        for name, values in (("mean", mean), ("std", std)):
            if len(values) not in (1, channels):
                raise _DoesNotFitError(f"{len(values)} numbers in {name}, expected one for each of {channels} channels")
        return ((x / 255 if div255 else x) - mean[:, None]) / std[:, None]

    with np.errstate(over="ignore"):
        largest = np.abs((np.array([[0.0], [1.0 if div255 else 255.0]]) - mean) / std).max()
    if largest > _FLOAT32_MAX:
        raise op.error("std", std.tolist(), "deviations further from 0, whose quotients float32 can hold")

    def normalize(picture: Picture) -> Picture:
        channels = len(picture)
        if picture.dtype != np.uint8:
            flat = function(picture.reshape(channels, -1).astype(np.float64), channels)
            return flat.reshape(picture.shape).astype(np.float32)
        tables = np.broadcast_to(function(np.arange(256.0)[None], channels), (channels, 256)).astype(np.float32)
        out = np.empty(picture.shape, np.float32)
        pixels.look_up(picture, tables, out)
        return out

    return normalize


def _to_tensor(op: _Parameters) -> Step:
    """float32, values as they are; the batch axis is added at the end."""
    return lambda picture: picture.astype(np.float32, copy=False)


def _expect_room(size: Size) -> None:
    if size[0] * size[1] > MOST_PIXELS:
        raise _DoesNotFitError(f"becomes {size[0]} x {size[1]} pixels, expected at most {MOST_PIXELS} in all")


def _expect_pixels(picture: Picture) -> None:
    if picture.dtype != np.uint8:
        raise _DoesNotFitError("stands after Normalize or ToTensor, expected it before them")


_OPERATIONS: Mapping[str, Callable[[_Parameters], Step]] = MappingProxyType(
    {
        "Resize": _resize,
        "Pad": _pad,
        "CenterCrop": _center_crop,
        "CvtColor": _cvt_color,
        "ChannelSplit": _channel_split,
        "Normalize": _normalize,
        "ToTensor": _to_tensor,
    }
)
