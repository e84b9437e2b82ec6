"""People in pictures, folders, videos and cameras: reading, the network, and drawing overlapped.

    source --> reader: read, prepare --> channel --> network --> channel --> finisher: decode, draw, write

One thread each, so that the order is kept; reading, OpenCV, ONNX Runtime and the kernels release the interpreter's
lock. The channels are short: memory does not grow with the length of a video.

Ctrl-C ends the reading and the network at once; what has come out of the network is still decoded and written.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.evaluation.drawing import draw, write_corner
from hrnetae.evaluation.results import Results
from hrnetae.files.errors import DataError
from hrnetae.files.frames import Frame, Frames, open_frames
from hrnetae.files.lock import lock_folder
from hrnetae.files.video import CODEC
from hrnetae.params import DecodeParams
from hrnetae.poses import Poses
from hrnetae.runtime.channel import CalledOffError, Channel
from hrnetae.runtime.estimator import PoseEstimator
from hrnetae.runtime.prediction_files import People, PredictionFiles
from hrnetae.runtime.sessions import CPU, StoppedError

_WAITING = 2  # pictures in each channel
_GLANCE = 0.2  # seconds between two looks at whether the user wants it to end
_PATIENCE = 5.0  # seconds for the reader to end
_RECENT = 20  # pictures that the shown rate is measured over

Image = NDArray[np.uint8]
# Called with (pictures done, pictures in all or None where nobody knows).
Progress = Callable[[int, int | None], None]
# Called in the source's order with each picture in which was looked, and who was found.
Teller = Callable[[Frame, Poses], None]


@dataclass(frozen=True)
class PredictJob:
    """What to do.

    source: as ``files.frames.open_frames`` takes it. model, vdsp_params, params, flip, provider, threads, device: as
    `PoseEstimator` does. out: a folder for results and drawn pictures, None for none. drawn: whether to draw.
    min_score: of people who are drawn. show_fps: the rate is written into the drawn pictures. most: so many pictures
    at most. codec: of a video. kept: off where nobody wants the results, and ``out`` is None.
    """

    source: str
    model: str
    vdsp_params: Path | None = None
    params: DecodeParams = field(default_factory=DecodeParams)
    flip: bool = True
    provider: str = CPU
    threads: int | None = None
    device: int | None = None
    out: Path | None = None
    drawn: bool = True
    min_score: float = 0.2
    show_fps: bool = False
    most: int | None = None
    codec: str = CODEC
    kept: bool = True


@dataclass
class Seconds:
    """What the steps took, each in a thread of its own, so that their sum is more than the time that passed."""

    reading: float = 0.0
    preparing: float = 0.0
    network: float = 0.0
    decoding: float = 0.0
    drawing: float = 0.0
    writing: float = 0.0
    total: float = 0.0


@dataclass(frozen=True)
class PredictReport:
    """What came of it.

    pictures, persons: in how many pictures was looked, how many people were found. images: COCO image entries of the
    pictures; results: everybody who was found; both empty where they were not kept.
    failed: one line for each picture that could not be read. interrupted: by the user.
    missing: frames that a video announces and does not have.
    """

    pictures: int
    persons: int
    images: list[dict[str, Any]]
    results: Results
    failed: list[str]
    interrupted: bool
    missing: int
    seconds: Seconds


@dataclass(frozen=True)
class _Item:
    """A picture on its way, with the network's inputs, then its outputs."""

    frame: Frame
    image: Image
    arrays: Any


