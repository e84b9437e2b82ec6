"""Pictures in, one npz of network outputs per picture, under the picture's name: the vendor's runstream.

<stem>.npz          outputs of the picture, float32, keys output_0 ...
<stem>_flip.npz     with ``flip``: those of the picture mirrored left to right before it is preprocessed
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hrnetae.files.atomic import check_writable
from hrnetae.files.datalist import FLIP_SUFFIX, stem_of
from hrnetae.files.errors import DataError
from hrnetae.files.lock import lock_folder
from hrnetae.files.npz import ReadBuffer
from hrnetae.files.pictures import list_pictures, read_picture, require_cv2
from hrnetae.files.run_record import RunRecord, sha256_of
from hrnetae.files.vdsp import VdspParams, read_vdsp_params
from hrnetae.foreign import read_file
from hrnetae.runtime.output_folder import OutputFolder
from hrnetae.runtime.outputs import is_finished, write_maps
from hrnetae.runtime.preprocessing import Preprocessor
from hrnetae.runtime.processes import RunReport, Work, run
from hrnetae.runtime.sessions import CPU, SessionSettings, describe_backend, open_session

Shapes = tuple[tuple[int, ...], ...]

_LARGEST_INFO = 1 << 24  # bytes


@dataclass(frozen=True)
class RunstreamJob:
    """What to run.

    file_path: a picture, or a folder of pictures. model: a prefix, see ``find_model``. save_dir: for the outputs.
    flip: also the mirrored pictures. batch_size: pictures that go through the network together.
    resume: finished outputs are kept. The rest: as ``sessions.SessionSettings``.
    """

    file_path: Path
    model: str
    vdsp_params: Path
    save_dir: Path
    flip: bool = False
    batch_size: int = 1
    provider: str = CPU
    threads: int | None = None
    device: int = 0
    resume: bool = False


@dataclass(frozen=True)
class Picture:
    """One thing to run: a picture's file, whether it is mirrored, and where its outputs go."""

    path: Path
    mirrored: bool
    output: Path

    def __str__(self) -> str:
        return f"{self.path} (mirrored)" if self.mirrored else str(self.path)


class Teller:
    """Called with each picture that is done and its outputs' shapes, None for one that failed; from several threads."""

    def __call__(self, number: int, shapes: Shapes | None) -> None:
        """Nothing is told by default."""


class Runstream:
    """A job whose model and files are there and fit together. In a ``with`` block, which keeps other runs out.

    pictures: all of them. todo: the numbers of those that are to be run. warnings: one line each.
    Errors of the constructor: DataError, OSError; nothing is written by it but the lock of ``save_dir``.
    """

    def __init__(self, job: RunstreamJob) -> None:
        require_cv2()
        self.job = job
        self.pictures = _pictures(job)
        self.network = open_session(job.model, SessionSettings(job.provider, threads=1, optimise=False))
        self.backend = describe_backend(self.network.provider)
        self._params = read_vdsp_params(job.vdsp_params)
        self.warnings = Preprocessor(self._params, self.network.input_size).warnings
        self.network.require_maps()
        if job.save_dir.exists() and not job.save_dir.is_dir():
            raise DataError(f"{job.save_dir}: a file, expected a folder for the outputs")
        check_writable(self.pictures[0].output)
        inputs = {picture.output.name: picture.path for picture in self.pictures}
        with ExitStack() as undo:
            self._lock = undo.enter_context(lock_folder(job.save_dir))
            self._folder = OutputFolder(job.save_dir, self._record(), inputs, grows=True)
            self.warnings += self._folder.warnings
            self.todo = self._todo()
            self._held = undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._held.close()

    def run(self, teller: Teller | None = None, progress: Callable[[int], None] | None = None) -> RunReport:
        """Run the pictures. Errors: as ``processes.run``."""
        job = self.job
        self._folder.claim([self.pictures[number].output.name for number in self.todo])
        work = Work(
            onnx=self.network.onnx,
            sessions=(SessionSettings(job.provider, job.threads, job.device),),
            plan=PictureFiles(self._params, self.pictures, teller or Teller()),
            samples=self.todo,
            batch_size=job.batch_size,
            lock=self._lock,
        )
        return run(work, 1, progress)

    def _todo(self) -> Sequence[int]:
        if not self.job.resume:
            return range(len(self.pictures))
        is_whole = partial(is_finished, outputs=self.network.outputs, dtype=np.float32, into=ReadBuffer())
        return self._folder.unfinished(is_whole)

    def _record(self) -> RunRecord:
        return RunRecord(
            verb="runstream",
            backend=self.backend,
            dtype="float32",
            model=sha256_of(self.network.onnx),
            vdsp_params=sha256_of(self.job.vdsp_params),
        )


