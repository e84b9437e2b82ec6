"""The decoded parts of an evaluation that is under way, kept beside its results so that a later one can go on.

``.<results' name>.part``: one record after another, each with a length and a checksum, so that one that was cut when
its process was killed is seen. The first says which evaluations may use the others: those of this version, with the
same decoder. The others are parts: the keys of a few pictures in a row (`decoding.key_of`), which change when a file
does, and their persons' columns. Nothing in the file is ever executed.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from hrnetae.evaluation.decoding import KEY_BYTES
from hrnetae.evaluation.results import Results
from hrnetae.files.atomic import naming
from hrnetae.files.lock import beside

_FORMAT = "hrnetae eval parts 1"
_HEAD = struct.Struct("<II")  # length and CRC-32 of what follows
_COUNTS = struct.Struct("<II")  # pictures and persons of a part; their keys and columns follow
_LONGEST = 1 << 26  # bytes of a record; more is damage


@dataclass(frozen=True)
class Part:
    """Pictures in a row: their keys and their persons."""

    keys: tuple[bytes, ...]
    results: Results


class PartsFile:
    """The file of one evaluation, open to be added to.

    results: where the persons go in the end. joints: of each. settings: plain values; parts that were decoded with
    others are dropped. found: the parts of an earlier evaluation, with ``resume``.
    Errors, also of the methods: OSError.
    """

    def __init__(self, results: Path, joints: int, settings: Mapping[str, Any], resume: bool) -> None:
        self._path = beside(results.resolve(), "part")
        first = json.dumps({"format": _FORMAT, **settings}, sort_keys=True).encode()
        if self._path.is_symlink():  # would lead the writing elsewhere
            self._path.unlink()
        self._file: BinaryIO = self._path.open("r+b" if resume and self._path.exists() else "w+b")
        self.found, end = self._read(first, joints)
        self._file.seek(end)
        self._file.truncate()
        self._next = b"" if end else _framed(first)  # goes before what is added

    def add(self, part: Part) -> None:
        """Keep a part from now on, whatever becomes of this process."""
        with naming(self._path):
            self._file.write(self._next + _framed(_pack(part)))
            self._file.flush()
        self._next = b""

    def close(self) -> None:
        """Leave it for another evaluation to go on with."""
        self._file.close()

    def remove(self) -> None:
        """It has done its service."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _read(self, first: bytes, joints: int) -> tuple[list[Part], int]:
        """The parts after a first record like this one, and where the last whole one ends."""
        records = _records(self._file)
        record, end = next(records, (b"", 0))
        if record != first:
            return [], 0
        parts: list[Part] = []
        for record, after in records:
            part = _unpack(record, joints)
            if part is None:
                break
            parts.append(part)
            end = after
        return parts, end


def _framed(record: bytes) -> bytes:
    return _HEAD.pack(len(record), zlib.crc32(record)) + record


def _records(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """The whole records from the beginning on, each with the place of its end."""
    while True:
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return
        length, checksum = _HEAD.unpack(head)
        record = file.read(length) if length <= _LONGEST else b""
        if len(record) != length or zlib.crc32(record) != checksum:
            return
        yield record, file.tell()


def _pack(part: Part) -> bytes:
    columns = [np.ascontiguousarray(getattr(part.results, name), dtype).tobytes() for name, dtype, _ in _columns(0)]
    return b"".join((_COUNTS.pack(len(part.keys), len(part.results)), *part.keys, *columns))


def _unpack(record: bytes, joints: int) -> Part | None:
    """None for what is none of ours, for all that its checksum says."""
    if len(record) < _COUNTS.size:
        return None
    pictures, persons = _COUNTS.unpack_from(record)
    if not pictures:
        return None
    at = _COUNTS.size + pictures * KEY_BYTES
    columns = {}
    for name, dtype, shape in _columns(joints):
        count = persons * math.prod(shape)
        end = at + count * np.dtype(dtype).itemsize
        if end > len(record):
            return None
        columns[name] = np.frombuffer(record, dtype, count, at).reshape(persons, *shape).astype(dtype[1:], copy=False)
        at = end
    keys = tuple(
        record[begin : begin + KEY_BYTES]
        for begin in range(_COUNTS.size, _COUNTS.size + pictures * KEY_BYTES, KEY_BYTES)
    )
    return Part(keys, Results(**columns)) if at == len(record) else None


def _columns(joints: int) -> tuple[tuple[str, str, tuple[int, ...]], ...]:
    """Name, dtype in the file and shape of each person's entry of the columns of `Results`."""
    return (
        ("image_ids", "<i8", ()),
        ("category_ids", "<i8", ()),
        ("keypoints", "<f4", (joints, 3)),
        ("scores", "<f4", ()),
        ("boxes", "<f4", (4,)),
    )
