"""From a folder of network outputs to COCO results and metrics.

Pictures are read and decoded by a pool of threads (reading and the kernels release the interpreter's lock), or by an
executor's workers elsewhere, and collected in the order of the datalist, so that neither their number nor their place
can change the result. What is kept of a picture is a few hundred bytes per person.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hrnetae import __version__
from hrnetae.evaluation.decoding import Decoded, PieceDecoder, Task, check_unchanged, key_of
from hrnetae.evaluation.ground_truth import GroundTruth, find_ann_file, load_ground_truth
from hrnetae.evaluation.metrics import keypoint_metrics
from hrnetae.evaluation.parts import Part, PartsFile
from hrnetae.evaluation.results import Results, write_results
from hrnetae.files.atomic import check_writable
from hrnetae.files.errors import AbsentError, DataError, not_for_workers, some_names
from hrnetae.files.folders import OutputFolder, find_outputs
from hrnetae.files.lock import lock_file
from hrnetae.params import DecodeParams
from hrnetae.skeleton import COCO17, Skeleton
from hrnetae.work import Executor, in_pieces, ordered_map

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class EvalJob:
    """What to evaluate.

    output_data: folder of network outputs, in the layout of vamp or of runstream.
    datalist: the list of their inputs; None: the runstream layout's own names.
    data_root, ann_file: where the ground truth is (see ``find_ann_file``).
    output_flip: the runstream layout's folder of flips.
    use_flip: off leaves the flips out.
    workers: threads; how many an executor has.
    allow_missing: pictures of which an output is missing are scored as pictures in which nobody was found.
    out: COCO results are written there; None: nowhere. resume: with ``out``, what an evaluation that was killed had
        decoded is not decoded again, unless its files have changed.
    verify: compare the checksums of the outputs' files.
    metrics: by which code they are computed, one of metrics.BACKENDS; the numbers are the same.
    """

    output_data: Path
    datalist: Path | None = None
    data_root: Path | None = None
    ann_file: Path | None = None
    output_flip: Path | None = None
    use_flip: bool = True
    params: DecodeParams = field(default_factory=DecodeParams)
    skeleton: Skeleton = COCO17
    workers: int = 1
    allow_missing: bool = False
    out: Path | None = None
    resume: bool = False
    verify: bool = False
    metrics: str = "own"


@dataclass(frozen=True)
class EvalReport:
    """What came out.

    metrics: the ten of COCO, in its order. ground_truth, image_ids: what and which pictures they are of.
    images: how many these are. missing_images: of how many of them an output is missing, so that their people count as
        missed; missing: the names of those outputs. kept: how many had been decoded by an earlier evaluation.
    seconds: "reading" and "decoding" summed over the threads; "wall", what the two took on the clock; "metrics";
        "total", the whole job on the clock. images_per_s: images decoded / wall.
    """

    metrics: Mapping[str, float]
    results: Results
    images: int
    seconds: Mapping[str, float]
    layout: str
    flip: bool
    params: DecodeParams
    out: Path | None
    warnings: tuple[str, ...]
    ground_truth: GroundTruth
    image_ids: tuple[int, ...]
    missing_images: int = 0
    missing: tuple[str, ...] = ()
    kept: int = 0

    @property
    def persons(self) -> int:
        return len(self.results)

    @property
    def images_per_s(self) -> float:
        return (self.images - self.missing_images - self.kept) / self.seconds["wall"]

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values, without the persons themselves."""
        return {
            "metrics": dict(self.metrics),
            "images": self.images,
            "missing": {"images": self.missing_images, "outputs": list(self.missing)},
            "kept": self.kept,
            "persons": self.persons,
            "seconds": {name: round(value, 6) for name, value in self.seconds.items()},
            "images_per_s": round(self.images_per_s, 3),
            "parameters": self.params.to_dict(),
            "flip": self.flip,
            "layout": self.layout,
            "out": None if self.out is None else str(self.out),
        }


def evaluate(job: EvalJob, progress: Progress | None = None, executor: Executor | None = None) -> EvalReport:
    """Read, decode and score all pictures of a job; write the results if it says where.

    progress: called with (pictures done, pictures in all) once for each picture, in this thread.
    executor: does the reading and decoding, see `hrnetae.work`; its workers must see the same files under the same
    absolute paths. None: threads of this process.
    Errors: DataError for bad data: that of the first picture concerned, in the order of the list, whatever the number
    of workers; also where another evaluation is writing to ``out``, and where an output changed before the end. OSError
    if the results cannot be written; WorkerLostError of an executor. In all cases no results file appears or changes.
    """
    start = time.perf_counter()
    _check_out(job.out)
    ann_file = find_ann_file(job.data_root, job.ann_file)
    folder = find_outputs(job.output_data, job.datalist, job.output_flip, job.use_flip, job.allow_missing)
    ground_truth = load_ground_truth(ann_file, job.data_root)
    pictures = {stem: ground_truth.picture(stem) for stem in folder.stems}
    tasks = [Task(sample, pictures[sample.stem]) for sample in folder.samples]
    with nullcontext() if job.out is None else lock_file(job.out), _parts_file(job) as parts:
        decode_start = time.perf_counter()
        try:
            decoded = _decode_all(job, tasks, parts, progress or _nobody, executor)
        except AbsentError as error:
            raise not_for_workers(error) from None
        metrics_start = time.perf_counter()
        ids = [picture.id for picture in pictures.values()]
        metrics = keypoint_metrics(ground_truth, decoded.results, ids, job.skeleton, job.metrics)
        metrics_end = time.perf_counter()
        check_unchanged(tasks, decoded.keys)
        if job.out is not None:
            write_results(job.out, decoded.results)
    seconds = {
        "reading": decoded.reading,
        "decoding": decoded.decoding,
        "wall": metrics_start - decode_start,
        "metrics": metrics_end - metrics_start,
        "total": time.perf_counter() - start,
    }
    return EvalReport(
        metrics=metrics,
        results=decoded.results,
        images=len(ids),
        seconds=seconds,
        layout=folder.layout,
        flip=folder.flip,
        params=job.params,
        out=job.out,
        warnings=folder.warnings + _missing_warning(folder),
        ground_truth=ground_truth,
        image_ids=tuple(ids),
        missing_images=len(folder.stems) - len(folder.samples),
        missing=folder.missing,
        kept=decoded.kept,
    )


