"""The readers of npz: network outputs, and the flow's inputs."""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from file_target import FileTarget
from mutate import INTERESTING, Rng, mutate_bytes, splice

from hrnetae.files.inputs import read_input
from hrnetae.files.npz import ReadBuffer, read_outputs

_DESCRS = ("<f2", "<f4", ">f2", ">f4", "|u1", "<f8", "<i4", "|O", "|V8", "<U9", "f2", "=f4", "<M8", "", "<f2" * 50)
_SIDES = (0, 1, 2, 3, 51, -1, 2**16, 2**31, 2**32, 2**62, 2**63, 2**64, 10**30)
_NAMES = (
    *(
        "output_0.npy",
        "output_1.npy",
        "output_2.npy",
        "output_01.npy",
        "output_.npy",
        "output_0",
        "input_0.npy",
        "a.npy",
    ),
    *(
        "../output_0.npy",
        "/output_0.npy",
        "C:\\output_0.npy",
        "output_0.npy/",
        "",
        "\0.npy",
        "output_-1.npy",
        "é.npy",
        "x" * 300,
    ),
)
_TOKENS = (b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"\x93NUMPY", b"output_0.npy")
_BIG = 1 << 26  # what a bomb's member is inflated to
_BOMB = zlib.compressobj(9, zlib.DEFLATED, -15)
_BOMB_DATA = b"".join(_BOMB.compress(bytes(1 << 20)) for _ in range(_BIG >> 20)) + _BOMB.flush()
_HEADERS = (
    *(
        "{",
        "(" * 200,
        "{'shape': (1,)}",
        "{'descr': '<f2', 'fortran_order': False, 'shape': (1,)*9}",
        "__import__('os')",
    ),
    *(
        "{'descr': [('a', '<f2')], 'fortran_order': False, 'shape': (1, 1, 1)}",
        "-" * 3000 + "1",
        "[" * 3000,
        "'" + "x" * 4000,
    ),
    *(
        "{'descr': '<f2', 'fortran_order': False, 'shape': (1L, 1L, 1L), }",
        "{'shape': 1, 'descr': {}, 'fortran_order': []}",
    ),
    *(
        "{['a']: 1}",
        "{'descr': '<f2', 'fortran_order': False, 'shape': " + "(" * 90 + "1" + ",)" * 90 + "}",
        "9" * 5000,
        "\0",
    ),
)


@dataclass(frozen=True)
class Member:
    """A member of an archive, and what its headers claim of it; None: the truth."""

    name: bytes
    data: bytes
    method: int = zipfile.ZIP_STORED
    crc: int | None = None
    size: int | None = None
    packed_size: int | None = None
    at: int | None = None
    flags: int = 0
    extra: bytes = b""


def write_zip(members: list[Member], count: int | None = None, comment: bytes = b"", before: bytes = b"") -> bytes:
    """An archive of these members, true or not."""
    data, directory = bytearray(before), bytearray()
    for one in members:
        packed = one.data
        crc = zlib.crc32(one.data) if one.crc is None else one.crc
        size = len(one.data) if one.size is None else one.size
        if one.method == zipfile.ZIP_DEFLATED:
            packer = zlib.compressobj(1, zlib.DEFLATED, -15)
            packed = one.data if one.data is _BOMB_DATA else packer.compress(one.data) + packer.flush()
        packed_size = len(packed) if one.packed_size is None else one.packed_size
        at = len(data) if one.at is None else one.at
        sizes = struct.pack("<3L", crc & 0xFFFFFFFF, packed_size & 0xFFFFFFFF, size & 0xFFFFFFFF)
        lengths = struct.pack("<2H", len(one.name), len(one.extra))
        front = struct.pack("<5H", 20, one.flags, one.method, 0, 33)
        data += b"PK\3\4" + front + sizes + lengths + one.name + one.extra + packed
        directory += b"PK\1\2\x14\0" + front + sizes + lengths
        directory += struct.pack("<3HLL", 0, 0, 0, 0, at & 0xFFFFFFFF) + one.name + one.extra
    number = (len(members) if count is None else count) & 0xFFFF
    end = struct.pack("<4H2LH", 0, 0, number, number, len(directory), len(data), len(comment))
    return bytes(data + directory + b"PK\5\6" + end + comment)


def write_npy(shape: Any, descr: Any = "<f2", body: bytes | None = None, version: int = 1, header: str = "") -> bytes:
    """An array of zeros, or what claims to be one."""
    header = header or f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}"
    kind = "<H" if version == 1 else "<I"
    text = header.encode("latin-1", "replace")
    text += b" " * (-(len(text) + 9 + struct.calcsize(kind)) % 64) + b"\n"
    if body is None:
        body = bytes(math.prod(shape) * np.dtype(descr).itemsize)
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack(kind, len(text)) + text + body


