"""Throughput and outputs of a network, as the vendor's vamp gives them: a list of inputs or drawn ones, any number of
instances, one run per number.

Each instance is an ONNX Runtime session of its own. Nothing of what is written depends on how many there are, in how
many processes, in what batches or with how many threads.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hrnetae.decoder import available_processors
from hrnetae.files.atomic import check_writable
from hrnetae.files.datalist import read_datalist
from hrnetae.files.errors import DataError, first_names
from hrnetae.files.folders import numbered, numbered_in
from hrnetae.files.inputs import read_input
from hrnetae.files.lock import Lock, lock_folder
from hrnetae.files.npz import ReadBuffer
from hrnetae.files.pictures import require_cv2
from hrnetae.files.run_record import RECORD_NAME, RunRecord, sha256_of, sha256_of_names
from hrnetae.files.vdsp import VdspParams, read_vdsp_params
from hrnetae.runtime.output_folder import OutputFolder
from hrnetae.runtime.outputs import is_finished, write_maps
from hrnetae.runtime.preprocessing import Preprocessor
from hrnetae.runtime.processes import RunReport, Work, run
from hrnetae.runtime.sessions import (
    CPU,
    SessionSettings,
    describe_backend,
    has_devices,
    open_session,
    threads_per_session,
)

_SEED = 0


@dataclass(frozen=True)
class VampJob:
    """What to run.

    model: a prefix, see ``find_model``. vdsp_params: the preprocessing's file.
    datalist: the inputs; None: one random picture again and again, preprocessed anew each time. path_output: where
    ``output_000000.npz`` ... go; None: nowhere.
    shape: (H, W) of the random picture; None: that of the network's input. iterations: how many samples without a
    datalist, all processes together; seconds: in place of that, how long.
    batch_size, processes, one_by_one, provider, threads (None: the processors, shared out): as ``processes.Work``.
    devices: numbers of accelerators, each of which gets all the instances; resume: finished outputs are kept.
    """

    model: str
    vdsp_params: Path
    datalist: Path | None = None
    path_output: Path | None = None
    shape: tuple[int, int] | None = None
    iterations: int = 1024
    seconds: float | None = None
    batch_size: int = 1
    processes: int = 1
    one_by_one: bool = False
    provider: str = CPU
    threads: int | None = None
    devices: tuple[int, ...] = (0,)
    resume: bool = False


@dataclass(frozen=True)
class VampRun:
    """One run with a number of instances.

    processes, threads: as they were. begun, ended: time of day, seconds since the epoch. report: what was measured.
    """

    instances: int
    processes: int
    threads: int
    begun: float
    ended: float
    report: RunReport

    @property
    def samples(self) -> int:
        """How many came out."""
        return sum(process.measured.samples for process in self.report.processes)

    @property
    def throughput(self) -> float:
        """Samples per second."""
        return self.samples / self.report.seconds

    @cached_property
    def end_to_end(self) -> NDArray[np.float64]:
        """Seconds of every sample, from the start of its reading until it was kept."""
        return np.array([value for process in self.report.processes for value in process.measured.end_to_end])

    @cached_property
    def model(self) -> NDArray[np.float64]:
        """Seconds of every batch in the network."""
        return np.array([value for process in self.report.processes for value in process.measured.model])

    @cached_property
    def failed(self) -> tuple[tuple[int, str], ...]:
        """Samples that could not be loaded, by their number, and why."""
        return tuple(sorted(each for process in self.report.processes for each in process.measured.failed))

    @property
    def cpu_share(self) -> float:
        """How much of the processors' time was used, 0 to 1."""
        used = sum(process.cpu_seconds for process in self.report.processes)
        return used / (self.report.seconds * available_processors())

    @property
    def memory(self) -> int | None:
        """Peak of all processes together, in bytes; None where that is unknown."""
        peaks = [process.memory for process in self.report.processes]
        return None if None in peaks else sum(peak for peak in peaks if peak is not None)


def all_failed(runs: Sequence[VampRun]) -> tuple[tuple[int, str], ...]:
    """Samples that failed in any of the runs, by their number, each with the first reason."""
    reasons: dict[int, str] = {}
    for run_ in runs:
        for sample, reason in run_.failed:
            reasons.setdefault(sample, reason)
    return tuple(sorted(reasons.items()))


