"""The accelerator's preprocessing parameters (vdsp_params, JSON), in their three layouts.

- ``{"OpType": ..., "OpConfig": {...}}``: what the model pages carry.
- ``{"vdsp_op_type": ..., "config": [{"Property": ..., "DType": ..., "ParamType": ..., "Value": ...}]}``: SDK 1.x.
- ``{"vdsp_op_type": 303, "iimage_width": ..., "meanr": ...}``: flat, as mmdeploy writes it.

Names are compared without regard to case and underscores. The constants are what the file says: the pages' numbers are
already rounded to float16 (0.485107421875 for 0.485), and the older two layouts hold the bits of a float16 as a whole
number (14275 for the same), which are decoded.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from hrnetae.files.errors import DataError
from hrnetae.foreign import read_file, shown
from hrnetae.geometry import MOST_SIDE

Triple = tuple[float, float, float]

LETTERBOX = "LETTERBOX"
RESIZE = "RESIZE"
RESIZE_CROP = "RESIZE_CROP"
SHORT_EDGE_CROP = "SHORT_EDGE_CROP"  # the picture's short side to a given length, then a crop from the middle

_OP_TYPES = MappingProxyType(
    {
        "FUSION_OP_RGB_LETTERBOX_CVTCOLOR_NORM_TENSOR": LETTERBOX,
        "FUSION_OP_RGB_LETTERBOX_CVTCOLOR_NORM_TENSOR_EXT": LETTERBOX,
        "FUSION_OP_RGB_RESIZE_CVTCOLOR_NORM_TENSOR": RESIZE,
        "FUSION_OP_RGB_RESIZE_CVTCOLOR_CROP_NORM_TENSOR": RESIZE_CROP,
    }
)
# The numbers of the older layouts.
_OP_NUMBERS = MappingProxyType({300: SHORT_EDGE_CROP, 301: RESIZE, 303: LETTERBOX})
_CHANNEL_ORDERS = MappingProxyType({"RGB_PLANAR": "RGB", "RGB888": "RGB", "BGR888": "BGR", "BGR_PLANAR": "BGR"})
_FORMAT_NUMBERS = MappingProxyType({5000: "RGB_PLANAR"})
_COLOUR_NUMBERS = MappingProxyType({2: "NO_CHANGE", 3: "BGR2RGB", 4: "RGB2BGR"})
_RESIZE_NUMBERS = MappingProxyType({1: "BILINEAR", 5: "BILINEAR_PILLOW", 6: "BILINEAR_CV"})
_NORM_NUMBERS = MappingProxyType(
    dict(
        enumerate(
            ("NONE", "EQUAL", "MINUSMEAN", "MINUSMEAN_DIVSTD", "DIV255_MINUSMEAN_DIVSTD", "DIV1275_MINUSONE", "DIV255")
        )
    )
)
_TAKES_MEAN = ("MINUSMEAN", "MINUSMEAN_DIVSTD", "DIV255_MINUSMEAN_DIVSTD")
_TAKES_STD = ("MINUSMEAN_DIVSTD", "DIV255_MINUSMEAN_DIVSTD")
_FORMULAS = MappingProxyType(
    {
        "NONE": "x",
        "EQUAL": "x",
        "MINUSMEAN": "x - Mean",
        "MINUSMEAN_DIVSTD": "(x - Mean) / Std",
        "DIV255_MINUSMEAN_DIVSTD": "(x / 255 - Mean) / Std",
        "DIV1275_MINUSONE": "x / 127.5 - 1",
        "DIV255": "x / 255",
    }
)
# Said about the input memory or the number format of the accelerator; the picture's own size and float32 stand here.
_WITHOUT_EFFECT = frozenset(
    (
        "iimagewidth",
        "iimageheight",
        "iimagewidthpitch",
        "iimageheightpitch",
        "oimagewidthpitch",
        "oimageheightpitch",
        "tensortype0",
        "tensorizationtype",
        "colorspace",
    )
)
_ALIASES = MappingProxyType(
    {
        "normtype": "normatype",
        "paddingvaluer": "paddingr",
        "paddingvalueg": "paddingg",
        "paddingvalueb": "paddingb",
        "paddingvalue": "padding",
        "paddingvalues": "padding",
        "imageformat": "iimageformat",
    }
)
_EDGES = ("PaddingLeft", "PaddingRight", "PaddingTop", "PaddingBottom")
_DEFAULT_PADDING = 114
_LARGEST = 1 << 24  # bytes of a file
_FLOAT32_MAX = float(np.finfo(np.float32).max)
_IMAGENET = (0.485, 0.456, 0.406, 0.229, 0.224, 0.225)


@dataclass(frozen=True)
class VdspParams:
    """How a picture becomes the network's input.

    path: the file, for messages.
    op_type: as it stands in the file.
    kind: LETTERBOX, RESIZE, RESIZE_CROP or SHORT_EDGE_CROP.
    channels: "RGB" or "BGR", the order of the channels before ``color_code``.
    color_code: NO_CHANGE, or BGR2RGB or RGB2BGR, which both exchange the first and the third channel.
    resize_type: BILINEAR_CV, BILINEAR_PILLOW or BILINEAR.
    norm_type: NONE, EQUAL, MINUSMEAN, MINUSMEAN_DIVSTD, DIV255_MINUSMEAN_DIVSTD, DIV1275_MINUSONE or DIV255.
    mean, std: one number per channel of the network's input, that is, after ``color_code``.
    padding: red, green and blue of the letterbox' border, 0..255.
    output_size, resize_size: (width, height), each None where the file does not say.
    crop: x and y of the crop's corner in the resized picture, each None where the file does not say.
    edges: the border's width left, right, at the top, at the bottom; None where none of them is in the file.
    short_edge: of SHORT_EDGE_CROP, the short side in pixels after resizing.
    warnings: one line each; what the file says and may not mean.
    """

    path: str
    op_type: str
    kind: str
    channels: str = "RGB"
    color_code: str = "NO_CHANGE"
    resize_type: str = "BILINEAR_CV"
    norm_type: str = "EQUAL"
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)
    padding: tuple[int, int, int] = (_DEFAULT_PADDING,) * 3
    output_size: tuple[int | None, int | None] = (None, None)
    resize_size: tuple[int | None, int | None] = (None, None)
    crop: tuple[int | None, int | None] = (None, None)
    edges: tuple[int, int, int, int] | None = None
    short_edge: int | None = None
    warnings: tuple[str, ...] = ()

    @property
    def output_channels(self) -> str:
        """The order of the channels that the network gets: "RGB" or "BGR"."""
        return self.channels if self.color_code == "NO_CHANGE" else self.channels[::-1]


def read_vdsp_params(path: str | os.PathLike[str]) -> VdspParams:
    """Read a vdsp_params file of any of the three layouts.

    Errors: DataError, which names the file and the key: not JSON, an operator or a value that there is no CPU
    counterpart for, a missing key without a default, a number out of range.
    """
    name = os.fspath(path)
    content = _read_json(name)
    return _Reader(name, *_operator_and_settings(name, content), older="OpType" not in content).params()


# ---------------------------------------------------------------------------------------------------------------------
# The three layouts


def _read_json(name: str) -> Mapping[str, Any]:
    try:
        content = json.loads(read_file(name, _LARGEST).decode("utf-8-sig"))
    except FileNotFoundError:
        raise DataError(f"{name}: no such file, expected vdsp parameters (JSON)") from None
    except OSError as error:
        raise DataError(f"{name}: {error.strerror or error}, expected vdsp parameters (JSON)") from None
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits
        raise DataError(f"{name}: not JSON ({error}), expected vdsp parameters") from None
    if not isinstance(content, dict):
        raise DataError(f"{name}: a JSON {type(content).__name__}, expected an object with OpType or vdsp_op_type")
    return content


def _operator_and_settings(name: str, content: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
    """The operator as the file has it, and the settings beside it under their own names."""
    if "OpType" in content:
        settings = content.get("OpConfig", {})
        if not isinstance(settings, dict):
            raise DataError(f"{name}: OpConfig is {_short(settings)}, expected an object")
        return content["OpType"], settings
    if "vdsp_op_type" in content:
        if "config" in content:
            return content["vdsp_op_type"], _properties(name, content["config"])
        return content["vdsp_op_type"], {key: value for key, value in content.items() if key != "vdsp_op_type"}
    keys = ", ".join(map(str, content)) or "none"
    raise DataError(f"{name}: keys {keys}, expected OpType with OpConfig, or vdsp_op_type")


def _properties(name: str, config: Any) -> dict[str, Any]:
    if not isinstance(config, list):
        raise DataError(f"{name}: config is {_short(config)}, expected a list of Property and Value")
    settings = {}
    for number, entry in enumerate(config):
        if not isinstance(entry, dict) or not isinstance(entry.get("Property"), str) or "Value" not in entry:
            raise DataError(f"{name}: config[{number}] is {_short(entry)}, expected an object with Property and Value")
        settings[entry["Property"]] = entry["Value"]
    return settings


def _plain(key: str) -> str:
    """A setting's name without case, underscores and the k that the SDK's constants begin with."""
    if key[:1] == "k" and key[1:2].isupper():
        key = key[1:]
    plain = key.replace("_", "").lower()
    return _ALIASES.get(plain, plain)


# ---------------------------------------------------------------------------------------------------------------------
# The settings


class _Reader:
    """Takes the settings one by one; what nobody took is named in a warning."""

    def __init__(self, name: str, operator: Any, settings: Mapping[str, Any], older: bool) -> None:
        self.name = name
        self.operator = operator
        self.older = older
        self.names = {_plain(key): key for key in settings}
        self.values = {_plain(key): value for key, value in settings.items()}
        self.taken: set[str] = set()

    def params(self) -> VdspParams:
        kind = self.kind()
        norm_type = self.choice("NormaType", "EQUAL", {name: name for name in _FORMULAS}, _NORM_NUMBERS)
        short_edge = self.whole("ShortEdgeThreshold", 1, MOST_SIDE) if kind == SHORT_EDGE_CROP else None
        output_size = self.size("Oimage")
        if kind == SHORT_EDGE_CROP and output_size == (None, None):
            side = self.whole("CropSize", 1, MOST_SIDE)
            output_size = (side, side)
        self.choice("EdgePaddingType", "CONSTANT", {"CONSTANT": "CONSTANT"}, {0: "CONSTANT"})
        params = VdspParams(
            path=self.name,
            op_type=str(self.operator),
            kind=kind,
            channels=self.choice("IimageFormat", "RGB_PLANAR", _CHANNEL_ORDERS, _FORMAT_NUMBERS),
            color_code=self.choice(
                "ColorCvtCode", "NO_CHANGE", {code: code for code in _COLOUR_NUMBERS.values()}, _COLOUR_NUMBERS
            ),
            resize_type=self.choice(
                "ResizeType", "BILINEAR_CV", {kind: kind for kind in _RESIZE_NUMBERS.values()}, _RESIZE_NUMBERS
            ),
            norm_type=norm_type,
            mean=self.constants("Mean", norm_type in _TAKES_MEAN, 0.0),
            std=self.constants("Std", norm_type in _TAKES_STD, 1.0),
            padding=self.padding(),
            output_size=output_size,
            resize_size=self.size("Resize"),
            crop=(self.whole("CropX", 0, MOST_SIDE), self.whole("CropY", 0, MOST_SIDE)),
            edges=self.edges(),
            short_edge=short_edge,
        )
        if kind == SHORT_EDGE_CROP and short_edge is None:
            raise DataError(f"{self.name}: no short_edge_threshold, expected the short side after resizing")
        _check_range(params)
        object.__setattr__(params, "warnings", (*_doubts(params), *self.left_over()))
        return params

    def kind(self) -> str:
        known = dict(_OP_TYPES) | {str(number): kind for number, kind in _OP_NUMBERS.items()}
        if isinstance(self.operator, (str, int)):
            for spelling in (str(self.operator), f"FUSION_OP_{self.operator}"):
                if spelling in known:
                    return known[spelling]
        raise DataError(
            f"{self.name}: operator {shown(self.operator, write=str)} has no counterpart on the CPU, "
            f"expected one of {', '.join(known)}"
        )

    def take(self, key: str) -> Any:
        plain = _plain(key)
        self.taken.add(plain)
        return self.values.get(plain)

    def choice(self, key: str, default: str, names: Mapping[str, str], numbers: Mapping[int, str]) -> str:
        value = self.take(key)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, int) and not isinstance(value, bool):
            value = numbers.get(value, value)
        name = default if value is None else value
        if not isinstance(name, str) or name not in names:
            raise DataError(
                f"{self.name}: {self.names[_plain(key)]} {_short(value)}, expected one of {', '.join(names)}"
            )
        return names[name]

    def whole(self, key: str, least: int, most: int) -> int | None:
        value = self.take(key)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if value is None:
            return None
        whole = type(value) is int or (isinstance(value, float) and value.is_integer())
        if not whole or not least <= value <= most:
            raise DataError(
                f"{self.name}: {self.names[_plain(key)]} {_short(value)}, expected a whole number of {least} to {most}"
            )
        return int(value)

    def size(self, prefix: str) -> tuple[int | None, int | None]:
        return self.whole(f"{prefix}Width", 1, MOST_SIDE), self.whole(f"{prefix}Height", 1, MOST_SIDE)

    def edges(self) -> tuple[int, int, int, int] | None:
        values = [self.whole(key, 0, MOST_SIDE) for key in _EDGES]
        if all(value is None for value in values):
            return None
        left, right, top, bottom = (value or 0 for value in values)
        return left, right, top, bottom

    def padding(self) -> tuple[int, int, int]:
        values = self.take("Padding")
        if values is None:
            channels = [self.whole(f"Padding{letter}", 0, 255) for letter in "RGB"]
            values = [_DEFAULT_PADDING if channel is None else channel for channel in channels]
        if isinstance(values, (int, float)):
            values = [values] * 3
        levels = isinstance(values, list) and all(type(value) in (int, float) and 0 <= value <= 255 for value in values)
        if not levels or len(values) != 3:
            raise DataError(f"{self.name}: Padding {_short(values)}, expected red, green and blue, each 0 to 255")
        red, green, blue = (round(value) for value in values)
        return red, green, blue

    def constants(self, key: str, needed: bool, default: float) -> Triple:
        values = self.take(key)
        if values is None:
            values = [self.take(f"{key}{letter}") for letter in "RGB"]
            if values == [None] * 3:
                if needed:
                    raise DataError(f"{self.name}: no {key}, expected three numbers for this NormaType")
                return default, default, default
        if isinstance(values, (int, float)):
            values = [values] * 3
        numbers = isinstance(values, list) and all(
            type(value) in (int, float) and abs(value) <= _FLOAT32_MAX for value in values
        )
        if not numbers or len(values) != 3:
            raise DataError(f"{self.name}: {key} {_short(values)}, expected three numbers that float32 can hold")
        first, second, third = (self.constant(key, value) for value in values)
        return first, second, third

    def constant(self, key: str, value: float) -> float:
        """A whole number in an older layout is the bits of a float16."""
        if not self.older or isinstance(value, float):
            return float(value)
        if not 0 <= value <= 0xFFFF:
            raise DataError(f"{self.name}: {key} {value}, expected the bits of a float16 as a whole number")
        constant = float(np.uint16(value).view(np.float16))
        if not math.isfinite(constant):
            raise DataError(f"{self.name}: {key} {value}, which are the bits of {constant}, expected a finite number")
        return constant

    def left_over(self) -> list[str]:
        strange = [name for plain, name in self.names.items() if plain not in self.taken | _WITHOUT_EFFECT]
        return [f"{self.name}: {', '.join(strange)} without effect here"] if strange else []


def _check_range(params: VdspParams) -> None:
    """Raise DataError where dividing by Std leaves the numbers that float32 can hold."""
    if params.norm_type not in _TAKES_STD:
        return
    std = f"{params.path}: Std {list(params.std)}"
    if 0 in params.std:
        raise DataError(f"{std}, expected numbers other than 0")
    brightest = 1.0 if params.norm_type == "DIV255_MINUSMEAN_DIVSTD" else 255.0
    for mean, deviation in zip(params.mean, params.std, strict=True):
        if max(abs(mean), abs(brightest - mean)) / abs(deviation) > _FLOAT32_MAX:
            formula = _FORMULAS[params.norm_type]
            raise DataError(f"{std}, which takes {formula} out of float32, expected numbers further from 0")


def _doubts(params: VdspParams) -> list[str]:
    """What the file says and may not mean."""
    doubts = []
    formula = _FORMULAS[params.norm_type]
    ignored = []
    if params.norm_type not in _TAKES_MEAN and params.mean != (0.0, 0.0, 0.0):
        ignored.append(f"Mean {_numbers(params.mean)}")
    if params.norm_type not in _TAKES_STD and params.std != (1.0, 1.0, 1.0):
        ignored.append(f"Std {_numbers(params.std)}")
    if ignored:
        doubts.append(
            f"{params.path}: NormaType {params.norm_type} is {formula} and ignores {' and '.join(ignored)}; "
            + _better_norm_type(params)
        )
    if params.color_code != "NO_CHANGE" and not params.color_code.startswith(params.channels):
        doubts.append(
            f"{params.path}: ColorCvtCode {params.color_code} on {params.channels} pictures exchanges red and blue all "
            f"the same: the network gets {params.output_channels}"
        )
    return doubts


def _better_norm_type(params: VdspParams) -> str:
    """Which NormaType a network wants that was trained with these constants.

    The model page's own file for HRNet has DIV1275_MINUSONE beside ImageNet's constants. Those are what the network
    was trained with, and the page's calibration (its YAML) applies them too: with the file as it stands the network
    sees another range of values than the one it learned.
    """
    if np.allclose((*params.mean, *params.std), _IMAGENET, atol=1e-3):
        return (
            "HRNet and HigherHRNet were trained with (x / 255 - Mean) / Std and these constants: for them it has to be "
            "DIV255_MINUSMEAN_DIVSTD"
        )
    better = "DIV255_MINUSMEAN_DIVSTD" if max(params.std) <= 1 else "MINUSMEAN_DIVSTD"
    return f"a network that was trained with these constants needs {better}"


def _numbers(values: Triple) -> str:
    return "[" + ", ".join(f"{value:g}" for value in values) + "]"


def _short(value: Any) -> str:
    return shown(value, write=json.dumps)