def model_of_info(path: str | os.PathLike[str]) -> str:
    """The model prefix that the page's model_info.json names, by its ``model_lib_path`` without the suffix.

    Errors: DataError for a file that cannot be read or names no model.
    """
    name = os.fspath(path)
    try:
        info = json.loads(read_file(name, _LARGEST_INFO))
    except FileNotFoundError:
        raise DataError(f"{name}: no such file, expected a model_info JSON (or --model PREFIX)") from None
    except OSError as error:
        raise DataError(f"{name}: {error.strerror or error}, expected a readable model_info JSON") from None
    except (ValueError, RecursionError):
        raise DataError(f"{name}: no JSON, expected a model_info JSON") from None
    library = info.get("model_lib_path") if isinstance(info, dict) else None
    if not isinstance(library, str) or not library:
        raise DataError(f"{name}: no model_lib_path in it, expected a path like deploy_weights/hrnet/mod.so")
    return library.removesuffix(".so")


@dataclass(frozen=True)
class PictureFiles:
    """The pictures of a run."""

    params: VdspParams
    pictures: tuple[Picture, ...]
    teller: Teller

    def steps(self, input_size: tuple[int, int]) -> PictureSteps:
        """Ready for work."""
        return PictureSteps(self, Preprocessor(self.params, input_size))


class PictureSteps:
    """Reads, mirrors and preprocesses a picture, writes its outputs."""

    def __init__(self, plan: PictureFiles, preprocessor: Preprocessor) -> None:
        self._plan = plan
        self._preprocess = preprocessor

    def load(self, sample: int) -> NDArray[np.float32]:
        """The network's input (3, H, W)."""
        picture = self._plan.pictures[sample]
        try:
            pixels = read_picture(picture.path)
            if picture.mirrored:
                pixels = pixels[:, ::-1]
            return self._preprocess(pixels.transpose(2, 0, 1))
        except DataError:
            self._plan.teller(sample, None)
            raise

    def save(self, sample: int, outputs: Sequence[NDArray[Any]]) -> None:
        """As runstream writes them, float32."""
        write_maps(self._plan.pictures[sample].output, outputs, np.float32)
        self._plan.teller(sample, tuple(output.shape for output in outputs))


def _pictures(job: RunstreamJob) -> tuple[Picture, ...]:
    """Each picture, and after it, where asked for, the same mirrored."""
    paths = list_pictures(job.file_path) if job.file_path.is_dir() else [job.file_path]
    if not paths:
        raise DataError(f"{job.file_path}: no pictures in the folder, expected .jpg, .png or the like")
    if not paths[0].exists():
        raise DataError(f"{paths[0]}: no such file, expected a picture or a folder of pictures")
    suffixes = ("", FLIP_SUFFIX) if job.flip else ("",)
    pictures = tuple(
        Picture(path, bool(suffix), job.save_dir / f"{stem_of(path.name)}{suffix}.npz")
        for path in paths
        for suffix in suffixes
    )
    owners: dict[Path, Picture] = {}
    for picture in pictures:
        other = owners.setdefault(picture.output, picture)
        if other is not picture:
            raise DataError(f"{picture}: its outputs would go to {picture.output.name}, as those of {other} do")
    return pictures
