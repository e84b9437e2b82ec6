"""Pieces of an evaluation's work: pictures read and decoded, in any thread or process.

What travels to a worker are paths and sizes, what comes back are columns of a few hundred bytes per person. A thread
reads into the same two buffers again and again: fresh memory for every picture would cost more than the reading.
"""

from __future__ import annotations

import hashlib
import os
import struct
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from hrnetae.decoder import Decoder
from hrnetae.evaluation.ground_truth import Picture
from hrnetae.evaluation.results import Results
from hrnetae.files.errors import DataError
from hrnetae.files.folders import Sample
from hrnetae.files.npz import Maps, ReadBuffer, read_outputs
from hrnetae.files.run_record import file_status
from hrnetae.params import DecodeParams
from hrnetae.skeleton import Skeleton


class Task(NamedTuple):
    """A picture to decode: the files of its outputs, its id and its size."""

    sample: Sample
    picture: Picture

    def absolute(self) -> Task:
        """The same with paths that mean the same in every folder."""
        stem, output, flipped = self.sample.stem, self.sample.output, self.sample.flipped
        return Task(Sample(stem, output.absolute(), None if flipped is None else flipped.absolute()), self.picture)


@dataclass(frozen=True)
class Decoded:
    """A few pictures' persons. keys: of each picture, see `key_of`, before it was read. reading, decoding: seconds."""

    results: Results
    keys: tuple[bytes, ...]
    reading: float
    decoding: float


@dataclass(frozen=True)
class PieceDecoder:
    """Decodes pieces of work; calls may be made from many threads, and travel to other processes.

    verify: compare the checksums of the outputs' files.
    """

    params: DecodeParams
    skeleton: Skeleton
    verify: bool

    def __call__(self, piece: Sequence[Task]) -> Decoded:
        """Errors: DataError, which names the file, of the first picture concerned."""
        decoder = _decoder(self.params, self.skeleton)
        parts, keys = [], []
        reading = decoding = 0.0
        for task in piece:
            start = time.perf_counter()
            keys.append(key_of(task))
            output, flipped = self._read(task.sample)
            between = time.perf_counter()
            try:
                poses = decoder.decode(output, flipped, image_size=task.picture.size)
            except ValueError as error:  # maps, but not as many as the decoder's settings ask for
                raise DataError(f"{task.sample.output}: {error}") from error
            parts.append(Results.of_poses(poses, task.picture.id))
            reading += between - start
            decoding += time.perf_counter() - between
        return Decoded(Results.joined(parts), tuple(keys), reading, decoding)

    def _read(self, sample: Sample) -> tuple[tuple[Maps, ...], tuple[Maps, ...] | None]:
        """The maps of a picture; they are valid until this thread reads the next."""
        plain_buffer, flip_buffer = _buffers()
        output = read_outputs(sample.output, verify=self.verify, into=plain_buffer)
        if sample.flipped is None:
            return output, None
        flipped = read_outputs(sample.flipped, verify=self.verify, into=flip_buffer)
        shapes, expected = [maps.shape for maps in flipped], [maps.shape for maps in output]
        if shapes != expected:
            raise DataError(
                f"{sample.flipped}: shapes {shapes}, its plain output {sample.output}: {expected}; expected the same"
            )
        return output, flipped


@lru_cache(maxsize=4)
def _decoder(params: DecodeParams, skeleton: Skeleton) -> Decoder:
    return Decoder(params, skeleton)


_own = threading.local()  # each thread's buffers


def _buffers() -> tuple[ReadBuffer, ReadBuffer]:
    if not hasattr(_own, "buffers"):
        _own.buffers = ReadBuffer(), ReadBuffer()
    plain: ReadBuffer
    flipped: ReadBuffer
    plain, flipped = _own.buffers
    return plain, flipped


# ---------------------------------------------------------------------------------------------------------------------
# What a picture's persons were made from


_STATUS = struct.Struct("<3q")  # of a file: size, times of content and of status
_CONTENT = 16  # bytes of it that a change of the content changes
_NAMES = 8  # bytes: a digest
KEY_BYTES = 2 * _STATUS.size + _NAMES


def key_of(task: Task) -> bytes:
    """KEY_BYTES that tell a picture and its files from all others, and from themselves before a change."""
    (output, flipped), picture = _paths(task), task.picture
    # Links stay as they are.
    places = os.path.abspath(output), flipped and os.path.abspath(flipped)  # noqa: PTH100
    names = f"{places} {task.sample.stem} {picture.id} {picture.size}"
    digest = hashlib.blake2b(names.encode("utf-8", "surrogateescape"), digest_size=_NAMES).digest()
    return _status(output) + _status(flipped) + digest


def check_unchanged(tasks: Iterable[Task], keys: Iterable[bytes]) -> None:
    """Make sure that the files are still those that were read, ``keys`` being of that time.

    What a link or new permissions change in a file's status is no change here, and costs no more than that an
    evaluation that goes on reads it once more.
    Errors: DataError that names the first that is not.
    """
    for task, key in zip(tasks, keys, strict=True):
        for at, path in zip((0, _STATUS.size), _paths(task), strict=True):
            if _status(path)[:_CONTENT] != key[at : at + _CONTENT]:
                what = "gone" if path is None or file_status(path) is None else "changed"
                raise DataError(f"{path}: {what} since it was read, expected it to stay as it was until the end")


def _paths(task: Task) -> tuple[Path, Path | None]:
    return task.sample.output, task.sample.flipped


def _status(path: Path | None) -> bytes:
    status = None if path is None else file_status(path)
    return bytes(_STATUS.size) if status is None else _STATUS.pack(*status)
