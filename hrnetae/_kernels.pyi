"""The compiled kernels (csrc/_kernels.pyx), as the type checker sees them."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hrnetae.evaluation.oks import Persons, Rules
from hrnetae.outputs import OutputMaps
from hrnetae.params import DecodeParams

_Floats = npt.NDArray[np.float32]
_Whole = npt.NDArray[np.int32]
_Doubles = npt.NDArray[np.float64]

__test__: dict[str, str]  # Cython's, for doctest

def version() -> str: ...
def has_level(level: int) -> bool: ...
def decode(
    maps: OutputMaps,
    flip_index: _Whole,
    joint_order: _Whole,
    sigmas: _Doubles,
    params: DecodeParams,
    image_size: tuple[int, int],
    level: int,
) -> tuple[_Floats, _Floats, _Floats]: ...
def decode_features(
    maps: OutputMaps,
    flip_index: _Whole,
    joint_order: _Whole,
    sigmas: _Doubles,
    params: DecodeParams,
    image_size: tuple[int, int],
    level: int,
) -> tuple[_Floats, _Floats, _Floats, _Doubles]: ...
def open_batch(
    images: Sequence[tuple[OutputMaps, tuple[int, int]]],
    flip_index: _Whole,
    joint_order: _Whole,
    sigmas: _Doubles,
    params: DecodeParams,
    level: int,
) -> object: ...
def decode_batch(capsule: object) -> None: ...
def stop_batch(capsule: object) -> None: ...
def people_of_batch(capsule: object) -> list[tuple[_Floats, _Floats, _Floats] | None]: ...
def project(
    maps: OutputMaps,
    flip_index: _Whole,
    joint_order: _Whole,
    sigmas: _Doubles,
    params: DecodeParams,
    image_size: tuple[int, int],
) -> tuple[_Floats, _Floats]: ...
def heatmap_nms(heat: _Floats, kernel: int, peaks: _Floats) -> None: ...
def top_k(peaks: _Floats, tags: _Floats, value: _Floats, x: _Whole, y: _Whole, tag: _Floats) -> None: ...
def assign(cost: _Doubles, column_of_row: _Whole) -> None: ...
def group_by_tag(
    value: _Floats, x: _Whole, y: _Whole, tag: _Floats, joint_order: _Whole, params: DecodeParams
) -> _Floats: ...
def adjust(persons: _Floats, heat: _Floats, params: DecodeParams) -> None: ...
def refine(persons: _Floats, heat: _Floats, tags: _Floats, params: DecodeParams) -> None: ...
def oks_exponents(persons: Persons) -> _Doubles: ...
def oks_match(persons: Persons, rules: Rules, exponentials: _Doubles) -> npt.NDArray[np.uint8]: ...