class Vamp:
    """A job whose model and files are there and fit together. In a ``with`` block, which keeps other runs out.

    network: the model, opened for its names and shapes. devices: those that are used; a processor is one. inputs: the
    datalist's lines, () without one. todo: numbers of the samples that are to be made; finished: how many there are
    already. warnings: one line each.
    Errors of the constructor: DataError, OSError; nothing is written by it but the lock of ``path_output``.
    """

    def __init__(self, job: VampJob) -> None:
        require_cv2()  # said once, not of every input
        self.job = job
        self.network = open_session(job.model, SessionSettings(job.provider, threads=1, optimise=False))
        self.backend = describe_backend(self.network.provider)
        params = read_vdsp_params(job.vdsp_params)
        self.warnings = Preprocessor(params, self.network.input_size).warnings
        self.devices = job.devices
        if job.devices != (0,) and not has_devices(self.network.provider):
            self.devices = (0,)
            self.warnings += (f"--device_id ignored: {self.network.provider} has one device",)
        self._params = params
        listed = None if job.datalist is None else read_datalist(job.datalist)
        self.inputs = () if listed is None else listed.lines
        self._stems = () if listed is None else listed.stems
        with ExitStack() as undo:
            self._lock = self._lock_outputs(undo)
            self._folder = self._check_outputs()
            self.warnings += () if self._folder is None else self._folder.warnings
            self.todo = self._todo()
            self._held = undo.pop_all()
        self.finished = len(self.inputs) - len(self.todo) if self.inputs else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._held.close()

    def run(self, instances: int, progress: Callable[[int], None] | None = None) -> VampRun:
        """Run the samples that are to be made. Errors: as ``processes.run``."""
        job = self.job
        if self._folder is not None:
            self._folder.claim([output_path(self._folder.path, line).name for line in self.todo])
        sessions = instances * len(self.devices)
        threads = job.threads or threads_per_session(sessions)
        settings = [SessionSettings(job.provider, threads, device) for device in self.devices for _ in range(instances)]
        processes = min(job.processes, sessions)
        work = Work(
            onnx=self.network.onnx,
            sessions=settings,
            plan=self._plan(),
            samples=self.todo,
            batch_size=job.batch_size,
            seconds=None if self.inputs else job.seconds,
            one_by_one=job.one_by_one,
            lock=self._lock,
        )
        report, ended = run(work, processes, progress), time.time()
        return VampRun(instances, processes, threads, ended - report.seconds, ended, report)

    def input_name(self, sample: int) -> str:
        """Which input a sample is, for messages."""
        return self.inputs[sample] if self.inputs else "the random picture"

    def _plan(self) -> ListedInputs | RandomInput:
        if self.inputs:
            return ListedInputs(self._params, tuple(map(self._resolve, self.inputs)), self.job.path_output)
        width, height = self.network.input_size
        return RandomInput(self._params, self.job.shape or (height, width))

    def _resolve(self, line: str) -> Path:
        """A line of the datalist, from the current folder as with the vendor's tool, or else from the list's own."""
        path = Path(line)
        beside = Path(self.job.datalist or "").parent / path
        return beside if not path.exists() and beside.exists() else path

    def _todo(self) -> Sequence[int]:
        if not self.inputs:
            return range(sys.maxsize if self.job.seconds else self.job.iterations)
        if not self.job.resume or self._folder is None:
            return range(len(self.inputs))
        is_whole = partial(is_finished, outputs=self.network.outputs, dtype=np.float16, into=ReadBuffer())
        return self._folder.unfinished(is_whole)

    def _lock_outputs(self, stack: ExitStack) -> Lock | None:
        path = self.job.path_output
        if path is None or not self.inputs:
            return None
        self.network.require_maps()
        if path.exists() and not path.is_dir():
            raise DataError(f"{path}: a file, expected a folder for the outputs")
        check_writable(output_path(path, 0))
        return stack.enter_context(lock_folder(path))

    def _check_outputs(self) -> OutputFolder | None:
        path = self.job.path_output
        if path is None or not self.inputs:
            return None
        inputs = {output_path(path, line).name: self._resolve(name) for line, name in enumerate(self.inputs)}
        folder = OutputFolder(path, self._record(), inputs)
        _refuse_strange(path, {*inputs, *folder.stale})
        return folder

    def _record(self) -> RunRecord:
        return RunRecord(
            verb="vamp",
            backend=self.backend,
            dtype="float16",
            model=sha256_of(self.network.onnx),
            vdsp_params=sha256_of(self.job.vdsp_params),
            inputs=sha256_of_names(self._stems),
        )


def _refuse_strange(folder: Path, known: set[str]) -> None:
    """DataError for numbered outputs that neither this run writes over nor the record of an earlier one tells of."""
    strange = [name for name in numbered_in(folder) if name not in known]
    if strange:
        raise DataError(
            f"{folder}: {len(strange)} outputs beyond the datalist that no {RECORD_NAME} tells of "
            f"({first_names(strange)}), expected a folder without them"
        )


def output_path(folder: Path, line: int) -> Path:
    """Where the outputs of a line (from 0) of the datalist go."""
    return folder / f"{numbered(line)}.npz"


@dataclass(frozen=True)
class ListedInputs:
    """The inputs of a datalist; their outputs go to a folder, or nowhere."""

    params: VdspParams
    paths: tuple[Path, ...]
    folder: Path | None

    def steps(self, input_size: tuple[int, int]) -> ListedSteps:
        """Ready for work."""
        return ListedSteps(self, Preprocessor(self.params, input_size))


class ListedSteps:
    """Reads and preprocesses a line's input, writes its outputs."""

    def __init__(self, plan: ListedInputs, preprocessor: Preprocessor) -> None:
        self._plan = plan
        self._preprocess = preprocessor

    def load(self, sample: int) -> NDArray[np.float32]:
        """The network's input (3, H, W)."""
        return self._preprocess(read_input(self._plan.paths[sample]))

    def save(self, sample: int, outputs: Sequence[NDArray[Any]]) -> None:
        """As vamp writes them, float16."""
        if self._plan.folder is not None:
            write_maps(output_path(self._plan.folder, sample), outputs, np.float16)


@dataclass(frozen=True)
class RandomInput:
    """One random picture of (H, W), always the same, preprocessed anew for every sample; the outputs are dropped."""

    params: VdspParams
    shape: tuple[int, int]

    def steps(self, input_size: tuple[int, int]) -> RandomSteps:
        """Ready for work."""
        picture = np.random.default_rng(_SEED).integers(0, 256, (3, *self.shape), np.uint8)
        return RandomSteps(Preprocessor(self.params, input_size), picture)


class RandomSteps:
    """Preprocesses the one picture."""

    def __init__(self, preprocessor: Preprocessor, picture: NDArray[np.uint8]) -> None:
        self._preprocess = preprocessor
        self._picture = picture

    def load(self, sample: int) -> NDArray[np.float32]:
        """The network's input (3, H, W)."""
        return self._preprocess(self._picture)

    def save(self, sample: int, outputs: Sequence[NDArray[Any]]) -> None:
        """Nothing is kept."""
