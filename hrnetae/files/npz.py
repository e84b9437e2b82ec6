"""Network outputs of one picture in one npz: keys output_0, output_1, ... one per stage.

vamp writes float16 (1, C, H, W), runstream float32; both are read, with or without the batch axis. No pickle is ever
opened. There are two ways of reading, which give the same arrays:

- a plain archive (stored members, native byte order, C order: what vamp and ``numpy.savez`` write) is read into memory
  in one go, and the arrays are views of it. Whatever is not plain, damaged files above all, is left to
- the archive library, which judges the header before any memory is taken, and says what is wrong.
"""

from __future__ import annotations

import ast
import io
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hrnetae.files.atomic import atomic_write
from hrnetae.files.errors import AbsentError, DataError, first_names
from hrnetae.foreign import open_without_waiting, shown, size_of_regular

Maps = NDArray[np.floating[Any]]

_PREFIX = "output_"
_KINDS = ("f2", "f4")
_LENGTH_FORMATS = {b"\x01\x00": "<H", b"\x02\x00": "<I"}  # of the header, by the npy format's version
_LONGEST_HEADER = 4096
_SUFFIX = ".npy"
_LARGEST_PLAIN = 1 << 28  # bytes; a larger file is not read in one go
_LARGEST_INFLATED = 1 << 28  # bytes of all arrays in a compressed file
_CACHE_LINE = 64
_USUAL_START = 190  # of the first array's values in what numpy.savez writes
# Of the zip format: the end record, a member's entry in the directory, the header in front of a member.
_END = struct.Struct("<4s4H2LH")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_UTF8_NAME = 0x800
# What is raised, here and by zipfile, for damaged, encrypted or foreign archives.
DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, NotImplementedError, RuntimeError)


class ReadBuffer:
    """Memory that reads use one after another: a read makes the arrays of the one before it invalid."""

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)
        self._start = _USUAL_START

    def room(self, size: int) -> memoryview:
        """``size`` bytes, placed so that the first array of a file like the last one begins at a cache line."""
        if self._memory.size < size + _CACHE_LINE:
            self._memory = np.empty(size + _CACHE_LINE, np.uint8)
            self._address = self._memory.ctypes.data
        shift = -(self._address + self._start) % _CACHE_LINE
        return self._memory.data[shift : shift + size]

    def arrays_began_at(self, start: int) -> None:
        """The first array of the file last read stood at this byte; the next file's probably does too."""
        self._start = start


def read_outputs(
    path: str | os.PathLike[str], *, verify: bool = False, into: ReadBuffer | None = None
) -> tuple[Maps, ...]:
    """The maps of one picture, one array (C, H, W) per stage, float16 or float32 as in the file.

    verify: compare checksums, which takes longer than the reading; compressed files are always compared.
    into: the arrays lie in there, until it is used again; None: in memory of their own.
    Errors: DataError, which names the file, for a missing, truncated or foreign file, a wrong key, shape or dtype.
    """
    name = os.fspath(path)
    try:
        stages = _read_plain(name, verify, ReadBuffer() if into is None else into)
        return stages or _read_archive(name)
    except DataError:
        raise
    except FileNotFoundError:
        raise AbsentError(f"{name}: no such file, expected the network outputs of a picture (npz)", name) from None
    except OSError as error:
        raise DataError(f"{name}: {error.strerror or error}, expected a readable npz file") from None
    except DAMAGE as error:
        raise DataError(f"{name}: {_damage(name, error)}, expected a complete npz file") from None


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
                _write_npy(member, np.asanyarray(array))


def _write_npy(member: IO[bytes], array: NDArray[Any]) -> None:
    """``numpy.lib.format.write_array``, which copies the values, without the copy."""
    if array.dtype.kind != "f" or not array.flags.c_contiguous:
        np.lib.format.write_array(member, array, allow_pickle=False)
        return
    np.lib.format.write_array_header_1_0(member, np.lib.format.header_data_from_array_1_0(array))
    member.write(array.reshape(-1).view(np.uint8).data)


# ---------------------------------------------------------------------------------------------------------------------
# Plain archives


class _Member(NamedTuple):
    start: int
    end: int
    crc: int