def _nobody(done: int, total: int) -> None:
    pass


def _check_out(out: Path | None) -> None:
    """Said before the work, not after it."""
    if out is None:
        return
    if out.is_dir():
        raise DataError(f"{out}: a folder, expected a file name for the results")
    check_writable(out)


@contextmanager
def _parts_file(job: EvalJob) -> Iterator[PartsFile | None]:
    """Decoded parts are kept beside the results until these are written; none where nothing can be kept there.

    An error leaves none, unless going on was asked for; who is killed or interrupted leaves them to whoever asks.
    """
    if job.out is None or (job.out.exists() and not job.out.is_file()):
        yield None
        return
    settings = {
        "version": __version__,
        "params": job.params.to_dict(),
        "skeleton": dataclasses.asdict(job.skeleton),
        "verify": job.verify,
    }
    parts = PartsFile(job.out, len(job.skeleton), settings, job.resume)
    try:
        yield parts
    except BaseException as error:
        if isinstance(error, Exception) and not job.resume:
            parts.remove()
        else:
            parts.close()
        raise
    parts.remove()


def _missing_warning(folder: OutputFolder) -> tuple[str, ...]:
    if not folder.missing:
        return ()
    count = len(folder.stems) - len(folder.samples)
    return (
        f"{count:,} of {len(folder.stems):,} pictures lack outputs and count as pictures in which nobody was found: "
        f"{some_names(folder.missing)}",
    )


# ---------------------------------------------------------------------------------------------------------------------
# Decoding


@dataclass(frozen=True)
class _AllDecoded:
    """All pictures' persons and keys, in the order of the list; seconds summed over the workers."""

    results: Results
    keys: Sequence[bytes]
    reading: float
    decoding: float
    kept: int


def _decode_all(
    job: EvalJob, tasks: Sequence[Task], parts: PartsFile | None, progress: Progress, executor: Executor | None
) -> _AllDecoded:
    if executor is not None:
        tasks = [task.absolute() for task in tasks]  # the workers' current folder is another one
    found = {} if parts is None else _places(parts.found, tasks)
    kept = done = sum(len(one.keys) for one in found.values())
    for number in range(kept):
        progress(number + 1, len(tasks))
    pieces = [
        (start + at, piece)
        for start, end in _gaps(found, len(tasks))
        for at, piece in _numbered(in_pieces(tasks[start:end], job.workers))
    ]
    worker = PieceDecoder(job.params, job.skeleton, job.verify)
    with closing(ordered_map(worker, (piece for _, piece in pieces), job.workers, executor)) as decoded:
        for (start, _), one in zip(pieces, decoded, strict=True):
            found[start] = one
            if parts is not None:
                parts.add(Part(one.keys, one.results))
            for _ in one.keys:
                done += 1
                progress(done, len(tasks))
    ordered = [found[start] for start in sorted(found)]
    return _AllDecoded(
        Results.joined([one.results for one in ordered]),
        [key for one in ordered for key in one.keys],
        sum(one.reading for one in ordered),
        sum(one.decoding for one in ordered),
        kept,
    )


def _places(parts: Sequence[Part], tasks: Sequence[Task]) -> dict[int, Decoded]:
    """Where in the list each of these parts belongs whose files are still the same; each place once."""
    if not parts:
        return {}
    keys = [key_of(task) for task in tasks]
    place_of = {key: place for place, key in enumerate(keys)}
    found: dict[int, Decoded] = {}
    taken: set[int] = set()
    for part in parts:
        start = place_of.get(part.keys[0])
        if start is None or keys[start : start + len(part.keys)] != list(part.keys):
            continue
        places = range(start, start + len(part.keys))
        if taken.isdisjoint(places):
            taken.update(places)
            found[start] = Decoded(part.results, part.keys, 0.0, 0.0)
    return found


def _gaps(found: Mapping[int, Decoded], total: int) -> Iterator[tuple[int, int]]:
    """From where to where nothing is found yet."""
    at = 0
    for start in sorted(found):
        if at < start:
            yield at, start
        at = start + len(found[start].keys)
    if at < total:
        yield at, total


def _numbered(pieces: Iterator[Sequence[Task]]) -> Iterator[tuple[int, Sequence[Task]]]:
    """Each with the number of its first task."""
    at = 0
    for piece in pieces:
        yield at, piece
        at += len(piece)
