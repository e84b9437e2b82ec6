"""Writing the outputs of a network, and telling whether they are there already."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.files.errors import DataError
from hrnetae.files.npz import ReadBuffer, read_outputs, write_outputs
from hrnetae.runtime.sessions import Tensor


def write_maps(path: Path, outputs: Sequence[NDArray[Any]], dtype: type[np.floating[Any]]) -> None:
    """`write_outputs`, with values beyond float16 becoming infinite silently.

    outputs: each (1, C, H, W). Errors: DataError that names the file.
    """
    try:
        with np.errstate(over="ignore"):
            write_outputs(path, outputs, dtype)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}, the outputs could not be written") from None


def is_finished(
    path: Path, outputs: Sequence[Tensor], dtype: type[np.floating[Any]], into: ReadBuffer | None = None
) -> bool:
    """Whether the file is there, whole, and has the shapes and dtype that the network's outputs would have."""
    if not path.exists():
        return False
    try:
        found = read_outputs(path, into=into)
    except DataError:  # its bytes had not reached the disk, perhaps, when the machine stopped
        return False
    return len(found) == len(outputs) and all(
        array.dtype == dtype and _fits(array.shape, output.shape[1:])
        for array, output in zip(found, outputs, strict=True)
    )


def _fits(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    return len(shape) == len(expected) and all(want in (None, got) for want, got in zip(expected, shape, strict=True))
