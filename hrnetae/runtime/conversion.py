"""Pictures made into the network's input files: each its own npz, and one of its mirror image, and the list of them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hrnetae.decoder import available_processors
from hrnetae.files.atomic import atomic_write, check_writable
from hrnetae.files.datalist import FLIP_SUFFIX, is_flip, stem_of
from hrnetae.files.errors import AbsentError, DataError, not_for_workers
from hrnetae.files.inputs import INPUT_KEY, read_input
from hrnetae.files.lock import lock_file, lock_folder
from hrnetae.files.npz import write_arrays
from hrnetae.files.pictures import list_pictures, read_picture, require_cv2
from hrnetae.files.run_record import RunRecord
from hrnetae.runtime.output_folder import OutputFolder
from hrnetae.work import Executor, in_pieces, ordered_map

# Called with (pictures done, pictures in all).
Progress = Callable[[int, int], None]

_PATIENCE = 10.0  # seconds until what another machine wrote is seen here
_GLANCE = 0.1


@dataclass(frozen=True)
class ConvertJob:
    """What to convert.

    image_dir: the pictures. save_dir: where their npz go. datalist: the list to write, None for none.
    use_flip: a mirrored npz beside each. resume: keep what an earlier run finished.
    workers: threads, or how many an executor has. Reading, mirroring and writing release Python's lock for nearly all
        of their time, so threads do as well as processes, and need no start.
    """

    image_dir: Path
    save_dir: Path
    datalist: Path | None = None
    use_flip: bool = True
    resume: bool = False
    workers: int = available_processors()


@dataclass(frozen=True)
class ConvertReport:
    """What became of it.

    pictures: how many there are. files: the npz of those that could be read, in the list's order.
    kept: how many pictures were there already. failed: one line for each that could not be read.
    warnings: one line each.
    """

    pictures: int
    files: tuple[Path, ...]
    kept: int
    failed: tuple[str, ...]
    seconds: float
    warnings: tuple[str, ...] = ()


def convert(job: ConvertJob, progress: Progress | None = None, executor: Executor | None = None) -> ConvertReport:
    """Write ``<stem>.npz`` and ``<stem>_flip.npz`` for every picture of a folder, and the datalist at the end.

    Each npz holds input_0: uint8 (3, H, W), RGB, at the picture's own size, uncompressed. The datalist has their
    absolute paths, a picture and then its flip, sorted by the pictures' names; it names only what is there, and is not
    written where nothing is. Every file is whole or absent at any moment, and the bytes depend on the pictures alone.
    run.json beside them tells which picture each was made from.

    With ``resume`` a picture is left as it is when its files are whole and it has not changed since.
    executor: does the work, see `hrnetae.work`; its workers must see the same files under the same absolute paths, and
    what they write must be seen here. None: threads of this process.
    Errors: DataError for no pictures, for names that collide or cannot stand in the datalist, where OpenCV is missing,
    where another run writes to the same places, and, with ``resume``, for a folder that another program filled;
    OSError where nothing can be written; WorkerLostError of an executor. A picture that cannot be read stops nothing:
    it is in the report.
    """
    started = time.perf_counter()
    require_cv2()
    pictures = list_pictures(job.image_dir)
    if not pictures:
        raise DataError(f"{job.image_dir}: no pictures in it, expected JPEG, PNG, BMP, TIFF or WebP files")
    targets = [_targets(picture, job) for picture in pictures]
    _check_names(pictures, job.use_flip)
    check_writable(targets[0][0])
    if job.datalist is not None:
        _lines(path for paths in targets for path in paths)
        check_writable(job.datalist)
    with lock_folder(job.save_dir), nullcontext() if job.datalist is None else lock_file(job.datalist):
        folder = OutputFolder(job.save_dir, _record(), _inputs(pictures, targets), grows=True)
        left = _begin(folder, targets, job.resume)
        tasks = [_Task(*task) for task in zip(pictures, map(tuple, targets), left, strict=True)]
        outcomes = _convert_all(tasks, job.workers, progress, executor)
        report = _end(job, targets, outcomes)
    return replace(report, seconds=time.perf_counter() - started, warnings=folder.warnings)


def _record() -> RunRecord:
    return RunRecord(verb="convert-image", backend=f"OpenCV {require_cv2().__version__}", dtype="uint8")


def _inputs(pictures: Sequence[Path], targets: Sequence[list[Path]]) -> dict[str, Path]:
    return {path.name: picture for picture, paths in zip(pictures, targets, strict=True) for path in paths}


def _begin(folder: OutputFolder, targets: Sequence[list[Path]], resume: bool) -> list[bool]:
    """Take the folder over. Returns for each picture whether its files are to be left as they are if they are whole."""
    names = [path.name for paths in targets for path in paths]
    todo = {names[number] for number in folder.unfinished(Path.exists)} if resume else set(names)
    folder.claim(sorted(todo))
    return [todo.isdisjoint(path.name for path in paths) for paths in targets]


def _end(job: ConvertJob, targets: Sequence[list[Path]], outcomes: Sequence[bool | str]) -> ConvertReport:
    """Write the list of what is there."""
    failed = tuple(outcome for outcome in outcomes if isinstance(outcome, str))
    there = tuple(
        path for paths, outcome in zip(targets, outcomes, strict=True) if not isinstance(outcome, str) for path in paths
    )
    if job.datalist is not None and there:
        write_datalist(job.datalist, there)
    return ConvertReport(len(targets), there, list(outcomes).count(True), failed, 0.0)


def write_datalist(path: Path, files: Iterable[Path]) -> None:
    """Write the paths, made absolute, one a line; atomically. Errors: OSError; DataError for a path of two lines."""
    lines = _lines(files)
    with atomic_write(path) as stream:
        stream.write(b"".join(os.fsencode(line) + b"\n" for line in lines))


def _lines(files: Iterable[Path]) -> list[str]:
    """The datalist's lines. Errors: DataError for a path that would be two of them."""
    lines = [os.path.abspath(file) for file in files]  # noqa: PTH100 - links stay as they are
    for line in lines:
        if "\n" in line or "\r" in line:
            raise DataError(f"{line!r}: a line end in the path, expected none: the datalist has one path a line")
    return lines