def _true_array(rng: Rng, inputs: bool) -> bytes:
    sides = tuple(rng.choice((1, 2, 3, 8)) for _ in range(2))
    shape = (3, *sides) if inputs else (rng.choice((1, 2, 34)), *sides)
    shape = (1, *shape) if rng.random() < 0.5 else shape
    return write_npy(
        shape, "|u1" if inputs else rng.choice(("<f2", "<f4", ">f2", ">f4")), version=rng.choice((1, 1, 2))
    )


def _false_array(rng: Rng) -> bytes:
    if rng.random() < 0.3:
        return write_npy((), body=bytes(8), header=rng.choice(_HEADERS), version=rng.choice((1, 2, 3)))
    shape = tuple(rng.choice(_SIDES) for _ in range(rng.choice((0, 1, 3, 3, 4, 4, 40))))
    return write_npy(shape, rng.choice(_DESCRS), bytes(rng.choice((0, 1, 2, 12, 100, 1000))), rng.choice((1, 1, 2, 3)))


def _archive(rng: Rng, inputs: bool) -> bytes:
    """A true archive, or one with a lie in it."""
    names = [b"input_0.npy"] if inputs else [b"output_%d.npy" % n for n in range(rng.choice((1, 1, 2, 3)))]
    method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    members = [Member(name, _true_array(rng, inputs), method) for name in names]
    lies = rng.randrange(12)
    at = rng.randrange(len(members))
    one = members[at]
    if lies < 3:
        members[at] = replace(one, data=_false_array(rng))
    elif lies == 3:
        members[at] = replace(one, name=rng.choice(_NAMES).encode())
    elif lies == 4:
        field = rng.choice(("crc", "size", "packed_size", "at", "flags", "method", "extra"))
        value: Any = rng.choice(INTERESTING)
        if field in ("flags", "method"):
            value = rng.choice((1, 8, 9, 12, 14, 64, 99, 0x800, 0x41, 0xFFFF))
        if field == "extra":
            value = struct.pack("<2H", rng.choice((1, 0x7075, 0x9901)), rng.choice((0, 8, 24, 99))) + rng.randbytes(24)
        members[at] = replace(one, **{field: value})
    elif lies == 5:  # one piece of data under many names
        members = [replace(one, name=b"output_%d.npy" % n, at=0) for n in range(rng.choice((2, 50, 400)))]
    elif lies == 6:  # bombs: inflated, they are what they say, or not
        size = rng.choice((_BIG, 2**32 - 1, 12, 1 << 31))
        members[at] = replace(one, data=_BOMB_DATA, method=zipfile.ZIP_DEFLATED, crc=0, size=size)
    elif lies == 7:
        array = write_npy((1, 1, _BIG >> rng.choice((1, 2, 8))), rng.choice(("<f2", "<f4")), b"")
        members[at] = replace(one, data=array, method=zipfile.ZIP_STORED, size=rng.choice((_BIG, 2**32 - 1)))
    elif lies == 8:
        members = members * rng.choice((2, 3))
    before = rng.randbytes(rng.choice((0, 0, 0, 1, 7, 64)))
    comment = rng.randbytes(rng.choice((0, 0, 0, 5, 300)))
    return write_zip(members, rng.choice((None, None, None, 0, 1, 65535)), comment, before)


def _from_library(rng: Rng) -> bytes:
    stream = io.BytesIO()
    maps = np.zeros((rng.choice((1, 34)), 2, 3), np.float16)
    (np.savez if rng.random() < 0.5 else np.savez_compressed)(stream, output_0=maps)
    return stream.getvalue()


def _draw(rng: Rng, inputs: bool) -> bytes:
    data = _from_library(rng) if rng.random() < 0.1 else _archive(rng, inputs)
    way = rng.random()
    if way < 0.45:
        return data
    if way < 0.5:
        return splice(rng, data, _archive(rng, inputs))
    return mutate_bytes(
        rng, data, (b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"\x93NUMPY", b"output_0.npy"), 3
    )


_buffer = ReadBuffer()


def _read_outputs(path: Path, rng: Rng) -> tuple[Any, ...]:
    return read_outputs(path, verify=rng.random() < 0.5, into=_buffer if rng.random() < 0.5 else None)


def _check_outputs(found: tuple[Any, ...], data: bytes) -> str:
    for maps in found:
        if maps.ndim != 3 or maps.dtype not in (np.float16, np.float32) or not maps.dtype.isnative or not maps.size:
            return f"{maps.dtype} {maps.shape}"
        if not maps.flags.aligned:
            return "not aligned"
        maps.sum(dtype=np.float64)  # all of it can be read
    return "" if found and sum(maps.nbytes for maps in found) <= max(len(data), 1 << 29) else f"{len(found)} stages"


def _check_input(found: Any, data: bytes) -> str:
    good = found.dtype == np.uint8 and found.ndim == 3 and found.shape[0] == 3 and found.size
    return "" if good and found.nbytes <= max(len(data), 1 << 29) else f"{found.dtype} {found.shape}"


OUTPUTS = FileTarget("npz", lambda rng: _draw(rng, False), _read_outputs, _check_outputs)
INPUTS = FileTarget("npz_input", lambda rng: _draw(rng, True), lambda path, _: read_input(path), _check_input)
