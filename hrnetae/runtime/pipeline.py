"""Reading, preprocessing, inference and writing, overlapped: the threads of one process.

    Batches --> readers: Steps.load --> channel --> one thread per session --> channel --> writers: Steps.save

Reading, OpenCV, ONNX Runtime and writing release the interpreter's lock, so threads are enough. The channels are
short: memory does not grow with the number of samples. In the synchronous mode each session's thread does all of it
by itself, one batch after another, which is what latency is measured with.

A sample that cannot be loaded is noted and the others go on. Everything else that goes wrong ends the run.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hrnetae.files.errors import DataError
from hrnetae.runtime.batches import Batches, Counter
from hrnetae.runtime.channel import CalledOffError, Channel
from hrnetae.runtime.sessions import Session, StoppedError

_WAITING = 2  # batches per session in each channel
_GLANCE = 0.2  # seconds between two looks at whether the user wants it to end
_PATIENCE = 5.0  # seconds for the threads to end after that


class Steps(Protocol):
    """What is done with a sample before and after the network; called from several threads at once."""

    def load(self, sample: int) -> NDArray[np.float32]:
        """The network's input (C, H, W). DataError or OSError: this sample is left out."""

    def save(self, sample: int, outputs: Sequence[NDArray[Any]]) -> None:
        """Keep the outputs of a sample, each (1, ...)."""


@dataclass
class Measurements:
    """Of one process.

    samples: how many came out. end_to_end: seconds of each, from the start of its batch's reading until it was kept.
    model: seconds of each batch in the network. failed: samples that could not be loaded, and why.
    """

    end_to_end: list[float] = field(default_factory=list)
    model: list[float] = field(default_factory=list)
    failed: list[tuple[int, str]] = field(default_factory=list)

    @property
    def samples(self) -> int:
        return len(self.end_to_end)


@dataclass(frozen=True)
class _Batch:
    """On its way: the arrays are the network's input, then its outputs, one row per sample."""

    samples: Sequence[int]
    arrays: Sequence[NDArray[Any]]
    started: float


class Pipeline:
    """Runs the samples of ``batches`` through the sessions. Good for one run.

    sessions: each runs in a thread of its own. progress: counts the samples that are done, failed ones too.
    one_by_one: the synchronous mode.
    """

    def __init__(
        self,
        sessions: Sequence[Session],
        steps: Steps,
        batches: Batches,
        progress: Counter,
        *,
        one_by_one: bool = False,
    ) -> None:
        self._sessions = sessions
        self._steps = steps
        self._batches = batches
        self._progress = progress
        self._one_by_one = one_by_one
        self._loaded: Channel[_Batch] = Channel(_WAITING * len(sessions), senders=len(sessions))
        self._done: Channel[_Batch] = Channel(_WAITING * len(sessions), senders=len(sessions))
        self._measured = Measurements()
        self._error: BaseException | None = None
        self._working = 0  # threads
        self._changed = threading.Condition()

    def run(self) -> Measurements:
        """Work until there are no batches left. Raises the first error of any thread, and KeyboardInterrupt."""
        threads = [threading.Thread(target=self._guarded, args=(part,), daemon=True) for part in self._parts()]
        self._batches.start()
        try:
            for thread in threads:
                with self._changed:
                    self._working += 1
                thread.start()
            # Thread.join would do, but that one takes a thread for ended when ctrl-c breaks in on it (Python 3.11);
            # and a wait without end would not let ctrl-c through on every system.
            while not self._wait(_GLANCE):
                pass
        except BaseException:
            self.stop()
            self._wait(_PATIENCE)
            raise
        for thread in threads:
            thread.join()
        if self._error is not None:
            raise self._error
        return self._measured

    def stop(self) -> None:
        """Ends the run early, from any thread; files that are being written are finished."""
        for channel in (self._loaded, self._done):
            channel.call_off()
        for session in self._sessions:
            session.stop()

    def _wait(self, seconds: float) -> bool:
        """Whether all threads are done, at the latest after so long."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._working, seconds)

    def _parts(self) -> list[Callable[[], None]]:
        """What each thread does."""
        if self._one_by_one:
            return [partial(self._do_all, session) for session in self._sessions]
        parts: list[Callable[[], None]] = []
        for session in self._sessions:
            parts += [self._read, partial(self._infer, session), self._write]
        return parts

    def _guarded(self, part: Callable[[], None]) -> None:
        try:
            part()
        except (CalledOffError, StoppedError):
            pass
        except BaseException as error:  # any error whatever must end the others, and reach the caller
            self._error = self._error or error
            self.stop()
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()

    def _read(self) -> None:
        while samples := self._batches.take():
            batch = self._load(samples)
            if batch.samples:
                self._loaded.put(batch)
        self._loaded.sender_is_done()

    def _infer(self, session: Session) -> None:
        while (batch := self._loaded.get()) is not None:
            self._done.put(self._run(session, batch))
        self._done.sender_is_done()

    def _write(self) -> None:
        while (batch := self._done.get()) is not None:
            self._save(batch)

    def _do_all(self, session: Session) -> None:
        while samples := self._batches.take():
            batch = self._load(samples)
            if batch.samples:
                self._save(self._run(session, batch))

    def _load(self, samples: Sequence[int]) -> _Batch:
        started = time.perf_counter()
        good, pictures = [], []
        for sample in samples:
            try:
                pictures.append(self._steps.load(sample))
                good.append(sample)
            except (DataError, OSError) as error:
                self._measured.failed.append((sample, " ".join(str(error).split())))
                self._progress.add(1)
        arrays = [pictures[0][np.newaxis] if len(good) == 1 else np.stack(pictures)] if good else []
        return _Batch(good, arrays, started)

    def _run(self, session: Session, batch: _Batch) -> _Batch:
        begin = time.perf_counter()
        outputs = session(batch.arrays[0])
        self._measured.model.append(time.perf_counter() - begin)
        return _Batch(batch.samples, outputs, batch.started)

    def _save(self, batch: _Batch) -> None:
        for row, sample in enumerate(batch.samples):
            self._steps.save(sample, [output[row : row + 1] for output in batch.arrays])
            self._measured.end_to_end.append(time.perf_counter() - batch.started)
            self._progress.add(1)
