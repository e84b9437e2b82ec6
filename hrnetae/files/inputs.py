"""Network inputs as the flow keeps them: one picture in one npz, uint8 (3, H, W), RGB, at its own size."""

from __future__ import annotations

import math
import os
import zipfile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.files.errors import DataError
from hrnetae.files.npz import DAMAGE, check_claims, dtype_name, fill, read_header
from hrnetae.foreign import check_regular, shown

INPUT_KEY = "input_0"
_SUFFIX = ".npy"
_DESCRS = ("|u1", "<u1", ">u1", "=u1", "u1")
_EXPECTED = "expected uint8 (3, H, W)"


def read_input(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """The picture of an input file: the first array in it, whatever its key (the flow writes ``input_0``).

    The header is judged before any memory is taken, and the checksum compared.
    Errors: DataError, which names the file, for one that is missing, damaged or foreign, or holds something else.
    """
    name = os.fspath(path)
    try:
        check_regular(name)
        with zipfile.ZipFile(name) as archive:
            check_claims(name, archive)
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
    shape, fortran, descr = read_header(member)
    whole = isinstance(shape, tuple) and all(type(length) is int and length > 0 for length in shape)
    of_picture = whole and len(shape) in (3, 4) and shape[-3] == 3 and (len(shape) == 3 or shape[0] == 1)
    if descr not in _DESCRS or not of_picture:
        raise DataError(f"{name}: {key} is {_what(descr, shape)}, {_EXPECTED}")
    size, held = math.prod(shape), info.file_size - member.tell()
    if held != size:
        raise DataError(f"{name}: {key} is {_what(descr, shape)} in {held} bytes, {_EXPECTED} in {size}")
    values = np.empty(size, np.uint8)
    fill(member, values.data)
    return values.reshape(shape, order="F" if fortran else "C").reshape(shape[-3:])


def _what(descr: Any, shape: Any) -> str:
    return f"{dtype_name(descr)} {shown(shape)}"
