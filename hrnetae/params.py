"""The settings of the decoder, under the names that the reference decoder gives them."""

from __future__ import annotations

import dataclasses
import json
import math
import numbers
import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from hrnetae.foreign import one_line, read_file, shown
from hrnetae.rescoring import Rescoring

MODES = ("reference", "mmpose1")
SUBPIXEL = ("quarter", "fit")
PERSON_SCORES = ("mean", "found", "geometric")  # as the kernels number them
CHOICES = MappingProxyType({"mode": MODES, "subpixel": SUBPIXEL, "person_score": PERSON_SCORES})
_MOST_WINDOW = 15
_FLOAT32_MAX = float.fromhex("0x1.fffffep+127")
# Of a file of parameters.
FORMAT = "hrnetae params"
VERSION = 1
_LARGEST_FILE = 1 << 24  # bytes


@dataclass(frozen=True)
class DecodeParams:
    """How network outputs are decoded. The defaults are the reference's (mmpose 0.x, COCO bottom-up).

    max_num_people: candidates kept per joint (not a limit on persons, unless ``ignore_too_much``).
    detection_threshold: a candidate's heat must be larger than this.
    tag_threshold: a candidate joins a person only if its tag is nearer than this to the person's mean tag.
    nms_kernel: side of the max-pooling window in pixels, odd.
    use_detection_val: the assignment cost is rint(tag distance) * 100 - heat; off: the tag distance itself.
    ignore_too_much: only the first ``max_num_people`` persons are matched against and returned ("mmpose1" matches
        against all and returns the first ``max_num_people``, on or off).
    tag_per_joint: one tag map per joint; off: one tag map shared by all joints.
    adjust, refine: the sub-pixel step; the filling in of missing joints.
    project2image: maps are resized to the image before peaks are looked for; off: to the network's own map.
    align_corners: the bilinear resize of UDP-trained networks.
    use_udp: the DARK sub-pixel step and UDP geometry in place of the quarter step.
    score_per_joint: a person's score is its K joint values in place of their mean.
    mode: "reference" (mmpose 0.x) or "mmpose1" (mmpose 1.x codec and head).
    restore_heatmap_size, center_shift, input_size: used by "mmpose1" alone; resize the maps to the network's
        input, the shift of found joints in pixels, and that input's (width, height), None for 4 x the map.

    Beyond the reference, off by default (docs/tuning.md says what they are worth):
    tag_window: a candidate's tag is the mean over this many x this many pixels around it, odd.
    second_pass: joints are given away again by the mean tags that the persons ended with.
    subpixel: "quarter", the reference's step, or "fit", the vertex of a parabola on the network's own map.
    person_score: "mean" over all joints, over those "found", or their "geometric" mean.
    suppress_oks: a person whose OKS with a better one is larger than this is dropped; 1: nobody.
    filled_floor: a joint is filled in only where the heat is larger than this.
    exact_geometry: the way back undoes the letterbox of the network's input (``input_size``, None for 4 x the first
        stage's map) to the pixel, where the reference cuts half the image size to a whole number.
    rescoring: scores by a model of what is known of a person, in place of ``person_score``; None: off.
    """

    max_num_people: int = 30
    detection_threshold: float = 0.1
    tag_threshold: float = 1.0
    nms_kernel: int = 5
    use_detection_val: bool = True
    ignore_too_much: bool = False
    tag_per_joint: bool = True
    adjust: bool = True
    refine: bool = True
    project2image: bool = True
    align_corners: bool = False
    use_udp: bool = False
    score_per_joint: bool = False
    mode: str = "reference"
    restore_heatmap_size: bool = True
    center_shift: float = 0.5
    input_size: tuple[int, int] | None = None
    tag_window: int = 1
    second_pass: bool = False
    subpixel: str = "quarter"
    person_score: str = "mean"
    suppress_oks: float = 1.0
    filled_floor: float = 0.0
    exact_geometry: bool = False
    rescoring: Rescoring | None = None

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            kind = str(field.type)
            if kind in _CHECKS:
                object.__setattr__(self, field.name, _CHECKS[kind](field.name, getattr(self, field.name)))
        if self.max_num_people < 1:
            raise ValueError(f"max_num_people: {self.max_num_people}, expected 1 or more")
        if abs(self.center_shift) > _FLOAT32_MAX:
            raise ValueError(f"center_shift: {self.center_shift}, expected a number that float32 can hold")
        if self.nms_kernel < 1 or self.nms_kernel % 2 == 0:
            raise ValueError(f"nms_kernel: {self.nms_kernel}, expected an odd number of 1 or more")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                expected = ", ".join(map(repr, choices))
                raise ValueError(f"{name}: {getattr(self, name)!r}, expected one of {expected}")
        if self.mode == "mmpose1" and self.use_udp:
            raise ValueError("use_udp: True, expected False with mode 'mmpose1', which has no UDP step")
        if self.input_size is not None:
            object.__setattr__(self, "input_size", check_size("input_size", self.input_size))
        self._check_options()

    def _check_options(self) -> None:
        if not 1 <= self.tag_window <= _MOST_WINDOW or self.tag_window % 2 == 0:
            raise ValueError(f"tag_window: {self.tag_window}, expected an odd number from 1 to {_MOST_WINDOW}")
        for name, least in (("suppress_oks", 0.0), ("filled_floor", 0.0)):
            if not least <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name}: {getattr(self, name)}, expected a number from {least:g} to 1")
        if self.rescoring is not None and not isinstance(self.rescoring, Rescoring):
            raise TypeError(f"rescoring: {type(self.rescoring).__name__}, expected Rescoring or None")
        plain = self.mode == "reference" and not self.use_udp
        for name, used, fits, expected in (
            ("subpixel", self.subpixel == "fit", plain and not self.align_corners, "'quarter' with UDP or mmpose1"),
            ("exact_geometry", self.exact_geometry, plain, "False with UDP or mode 'mmpose1'"),
            ("filled_floor", self.filled_floor > 0, self.mode == "reference", "0 with mode 'mmpose1'"),
            ("person_score", self.person_score != "mean", not self.score_per_joint, "'mean' with score_per_joint"),
            ("suppress_oks", self.suppress_oks < 1, not self.score_per_joint, "1 with score_per_joint"),
            ("rescoring", self.rescoring is not None, not self.score_per_joint, "None with score_per_joint"),
        ):
            if used and not fits:
                found = "given" if name == "rescoring" else repr(getattr(self, name))
                raise ValueError(f"{name}: {found}, expected {expected}")

    def replace(self, **changes: Any) -> DecodeParams:
        """A copy with some fields changed; an unknown name is a TypeError."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Every field under its own name, as plain values."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        if self.rescoring is not None:
            values["rescoring"] = self.rescoring.to_dict()
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DecodeParams:
        """The inverse of `to_dict`; what is missing keeps its default. ValueError or TypeError names the field."""
        known = {field.name for field in dataclasses.fields(cls)}
        for name in values:
            if name not in known:
                raise ValueError(f"{name}: unknown, expected a parameter of the decoder")
        given = dict(values)
        if isinstance(given.get("rescoring"), Mapping):
            given["rescoring"] = Rescoring.from_dict(given["rescoring"])
        return cls(**given)

    @classmethod
    def from_json(cls, path: str | os.PathLike[str]) -> DecodeParams:
        """The parameters of a file that ``hrnetae tune`` or `to_json` wrote.

        Errors: OSError; ValueError that names the file, what it holds and what was expected.
        """
        name = os.fspath(path)
        try:
            content = json.loads(read_file(path, _LARGEST_FILE).decode())
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{name}: not JSON ({error}), expected parameters") from None
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ValueError(f"{name}: no {FORMAT!r} as its format, expected a file of `hrnetae tune`")
        version, params = content.get("version"), content.get("params")
        if version != VERSION or version is True or not isinstance(params, dict):
            raise ValueError(f"{name}: version {shown(version)}, expected {VERSION} with an object params")
        try:
            return cls.from_dict(params)
        except RecursionError:
            raise ValueError(f"{name}: lists in lists without end, expected plain numbers and words") from None
        except (TypeError, ValueError) as error:
            raise ValueError(one_line(f"{name}: {error}")) from None

    def to_json(self, **more: Any) -> str:
        """The text of a file for `from_json`. more: further entries beside the parameters, which reading ignores."""
        content = {"format": FORMAT, "version": VERSION, "params": self.to_dict(), **more}
        return json.dumps(content, indent=2) + "\n"


def check_size(name: str, size: Any) -> tuple[int, int]:
    """``size`` as two positive ints (width, height), or an error that names the argument."""
    try:
        width, height = size
    except (TypeError, ValueError):
        raise TypeError(f"{name}: {size!r}, expected (width, height)") from None
    width, height = check_whole(name, width), check_whole(name, height)
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise ValueError(f"{name}: {size!r}, expected a width and a height from 1 to {MAX_SIDE}")
    return width, height


# Pixel indices are 32-bit in the kernels, and float32 carries whole pixel positions exactly up to 2^24.
MAX_SIDE = 1 << 15


def check_whole(name: str, value: Any) -> int:
    """``value`` as a 32-bit int, or an error that names the argument."""
    # An int, which most are, is told from its type at once.
    if type(value) is not int and (isinstance(value, bool) or not isinstance(value, numbers.Integral)):
        raise TypeError(f"{name}: {value!r}, expected a whole number")
    whole = int(value)
    if not -(1 << 31) < whole < 1 << 31:
        raise ValueError(f"{name}: {whole}, expected a 32-bit number")
    return whole


def _real(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}: {value!r}, expected a number")
    try:
        real = float(value)
    except OverflowError:
        raise ValueError(f"{name}: a whole number of {len(str(value))} digits, expected a finite number") from None
    if not math.isfinite(real):
        raise ValueError(f"{name}: {real}, expected a finite number")
    return real


def _switch(name: str, value: Any) -> bool:
    if not isinstance(value, bool) and type(value).__name__ not in ("bool", "bool_"):
        raise TypeError(f"{name}: {value!r}, expected True or False")
    return bool(value)


_CHECKS = {"int": check_whole, "float": _real, "bool": _switch}
