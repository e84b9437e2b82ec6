"""Plain containers that pass between the steps of the decoder."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class TopK(NamedTuple):
    """The candidates of every joint, best first: M' = min(max_num_people, pixels of the map) per joint.

    values: (K, M') float32, the heat; 0 where fewer than M' peaks exist (such places are pixels, but no peaks).
    x, y: (K, M') int32, the column and the row, in pixels of the map.
    tags: (K, M', L) float32, the tag vector at that pixel: the plain output's, then the mirrored output's.
    """

    values: NDArray[np.float32]
    x: NDArray[np.int32]
    y: NDArray[np.int32]
    tags: NDArray[np.float32]
