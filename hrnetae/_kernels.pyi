"""The compiled kernels (csrc/_kernels.pyx), as the type checker sees them."""

from typing import Any

import numpy as np
import numpy.typing as npt

from hrnetae.outputs import OutputMaps
from hrnetae.params import DecodeParams

_Floats = npt.NDArray[np.float32]
_Whole = npt.NDArray[np.int32]

def decode(
    maps: OutputMaps, flip_index: _Whole, joint_order: _Whole, params: DecodeParams, image_size: tuple[int, int]
) -> tuple[_Floats, _Floats, _Floats]: ...
def project(
    maps: OutputMaps, flip_index: _Whole, joint_order: _Whole, params: DecodeParams, image_size: tuple[int, int]
) -> tuple[_Floats, _Floats]: ...
def heatmap_nms(heat: _Floats, kernel: int, peaks: _Floats) -> None: ...
def top_k(peaks: _Floats, tags: _Floats, value: _Floats, x: _Whole, y: _Whole, tag: _Floats) -> None: ...
def assign(cost: npt.NDArray[np.float64], column_of_row: _Whole) -> None: ...
def group_by_tag(
    value: _Floats, x: _Whole, y: _Whole, tag: _Floats, joint_order: _Whole, params: DecodeParams
) -> npt.NDArray[Any]: ...
def adjust(persons: _Floats, heat: _Floats, params: DecodeParams) -> None: ...
def refine(persons: _Floats, heat: _Floats, tags: _Floats, params: DecodeParams) -> None: ...