class Prediction:
    """A job whose source, model and folder are there and fit together. Good for one run.

    Errors of the constructor: DataError, OSError; nothing is written by it.
    """

    def __init__(self, job: PredictJob) -> None:
        self.job = job
        self.estimator = PoseEstimator(
            job.model,
            job.vdsp_params,
            job.params,
            flip=job.flip,
            provider=job.provider,
            threads=job.threads,
            device=job.device,
        )
        self.frames: Frames = open_frames(job.source)
        self.files = (
            None if job.out is None else PredictionFiles(job.out, self.frames, drawn=job.drawn, codec=job.codec)
        )
        self.total = self._total()
        self._prepared: Channel[_Item] = Channel(_WAITING, senders=1)
        self._inferred: Channel[_Item] = Channel(_WAITING, senders=1)
        self._people = People(self.estimator.skeleton, kept=job.kept or job.out is not None)
        self._failed: list[str] = []
        self._seconds = Seconds()
        self._error: BaseException | None = None
        self._read = 0
        self._finished: deque[float] = deque(maxlen=_RECENT)
        self._working = 0  # threads
        self._changed = threading.Condition()

    def run(self, teller: Teller | None = None, progress: Progress | None = None) -> PredictReport:
        """Work until the source ends or ctrl-c comes. Errors: DataError, OSError, of any step; what was done is kept.
        Where another run writes to ``out`` nothing is done.

        Ctrl-C a second time breaks off for good, with KeyboardInterrupt.
        """
        with nullcontext() if self.files is None else lock_folder(self.files.folder):
            return self._run(teller, progress)

    def _run(self, teller: Teller | None, progress: Progress | None) -> PredictReport:
        start = time.perf_counter()
        interrupted = self._work(teller, progress)
        if self.files is not None:
            self._close()
        if self._error is not None:
            raise self._error
        self._seconds.total = time.perf_counter() - start
        missing = 0 if interrupted or self.frames.total is None else (self.total or 0) - self._read
        people = self._people
        return PredictReport(
            people.pictures,
            people.persons,
            people.images,
            people.results,
            self._failed,
            interrupted,
            missing,
            self._seconds,
        )

    def _total(self) -> int | None:
        """How many pictures there will be at most; None for a camera without an end."""
        known = [count for count in (self.job.most, self.frames.total) if count is not None]
        return min(known, default=None)

    def _work(self, teller: Teller | None, progress: Progress | None) -> bool:
        """All threads until they are done. Returns whether the user broke in."""
        reader = self._start(self._read_all, waited_for=False)
        self._start(self._infer_all)
        self._start(lambda: self._finish_all(teller, progress))
        try:
            self._wait_for_all()
        except KeyboardInterrupt:
            self._end_early()
            self._wait_for_all()
            return True
        finally:
            self.frames.close()
            # It may hang in a camera that gives nothing. Else it must be gone before Python is: a thread that comes
            # back from OpenCV into an interpreter that is ending takes the process down.
            reader.join(_PATIENCE)
        return False

    def _start(self, part: Callable[[], None], waited_for: bool = True) -> threading.Thread:
        self._working += waited_for
        thread = threading.Thread(target=self._guarded, args=(part, waited_for), daemon=True)
        thread.start()
        return thread

    def _guarded(self, part: Callable[[], None], waited_for: bool) -> None:
        try:
            part()
        except (CalledOffError, StoppedError):
            pass
        except BaseException as error:  # any error whatever must end the others, and reach the caller
            self._error = self._error or error
            self._end_early()
        finally:
            with self._changed:
                self._working -= waited_for
                self._changed.notify_all()

    def _end_early(self) -> None:
        self.frames.close()
        self._prepared.call_off()
        self.estimator.session.stop()

    def _wait_for_all(self) -> None:
        """Returns when the threads are done; a wait without end would not let ctrl-c through on every system."""
        with self._changed:
            while not self._changed.wait_for(lambda: not self._working, _GLANCE):
                pass

    def _close(self) -> None:
        assert self.files is not None
        try:
            # After an error, the disk may not take these either; the first error is the one to tell.
            with suppress(DataError, OSError) if self._error else nullcontext():
                self.files.close(self._people)
        finally:
            self.files.discard()

    # What each thread does.

    def _read_all(self) -> None:
        frames = iter(self.frames)
        while self.job.most is None or self._read < self.job.most:
            with self._timed("reading"):
                frame = next(frames, None)
            if frame is None:
                break
            self._read += 1
            if frame.image is None:
                self._failed.append(frame.problem)
                continue
            try:
                with self._timed("preparing"):
                    inputs = self.estimator.prepare(frame.image)
            except DataError as error:  # a crop that does not fit into this one
                self._failed.append(f"{frame.name}: {error}")
                continue
            self._prepared.put(_Item(frame, frame.image, inputs))
        self._prepared.sender_is_done()

    def _infer_all(self) -> None:
        try:
            while (item := self._prepared.get()) is not None:
                with self._timed("network"):
                    outputs = self.estimator.infer(item.arrays)
                self._inferred.put(_Item(item.frame, item.image, outputs))
        finally:
            self._inferred.sender_is_done()  # also after ctrl-c: the finisher goes on with what there is

    def _finish_all(self, teller: Teller | None, progress: Progress | None) -> None:
        try:
            self._finish_each(teller, progress)
        finally:
            self._inferred.call_off()  # after an error: the network may wait for room

    def _finish_each(self, teller: Teller | None, progress: Progress | None) -> None:
        while (item := self._inferred.get()) is not None:
            size = (item.image.shape[1], item.image.shape[0])
            with self._timed("decoding"):
                poses = self.estimator.decode(item.arrays, size)
            self._finished.append(time.perf_counter())
            if self.files is not None and self.files.drawn:
                with self._timed("drawing"):
                    drawn = self._draw(item.image, poses)
                with self._timed("writing"):
                    self.files.keep(item.frame, drawn)
            self._people.add(item.frame, size, poses)
            if teller is not None:
                teller(item.frame, poses)
            if progress is not None:
                progress(self._people.pictures + len(self._failed), self.total)

    def _draw(self, image: Image, poses: Poses) -> Image:
        drawn = draw(image, poses, min_score=self.job.min_score)
        if self.job.show_fps and len(self._finished) > 1:
            rate = (len(self._finished) - 1) / (self._finished[-1] - self._finished[0])
            write_corner(drawn, f"{rate:.1f} images/s")
        return drawn

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        """Adds to a step's seconds; each step belongs to one thread."""
        start = time.perf_counter()
        yield
        setattr(self._seconds, step, getattr(self._seconds, step) + time.perf_counter() - start)