class _Layout(NamedTuple):
    """What an npy header says: the maps without the batch axis."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    nbytes: int


def _read_plain(name: str, verify: bool, buffer: ReadBuffer) -> tuple[Maps, ...] | None:
    """The stages of an archive that is plain and in order; None for any other file."""

    with open(name, "rb", buffering=0, opener=open_without_waiting) as file:
        size = size_of_regular(file.fileno(), name)
        if not _END.size <= size <= _LARGEST_PLAIN:
            return None
        data = buffer.room(size)
        if file.readinto(data) != size:
            return None
    members = _plain_members(data)
    if members is None:
        return None
    stages: list[Maps] = []
    for number in range(len(members)):
        member = members.get(b"%s%d.npy" % (_PREFIX.encode(), number))
        if member is None or (verify and zlib.crc32(data[member.start : member.end]) != member.crc):
            return None
        begin = member.start + 10  # magic, version, length of the header
        end = begin + int.from_bytes(data[begin - 2 : begin], "little")
        layout = _plain_layout(bytes(data[member.start : end]))
        if layout is None or member.end - end != layout.nbytes:
            return None
        if not stages:
            buffer.arrays_began_at(end)
        array: Maps = np.ndarray(layout.shape, layout.dtype, data, end)
        stages.append(array if array.flags.aligned else array.copy())
    return tuple(stages)


def _plain_members(data: memoryview) -> dict[bytes, _Member] | None:
    """Where the members are, by their names. None unless all are stored and the directory fits the file."""
    directory_end = len(data) - _END.size
    mark, *disks, count, length, at, comment = _END.unpack_from(data, directory_end)
    if mark != b"PK\5\6" or disks != [0, 0, count] or comment or at + length != directory_end:
        return None
    members = {}
    end = at
    for _ in range(count):
        if at + _ENTRY.size > directory_end:
            return None
        (mark, _, _, flags, method, _, _, crc, packed, size, name_length, extra, comment, _, _, _, local) = (
            _ENTRY.unpack_from(data, at)
        )
        if mark != b"PK\1\2" or flags & ~_UTF8_NAME or method != zipfile.ZIP_STORED or packed != size:
            return None
        at += _ENTRY.size
        name = bytes(data[at : at + name_length])
        at += name_length + extra + comment
        if local + _LOCAL.size > end:
            return None
        mark, *_, name_again, extra = _LOCAL.unpack_from(data, local)
        start = local + _LOCAL.size + name_again + extra
        if mark != b"PK\3\4" or start + size > end or data[local + _LOCAL.size :][:name_again] != name:
            return None
        members[name] = _Member(start, start + size, crc)
    return members if at == directory_end and len(members) == count else None


@lru_cache(maxsize=64)
def _plain_layout(start: bytes) -> _Layout | None:
    """What the first bytes of a member say, to the end of its npy header; None unless they are as usual."""
    try:
        shape, fortran, descr = read_header(io.BytesIO(start))
        dtype = _check_header("", shape, descr)
    except ValueError:
        return None
    if start[6:8] != b"\x01\x00" or fortran or not dtype.isnative:
        return None
    return _Layout(dtype, shape[-3:], math.prod(shape) * dtype.itemsize)


# ---------------------------------------------------------------------------------------------------------------------
# All archives


def _read_archive(name: str) -> tuple[Maps, ...]:
    with zipfile.ZipFile(name) as archive:
        check_claims(name, archive)
        keys = _stage_keys(name, archive.namelist())
        return tuple(_read_member(name, archive, key) for key in keys)


def _stage_keys(name: str, members: Sequence[str]) -> list[str]:
    found = [member.removesuffix(_SUFFIX) for member in members]
    count = len(set(found))
    keys = list(takewhile(frozenset(found).__contains__, (f"{_PREFIX}{number}" for number in range(count))))
    strays = {key for key in found if key.startswith(_PREFIX)} - frozenset(keys)
    if not keys or strays:
        has = f"keys {first_names(found)}" if found else "no arrays"
        raise DataError(f"{name}: {has}, expected output_0 (and output_1 for a second stage)")
    return keys


def _read_member(name: str, archive: zipfile.ZipFile, key: str) -> Maps:
    info = archive.NameToInfo.get(key + _SUFFIX) or archive.getinfo(key)
    with archive.open(info) as member:
        shape, fortran, descr = read_header(member)
        dtype = _check_header(f"{name}: {key}", shape, descr)
        count = math.prod(shape)
        if info.file_size - member.tell() != count * dtype.itemsize:
            held = f"{info.file_size - member.tell()} bytes for shape {shape} of {dtype}"
            raise DataError(f"{name}: {key} has {held}, expected {count * dtype.itemsize}")
        flat = np.empty(count, dtype)
        fill(member, flat.view(np.uint8).data)
    array = flat.astype(dtype.newbyteorder("="), copy=False).reshape(shape, order="F" if fortran else "C")
    return array[0] if array.ndim == 4 else array


def check_claims(name: str, archive: zipfile.ZipFile) -> None:
    """Raise DataError where the members would be far more, read, than the file is: bombs, or one piece many times."""
    claimed = sum(info.file_size for info in archive.infolist())
    if claimed > max(Path(name).stat().st_size, _LARGEST_INFLATED):
        raise DataError(
            f"{name}: members of {claimed} bytes in all, expected no more than the file has, or {_LARGEST_INFLATED} "
            "where it is compressed"
        )


def read_header(member: IO[bytes]) -> tuple[Any, Any, Any]:
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
        raise DataError(f"{what} has dtype {dtype_name(descr)}, expected float16 or float32")
    whole = isinstance(shape, tuple) and all(type(length) is int and length > 0 for length in shape)
    if not whole or len(shape) not in (3, 4) or (len(shape) == 4 and shape[0] != 1):
        raise DataError(f"{what} has shape {shown(shape)}, expected (C, H, W) or (1, C, H, W)")
    return np.dtype(descr)


def dtype_name(descr: Any) -> str:
    """What a header's ``descr`` says, for messages."""
    try:
        return np.dtype(descr).name if isinstance(descr, str) else "of several fields"
    except (TypeError, ValueError):
        return shown(descr)


def fill(member: IO[bytes], buffer: memoryview) -> None:
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
    if isinstance(error, zipfile.BadZipFile) and "not a zip file" in str(error):
        return "truncated, or not an npz (zip) file"
    return f"damaged ({error})"
