"""A pipeline in this process, or one in each of several, which share the samples between them.

The processes are new ones (spawn): a copy of a process with ONNX Runtime's threads would not work. Each opens its
sessions and says so; they begin together, and the parent's clock runs from then. The line to the parent is a pipe: if
the parent is gone, killed perhaps, the pipe breaks and the process ends; if a process is gone, the parent ends the
others.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from typing import Any, Protocol

from hrnetae.files.errors import DataError
from hrnetae.files.lock import Lock
from hrnetae.runtime.batches import Batches, Counter, LocalCounter, SharedCounter
from hrnetae.runtime.pipeline import Measurements, Pipeline, Steps
from hrnetae.runtime.sessions import Session, SessionSettings

_GLANCE = 0.1  # seconds between two looks at the progress
_PATIENCE = 2.0  # seconds that a process gets to end by itself
# What asks a run to end. It is the parent that is asked: a terminal's ctrl-c and systemd's SIGTERM reach all of them.
_ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Plan(Protocol):
    """What there is to do, before any of it is opened; travels to other processes."""

    def steps(self, input_size: tuple[int, int]) -> Steps:
        """Ready for work, for a network of this input (w, h)."""


@dataclass(frozen=True)
class Work:
    """A run.

    onnx, sessions: the model, and the settings of each session; samples: their numbers, in the order of work.
    batch_size: samples that go through the network together. seconds: no batch is begun so long after the start.
    one_by_one: the synchronous mode, see ``pipeline``. lock: of what is written; each process holds it, too.
    """

    onnx: Path
    sessions: Sequence[SessionSettings]
    plan: Plan
    samples: Sequence[int]
    batch_size: int = 1
    seconds: float | None = None
    one_by_one: bool = False
    lock: Lock | None = None


@dataclass(frozen=True)
class ProcessReport:
    """What one process did.

    seconds: of the run, on the clock. cpu_seconds: in the same time, of all its threads. memory: the most that the
    process ever had, in bytes (None: unknown on this system).
    """

    measured: Measurements
    sessions: int
    seconds: float
    cpu_seconds: float
    memory: int | None


@dataclass(frozen=True)
class RunReport:
    """What all did, and the seconds from the common beginning until the last sample was kept."""

    processes: tuple[ProcessReport, ...]
    seconds: float


def run(work: Work, processes: int, progress: Callable[[int], None] | None = None) -> RunReport:
    """Do the work with its sessions shared out among so many processes; 1: in this one.

    progress: called now and then with the number of samples done.
    Errors: DataError for what is wrong with the model or cannot be written, or where a process was killed; OSError.
    """
    if processes == 1:
        return _run_here(work, progress or _nobody)
    return _Crew(work, processes).run(progress or _nobody)


def _nobody(done: int) -> None:
    pass


def _run_here(work: Work, progress: Callable[[int], None]) -> RunReport:
    done = LocalCounter()
    pipeline = _open(work, Batches(work.samples, work.batch_size, LocalCounter(), work.seconds), done)
    with _reported(done, progress):
        report = _measure(pipeline, len(work.sessions))
    return RunReport((report,), report.seconds)


@contextmanager
def _reported(done: Counter, progress: Callable[[int], None]) -> Iterator[None]:
    """Progress is told by a thread of its own, so that nobody waits for a terminal."""
    over = threading.Event()

    def tell() -> None:
        while not over.wait(_GLANCE):
            progress(done.value)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()
        progress(done.value)


def _open(work: Work, batches: Batches, done: Counter) -> Pipeline:
    sessions = [Session(work.onnx, settings) for settings in work.sessions]
    steps = work.plan.steps(sessions[0].input_size)
    return Pipeline(sessions, steps, batches, done, one_by_one=work.one_by_one)


def _measure(pipeline: Pipeline, sessions: int) -> ProcessReport:
    cpu, begin = time.process_time(), time.perf_counter()
    measured = pipeline.run()
    seconds = time.perf_counter() - begin
    return ProcessReport(measured, sessions, seconds, time.process_time() - cpu, _peak_memory())


def _peak_memory() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if os.uname().sysname == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


# ------------------------------------------------------------------------------------------- several processes: parent


class _Crew:
    """The processes of one run, as the parent sees them."""

    def __init__(self, work: Work, processes: int) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._done = SharedCounter(self._context)
        # Kept: a semaphore of ours would be gone before the processes have found it.
        self._batches = Batches(work.samples, work.batch_size, SharedCounter(self._context), work.seconds)
        self._shares = [_share(work, number, processes) for number in range(processes)]
        self._lines: dict[Connection, SpawnProcess] = {}

    def run(self, progress: Callable[[int], None]) -> RunReport:
        try:
            with _signals_are_for_the_parent():
                for share in self._shares:
                    line, process = _start(self._context, share, self._batches, self._done)
                    self._lines[line] = process
            self._collect(_nobody)  # each says that its sessions are open
            begin = time.perf_counter()
            for line in self._lines:
                line.send("go")
            reports = self._collect(progress)
            return RunReport(tuple(reports), time.perf_counter() - begin)
        except BrokenPipeError:  # one that was killed before it heard what to do
            raise DataError("a process of the run ended too early, before its work") from None
        finally:
            self._dismiss()

    def _collect(self, progress: Callable[[int], None]) -> list[Any]:
        """One message of each process, in the order of the processes. Errors that they met are raised here."""
        messages: dict[Connection, Any] = {}
        while len(messages) < len(self._lines):
            waiting = [line for line in self._lines if line not in messages]
            ready = wait(waiting, _GLANCE)
            messages |= {line: self._receive(line) for line in waiting if line in ready}
            progress(self._done.value)
        return [messages[line] for line in self._lines]

    def _receive(self, line: Connection) -> Any:
        try:
            message = line.recv()
        except (EOFError, OSError):
            process = self._lines[line]
            process.join(_PATIENCE)
            raise DataError(f"a process of the run ended too early (exit code {process.exitcode})") from None
        if isinstance(message, Exception):
            raise message
        return message

    def _dismiss(self) -> None:
        """The pipes are closed, which ends those who are still at work; who does not hear it is ended."""
        for line in self._lines:
            line.close()
        until = time.perf_counter() + _PATIENCE
        for process in self._lines.values():
            process.join(max(0.0, until - time.perf_counter()))
            if process.exitcode is None:
                process.kill()
                process.join()


def _share(work: Work, number: int, processes: int) -> Work:
    """The part of the work that process ``number`` gets: every so many-th session."""
    return replace(work, sessions=tuple(work.sessions[number::processes]))


def _start(context: SpawnContext, work: Work, batches: Batches, done: SharedCounter) -> tuple[Connection, SpawnProcess]:
    ours, theirs = context.Pipe()
    process = context.Process(target=_worker, args=(work, batches, done, theirs), daemon=True)
    process.start()
    theirs.close()  # the worker has it; a second holder here would hide that the worker is gone
    return ours, process


@contextmanager
def _signals_are_for_the_parent() -> Iterator[None]:
    """Processes begun in here do not hear the signals that end a run, until they ignore them; the parent ends them.

    New processes inherit what is blocked. What comes for the parent meanwhile waits until the end of the block.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# ------------------------------------------------------------------------------------------- several processes: worker


def _worker(work: Work, batches: Batches, done: SharedCounter, line: Connection) -> None:
    """The life of a process: open, say so, wait for the word, work, report."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)
    try:
        try:
            pipeline = _open(work, batches, done)
            line.send("ready")
            line.recv()
            threading.Thread(target=_end_with_the_parent, args=(line, pipeline), daemon=True).start()
            message: Any = _measure(pipeline, len(work.sessions))
        except (DataError, OSError) as error:
            message = error if isinstance(error, DataError) else DataError(str(error))
        line.send(message)
    except (EOFError, OSError):
        pass  # the parent is gone, or wants no more of this


def _end_with_the_parent(line: Connection, pipeline: Pipeline) -> None:
    """Nothing more comes from the parent: a message or its end means that the work is called off."""
    with suppress(EOFError, OSError):
        line.recv()
    pipeline.stop()
    time.sleep(_PATIENCE)
    os._exit(1)  # something hangs, a disk or a lock that a killed process had; nobody else would end this one
