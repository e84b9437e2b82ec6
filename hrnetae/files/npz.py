"""Network outputs of one picture in one npz: keys output_0, output_1, ... one per stage.

vamp writes float16 (1, C, H, W), runstream float32; both are read, with or without the batch axis. The members are read
here, not by ``numpy.load``, so that the header is judged before any memory is taken, and no pickle is ever opened.
"""

from __future__ import annotations

import ast
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hrnetae.files.atomic import atomic_write
from hrnetae.files.errors import DataError, first_names

Maps = NDArray[np.floating[Any]]

_PREFIX = "output_"
_KINDS = ("f2", "f4")
_LENGTH_FORMATS = {b"\x01\x00": "<H", b"\x02\x00": "<I"}  # of the header, by the npy format's version
_LONGEST_HEADER = 4096
_SUFFIX = ".npy"
# What is raised, here and by zipfile, for damaged, encrypted or foreign archives.
_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, NotImplementedError, RuntimeError)


def read_outputs(path: str | os.PathLike[str]) -> tuple[Maps, ...]:
    """The maps of one picture, one array (C, H, W) per stage, float16 or float32 as in the file.

    Errors: DataError, which names the file, for a missing, truncated or foreign file, a wrong key, shape or dtype.
    """
    name = os.fspath(path)
    try:
        with zipfile.ZipFile(name) as archive:
            keys = _stage_keys(name, archive.namelist())
            stages = tuple(_read_member(name, archive, key) for key in keys)
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{name}: no such file, expected the network outputs of a picture (npz)") from None
    except OSError as error:
        raise DataError(f"{name}: {error.strerror or error}, expected a readable npz file") from None
    except _DAMAGE as error:
        raise DataError(f"{name}: {_damage(name, error)}, expected a complete npz file") from None
    return stages


def write_outputs(path: str | os.PathLike[str], stages: Sequence[Maps], dtype: DTypeLike = np.float16) -> None:
    """Write the maps of one picture as vamp does: uncompressed, keys output_0 ..., with the batch axis; atomically.

    stages: one array (C, H, W) or (1, C, H, W) per stage, any float type.
    dtype: float16 (vamp) or float32 (runstream). Values beyond float16 become infinite, as on the accelerator.
    Errors: OSError; ValueError for another shape.
    """
    arrays = {}
    for number, stage in enumerate(stages):
        maps = np.asarray(stage, dtype=dtype, order="C")
        if maps.ndim == 3:
            maps = maps[np.newaxis]
        if maps.ndim != 4 or maps.shape[0] != 1:
            raise ValueError(f"stages[{number}]: shape {np.shape(stage)}, expected (C, H, W) or (1, C, H, W)")
        arrays[f"{_PREFIX}{number}"] = maps
    write_arrays(path, arrays)


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays to an npz as ``numpy.savez`` does, but atomically. The bytes depend on the arrays alone.

    Errors: OSError; ValueError for an array of objects, which would need a pickle.
    """
    with atomic_write(path) as handle, zipfile.ZipFile(handle, "w", zipfile.ZIP_STORED) as archive:
        for key, array in arrays.items():
            with archive.open(key + _SUFFIX, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def _stage_keys(name: str, members: Sequence[str]) -> list[str]:
    found = [member.removesuffix(_SUFFIX) for member in members]
    keys: list[str] = []
    while f"{_PREFIX}{len(keys)}" in found:
        keys.append(f"{_PREFIX}{len(keys)}")
    strays = [key for key in found if key.startswith(_PREFIX) and key not in keys]
    if not keys or strays:
        has = f"keys {first_names(found)}" if found else "no arrays"
        raise DataError(f"{name}: {has}, expected output_0 (and output_1 for a second stage)")
    return keys


def _read_member(name: str, archive: zipfile.ZipFile, key: str) -> Maps:
    info = archive.getinfo(key + _SUFFIX if key + _SUFFIX in archive.namelist() else key)
    with archive.open(info) as member:
        shape, fortran, descr = _read_header(member)
        dtype = _check_header(f"{name}: {key}", shape, descr)
        count = math.prod(shape)
        if info.file_size - member.tell() != count * dtype.itemsize:
            held = f"{info.file_size - member.tell()} bytes for shape {shape} of {dtype}"
            raise DataError(f"{name}: {key} has {held}, expected {count * dtype.itemsize}")
        flat = np.empty(count, dtype)
        _fill(member, flat.view(np.uint8).data)
    array = flat.astype(dtype.newbyteorder("="), copy=False).reshape(shape, order="F" if fortran else "C")
    return array[0] if array.ndim == 4 else array


def _read_header(member: IO[bytes]) -> tuple[Any, Any, Any]:
    """The npy header's shape, fortran_order and descr, as they stand there (a literal, never evaluated)."""
    start = member.read(8)
    if start[:6] != b"\x93NUMPY" or start[6:] not in _LENGTH_FORMATS:
        raise ValueError("not an npy array of format 1.0 or 2.0")
    length_format = _LENGTH_FORMATS[start[6:]]
    (length,) = struct.unpack(length_format, member.read(struct.calcsize(length_format)))
    if length > _LONGEST_HEADER:
        raise ValueError(f"npy header of {length} bytes")
    try:
        header = ast.literal_eval(member.read(length).decode("latin-1"))
        return header["shape"], header["fortran_order"], header["descr"]
    except (SyntaxError, ValueError, TypeError, KeyError, MemoryError, RecursionError):
        raise ValueError("npy header is no header") from None


def _check_header(what: str, shape: Any, descr: Any) -> np.dtype[Any]:
    """The dtype that ``descr`` means, or an error that says what the array is instead of a stage's maps."""
    if not isinstance(descr, str) or descr[1:] not in _KINDS or descr[0] not in "<>=":
        raise DataError(f"{what} has dtype {_dtype_name(descr)}, expected float16 or float32")
    whole = isinstance(shape, tuple) and all(type(length) is int and length > 0 for length in shape)
    if not whole or len(shape) not in (3, 4) or (len(shape) == 4 and shape[0] != 1):
        raise DataError(f"{what} has shape {shape}, expected (C, H, W) or (1, C, H, W)")
    return np.dtype(descr)


def _dtype_name(descr: Any) -> str:
    try:
        return np.dtype(descr).name if isinstance(descr, str) else "of several fields"
    except TypeError:
        return repr(descr)


def _fill(member: IO[bytes], buffer: memoryview) -> None:
    """Read an array's bytes in place; the archive checks their CRC at the end."""
    done = 0
    while done < len(buffer):
        count = member.readinto(buffer[done:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError(f"{done} of {len(buffer)} bytes")
        done += count


def _damage(name: str, error: BaseException) -> str:
    if Path(name).stat().st_size == 0:
        return "empty file"
    if isinstance(error, zipfile.BadZipFile) and not zipfile.is_zipfile(name):
        return "truncated, or not an npz (zip) file"
    return f"damaged ({error})"