# ---------------------------------------------------------------------------------------------------------------------
# Names


def _targets(picture: Path, job: ConvertJob) -> list[Path]:
    stem = stem_of(picture.name)
    names = [stem, stem + FLIP_SUFFIX] if job.use_flip else [stem]
    return [job.save_dir / f"{name}.npz" for name in names]


def _check_names(pictures: Sequence[Path], use_flip: bool) -> None:
    seen: dict[str, Path] = {}
    for picture in pictures:
        stem = stem_of(picture.name)
        if stem in seen:
            raise DataError(
                f"{picture}: has the same name as {seen[stem].name} but for the suffix, expected names of their own: "
                f"both would be {stem}.npz"
            )
        if use_flip and is_flip(stem):
            raise DataError(
                f"{picture}: the name ends with {FLIP_SUFFIX}, which marks mirror images in the list, expected another "
                "(or --no_flip)"
            )
        seen[stem] = picture


# ---------------------------------------------------------------------------------------------------------------------
# Work


class _Task(NamedTuple):
    """A picture, its files, and whether these are left as they are where they are whole."""

    picture: Path
    files: tuple[Path, ...]
    keep: bool


def _convert_all(
    tasks: Sequence[_Task], workers: int, progress: Progress | None, executor: Executor | None
) -> list[bool | str]:
    """For each picture True where it was there already, False where it is new, or what was wrong with it."""
    if executor is not None:
        tasks = [_Task(picture.absolute(), tuple(map(Path.absolute, files)), keep) for picture, files, keep in tasks]
    outcomes: list[bool | str] = []
    # Closed here: what is under way when an error comes has ended before the folder's lock does.
    with closing(ordered_map(_convert_piece, in_pieces(tasks, workers), workers, executor)) as pieces:
        for outcome in chain.from_iterable(pieces):
            if executor is not None:
                _check_shared(tasks[len(outcomes)], outcome, not outcomes)
            outcomes.append(str(outcome) if isinstance(outcome, DataError) else outcome)
            if progress is not None:
                progress(len(outcomes), len(tasks))
    return outcomes


def _check_shared(task: _Task, outcome: bool | DataError, is_first: bool) -> None:
    """Errors: DataError where a worker of an executor does not see the picture, or we not the files that it made.

    The latter is asked of the first alone, with patience: a file system on a network takes its time to show new files.
    """
    if isinstance(outcome, AbsentError) and task.picture.exists():
        raise not_for_workers(outcome)
    if isinstance(outcome, DataError) or not is_first:
        return
    until = time.monotonic() + _PATIENCE
    while not all(file.exists() for file in task.files):
        if time.monotonic() > until:
            raise DataError(f"{task.files[0]}: made by a worker, but not there, expected files that all workers share")
        time.sleep(_GLANCE)


def _convert_piece(tasks: Sequence[_Task]) -> list[bool | DataError]:
    """In any thread or process. Errors: OSError for the files."""
    return [_outcome(task) for task in tasks]


def _outcome(task: _Task) -> bool | DataError:
    try:
        return _convert_one(*task)
    except DataError as error:
        return error


def _convert_one(picture: Path, paths: Sequence[Path], keep: bool) -> bool:
    """Returns whether the files were there already. Errors: DataError for the picture, OSError for its files."""
    if keep and _are_whole(paths):
        return True
    pixels = read_picture(picture)
    for path, planes in zip(paths, _planes_and_mirrored(pixels), strict=False):
        write_arrays(path, {INPUT_KEY: planes})
    return False


def _planes_and_mirrored(pixels: NDArray[np.uint8]) -> Iterable[NDArray[np.uint8]]:
    """(H, W, 3) as planes (3, H, W), and the same mirrored left to right once it is asked for."""
    cv2 = require_cv2()
    planes = np.empty((3, *pixels.shape[:2]), np.uint8)
    cv2.split(pixels, list(planes))
    yield planes
    yield np.stack([cv2.flip(plane, 1) for plane in planes])


def _are_whole(paths: Sequence[Path]) -> bool:
    try:
        return len({read_input(path).shape for path in paths}) == 1
    except (DataError, OSError):
        return False
