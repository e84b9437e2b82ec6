"""The settings of the decoder, under the names that the reference decoder gives them."""

from __future__ import annotations

import dataclasses
import math
import numbers
from dataclasses import dataclass
from typing import Any

MODES = ("reference", "mmpose1")


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

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            kind = str(field.type)
            if kind in _CHECKS:
                object.__setattr__(self, field.name, _CHECKS[kind](field.name, getattr(self, field.name)))
        if self.max_num_people < 1:
            raise ValueError(f"max_num_people: {self.max_num_people}, expected 1 or more")
        if self.nms_kernel < 1 or self.nms_kernel % 2 == 0:
            raise ValueError(f"nms_kernel: {self.nms_kernel}, expected an odd number of 1 or more")
        if self.mode not in MODES:
            raise ValueError(f"mode: {self.mode!r}, expected one of {', '.join(map(repr, MODES))}")
        if self.mode == "mmpose1" and self.use_udp:
            raise ValueError("use_udp: True, expected False with mode 'mmpose1', which has no UDP step")
        if self.input_size is not None:
            object.__setattr__(self, "input_size", check_size("input_size", self.input_size))

    def replace(self, **changes: Any) -> DecodeParams:
        """A copy with some fields changed; an unknown name is a TypeError."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Every field under its own name, as plain values."""
        return dataclasses.asdict(self)


def check_size(name: str, size: Any) -> tuple[int, int]:
    """``size`` as two positive ints (width, height), or an error that names the argument."""
    try:
        width, height = size
    except (TypeError, ValueError):
        raise TypeError(f"{name}: {size!r}, expected (width, height)") from None
    width, height = _whole(name, width), _whole(name, height)
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise ValueError(f"{name}: {size!r}, expected a width and a height from 1 to {MAX_SIDE}")
    return width, height


# Pixel indices are 32-bit in the kernels, and float32 carries whole pixel positions exactly up to 2^24.
MAX_SIDE = 1 << 15


def _whole(name: str, value: Any) -> int:
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
    real = float(value)
    if not math.isfinite(real):
        raise ValueError(f"{name}: {real}, expected a finite number")
    return real


def _switch(name: str, value: Any) -> bool:
    if not isinstance(value, bool) and type(value).__name__ not in ("bool", "bool_"):
        raise TypeError(f"{name}: {value!r}, expected True or False")
    return bool(value)


_CHECKS = {"int": _whole, "float": _real, "bool": _switch}
