"""Who does what: the samples of a run, dealt out in batches to the threads of one process or of several."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from multiprocessing.context import SpawnContext
from typing import Protocol


class Counter(Protocol):
    """Counts up, from many threads (LocalCounter) or processes (SharedCounter)."""

    def add(self, amount: int) -> int:
        """Add, and return what it was before."""

    @property
    def value(self) -> int:
        """What it is now."""


class LocalCounter:
    """A counter for the threads of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value = 0

    def add(self, amount: int) -> int:
        """Add, and return what it was before."""
        with self._lock:
            before = self._value
            self._value += amount
        return before

    @property
    def value(self) -> int:
        """What it is now."""
        return self._value


class SharedCounter:
    """A counter for several processes; it travels to them as an argument of their start."""

    def __init__(self, context: SpawnContext) -> None:
        self._cell = context.Value("q", 0)

    def add(self, amount: int) -> int:
        """Add, and return what it was before."""
        with self._cell.get_lock():
            before = int(self._cell.value)
            self._cell.value = before + amount
        return before

    @property
    def value(self) -> int:
        """What it is now. Read without the lock, which a process that was killed may have taken with it."""
        return int(self._cell.get_obj().value)


class Batches:
    """Deals the numbers of ``samples`` out in their order, ``size`` at a time, each once.

    counter: how many batches are taken; shared by all who take from the same samples.
    seconds: none are dealt out any more so long after `start`; None: all are.
    """

    def __init__(self, samples: Sequence[int], size: int, counter: Counter, seconds: float | None = None) -> None:
        self._samples = samples
        self._size = size
        self._counter = counter
        self._seconds = seconds
        self._end = float("inf")

    def start(self) -> None:
        """The clock runs from here."""
        if self._seconds is not None:
            self._end = time.perf_counter() + self._seconds

    def take(self) -> Sequence[int]:
        """The next batch; empty when there are no more."""
        if time.perf_counter() >= self._end:
            return ()
        at = self._counter.add(1) * self._size
        return self._samples[at : at + self._size]
