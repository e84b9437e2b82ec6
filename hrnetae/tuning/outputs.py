"""The network outputs that all trials decode: read once, and kept as far as memory is given for them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hrnetae.evaluation.ground_truth import Picture
from hrnetae.files.errors import DataError
from hrnetae.files.folders import Sample
from hrnetae.files.npz import Maps, ReadBuffer, read_outputs

Pair = tuple[tuple[Maps, ...], tuple[Maps, ...] | None]


@dataclass(eq=False)
class Outputs:
    """The outputs of N pictures, in the order of ``samples``.

    memory: bytes that may be kept; outputs beyond it are read again for every trial, from files that the system's cache
        holds as long as it has room. For any number of threads at once.
    """

    samples: Sequence[Sample]
    pictures: Sequence[Picture]
    memory: int
    _kept: dict[int, Pair] = field(default_factory=dict)
    _taken: int = 0
    _full: bool = False
    _own: threading.local = field(default_factory=threading.local)  # each thread's buffers
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __len__(self) -> int:
        return len(self.samples)

    def pair(self, at: int) -> Pair:
        """A picture's output and its flip, or None for the latter; valid until this thread asks for the next.

        Errors: DataError as `read_outputs`.
        """
        kept = self._kept.get(at)
        return self._read(at) if kept is None else kept

    def _read(self, at: int) -> Pair:
        sample = self.samples[at]
        plain_buffer, flip_buffer = self._buffers()
        output = read_outputs(sample.output, into=plain_buffer)
        flipped = None if sample.flipped is None else read_outputs(sample.flipped, into=flip_buffer)
        if flipped is not None and [maps.shape for maps in flipped] != [maps.shape for maps in output]:
            shapes, expected = [maps.shape for maps in flipped], [maps.shape for maps in output]
            raise DataError(f"{sample.flipped}: shapes {shapes}, its plain output has {expected}; expected the same")
        pair = output, flipped
        size = sum(maps.nbytes for maps in (*output, *(flipped or ())))
        if plain_buffer is not None:
            return pair
        with self._lock:
            if self._taken + size <= self.memory:
                if at not in self._kept:
                    self._kept[at] = pair
                    self._taken += size
            else:
                self._full = True
        return pair

    def path(self, at: int) -> Path:
        """For messages."""
        return Path(self.samples[at].output)

    def _buffers(self) -> tuple[ReadBuffer | None, ReadBuffer | None]:
        """What is kept gets memory of its own; once nothing more is, a thread reads into the same memory again."""
        if not self._full:
            return None, None
        if not hasattr(self._own, "buffers"):
            self._own.buffers = ReadBuffer(), ReadBuffer()
        plain, flipped = self._own.buffers
        return plain, flipped
