"""Network inputs as the flow keeps them: one picture in one npz, uint8 (3, H, W), RGB, at its own size."""

from __future__ import annotations

import math
import os
import zipfile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.files.errors import DataError
from hrnetae.files.npz import DAMAGE

INPUT_KEY = "input_0"
_SUFFIX = ".npy"
_EXPECTED = "expected uint8 (3, H, W)"


def read_input(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """The picture of an input file: the first array in it, whatever its key (the flow writes ``input_0``).

    The header is judged before any memory is taken, and the checksum compared.
    Errors: DataError, which names the file, for one that is missing, damaged or foreign, or holds something else.
    """
    name = os.fspath(path)
    try:
        with zipfile.ZipFile(name) as archive:
            members = [member for member in archive.infolist() if member.filename.endswith(_SUFFIX)]
            if not members:
                raise DataError(f"{name}: no arrays in it, expected a picture under {INPUT_KEY}")
            with archive.open(members[0]) as member:
                return _read_picture(name, member, members[0])
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{name}: no such file, expected a picture (npz)") from None
    except OSError as error:
        raise DataError(f"{name}: {error.strerror or error}, expected a readable npz file") from None
    except DAMAGE as error:
        raise DataError(f"{name}: damaged, or no npz file ({error}), expected a complete one") from None


def _read_picture(name: str, member: IO[bytes], info: zipfile.ZipInfo) -> NDArray[np.uint8]:
    key = info.filename.removesuffix(_SUFFIX)
    version = np.lib.format.read_magic(member)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read_header(member)
    if dtype != np.uint8 or len(shape) not in (3, 4) or shape[-3] != 3 or (len(shape) == 4 and shape[0] != 1):
        raise DataError(f"{name}: {key} is {_what(dtype, shape)}, {_EXPECTED}")
    size = math.prod(shape)
    if not size or info.file_size - member.tell() != size:
        held = info.file_size - member.tell()
        raise DataError(f"{name}: {key} is {_what(dtype, shape)} in {held} bytes, {_EXPECTED} in {size}")
    values = np.frombuffer(member.read(), np.uint8)
    return values.reshape(shape, order="F" if fortran else "C").reshape(shape[-3:])


def _what(dtype: np.dtype[Any], shape: tuple[int, ...]) -> str:
    return f"{'an object array' if dtype.hasobject else dtype} {shape}"
