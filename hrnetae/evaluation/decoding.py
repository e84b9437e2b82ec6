"""Pieces of an evaluation's work: pictures read and decoded, in any thread or process.

What travels to a worker are paths and sizes, what comes back are columns of a few hundred bytes per person. A thread
reads into the same two buffers again and again: fresh memory for every picture would cost more than the reading.
"""

from __future__ import annotations

import hashlib
import os
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


_HALF = 8  # bytes of a key for each of the two files


def key_of(task: Task) -> bytes:
    """16 bytes that tell a picture and its files from all others, and from themselves before a change."""
    sample, (image_id, (width, height)) = task.sample, (task.picture.id, task.picture.size)
    output = _half(f"{_identity(sample.output)} {sample.stem} {image_id} {width} {height}")
    return output + _half("" if sample.flipped is None else _identity(sample.flipped))


def check_unchanged(tasks: Iterable[Task], keys: Iterable[bytes]) -> None:
    """Make sure that the files are still those that were read, ``keys`` being of that time.

    Errors: DataError that names the first that is not.
    """
    for task, key in zip(tasks, keys, strict=True):
        now = key_of(task)
        if now == key:
            continue
        sample = task.sample
        changed = sample.output if now[:_HALF] != key[:_HALF] else sample.flipped
        what = "gone" if changed is None or file_status(changed) is None else "another file or changed"
        raise DataError(f"{changed}: {what} since it was read, expected it to stay as it was until the end")


def _identity(path: Path) -> str:
    return f"{os.path.abspath(path)} {file_status(path)}"  # noqa: PTH100 - links stay as they are


def _half(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=_HALF).digest()
