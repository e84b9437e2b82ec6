"""From a folder of network outputs to COCO results and metrics.

Pictures are read and decoded by a pool of threads (reading and the kernels release the interpreter's lock) and
collected in the order of the datalist, so that the number of threads cannot change the result. The threads take a few
pictures at a time, and each reads into the same two buffers again and again: fresh memory for every picture would cost
more than the reading. What is kept of a picture is a few hundred bytes per person.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from hrnetae.decoder import Decoder
from hrnetae.evaluation.ground_truth import GroundTruth, Picture, find_ann_file, load_ground_truth
from hrnetae.evaluation.metrics import keypoint_metrics
from hrnetae.evaluation.results import Results, write_results
from hrnetae.files.atomic import check_writable
from hrnetae.files.errors import DataError
from hrnetae.files.folders import OutputFolder, Sample, find_outputs
from hrnetae.files.npz import Maps, ReadBuffer, read_outputs
from hrnetae.params import DecodeParams
from hrnetae.skeleton import COCO17, Skeleton

T = TypeVar("T")
R = TypeVar("R")

# Pieces of work per thread: one being done and one waiting. Memory is bounded by this, not by the picture count.
_IN_FLIGHT = 2
_PICTURES_AT_ONCE = 16  # in a piece of work


@dataclass(frozen=True)
class EvalJob:
    """What to evaluate.

    output_data: folder of network outputs, in the layout of vamp or of runstream.
    datalist: the list of their inputs; None: the runstream layout's own names.
    data_root, ann_file: where the ground truth is (see ``find_ann_file``).
    output_flip: the runstream layout's folder of flips.
    use_flip: off leaves the flips out.
    workers: threads.
    out: COCO results are written there; None: nowhere.
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
    out: Path | None = None
    verify: bool = False
    metrics: str = "own"


@dataclass(frozen=True)
class EvalReport:
    """What came out.

    metrics: the ten of COCO, in its order. ground_truth, image_ids: what and which pictures they are of.
    seconds: "reading" and "decoding" summed over the threads; "wall", what the two took on the clock; "metrics";
        "total", the whole job on the clock. images_per_s: images / wall.
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

    @property
    def persons(self) -> int:
        return len(self.results)

    @property
    def images_per_s(self) -> float:
        return self.images / self.seconds["wall"]

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values, without the persons themselves."""
        return {
            "metrics": dict(self.metrics),
            "images": self.images,
            "persons": self.persons,
            "seconds": {name: round(value, 6) for name, value in self.seconds.items()},
            "images_per_s": round(self.images_per_s, 3),
            "parameters": self.params.to_dict(),
            "flip": self.flip,
            "layout": self.layout,
            "out": None if self.out is None else str(self.out),
        }


def evaluate(job: EvalJob, progress: Callable[[int, int], None] | None = None) -> EvalReport:
    """Read, decode and score all pictures of a job; write the results if it says where.

    progress: called with (pictures done, pictures in all) once for each picture, in this thread.
    Errors: DataError for bad data: that of the first picture concerned, in the order of the list, whatever the number
    of threads; OSError if the results cannot be written. In both cases no results file appears or changes.
    """
    start = time.perf_counter()
    _check_out(job.out)
    ann_file = find_ann_file(job.data_root, job.ann_file)
    folder = find_outputs(job.output_data, job.datalist, job.output_flip, job.use_flip)
    ground_truth = load_ground_truth(ann_file, job.data_root)
    pictures = [ground_truth.picture(sample.stem) for sample in folder.samples]
    decode_start = time.perf_counter()
    results, reading, decoding = _decode_all(job, folder, pictures, progress)
    metrics_start = time.perf_counter()
    metrics = keypoint_metrics(ground_truth, results, [picture.id for picture in pictures], job.skeleton, job.metrics)
    metrics_end = time.perf_counter()
    if job.out is not None:
        write_results(job.out, results)
    seconds = {
        "reading": reading,
        "decoding": decoding,
        "wall": metrics_start - decode_start,
        "metrics": metrics_end - metrics_start,
        "total": time.perf_counter() - start,
    }
    return EvalReport(
        metrics=metrics,
        results=results,
        images=len(pictures),
        seconds=seconds,
        layout=folder.layout,
        flip=folder.flip,
        params=job.params,
        out=job.out,
        warnings=folder.warnings,
        ground_truth=ground_truth,
        image_ids=tuple(picture.id for picture in pictures),
    )


def _check_out(out: Path | None) -> None:
    """Said before the work, not after it."""
    if out is None:
        return
    if out.is_dir():
        raise DataError(f"{out}: a folder, expected a file name for the results")
    check_writable(out)


def _decode_all(
    job: EvalJob,
    folder: OutputFolder,
    pictures: Sequence[Picture],
    progress: Callable[[int, int], None] | None,
) -> tuple[Results, float, float]:
    worker = _Worker(job)
    work = list(zip(folder.samples, pictures, strict=True))
    # Few pictures are spread over all workers.
    size = max(1, min(_PICTURES_AT_ONCE, len(work) // (job.workers * _IN_FLIGHT)))
    pieces = [work[start : start + size] for start in range(0, len(work), size)]
    parts: list[Results] = []
    reading = decoding = 0.0
    done = 0
    for piece, decoded in zip(pieces, ordered_map(worker.decode, pieces, job.workers), strict=True):
        parts.append(decoded.results)
        reading += decoded.reading
        decoding += decoded.decoding
        for _ in piece:
            done += 1
            if progress is not None:
                progress(done, len(work))
    return Results.joined(parts), reading, decoding


@dataclass(frozen=True)
class _Decoded:
    results: Results
    reading: float
    decoding: float


class _Worker:
    """Reads and decodes, in any number of threads."""

    def __init__(self, job: EvalJob) -> None:
        self._decoder = Decoder(job.params, skeleton=job.skeleton)
        self._verify = job.verify
        self._own = threading.local()  # each thread's buffers

    def decode(self, piece: Sequence[tuple[Sample, Picture]]) -> _Decoded:
        parts = []
        reading = decoding = 0.0
        for sample, picture in piece:
            start = time.perf_counter()
            output, flipped = self._read(sample)
            between = time.perf_counter()
            try:
                poses = self._decoder.decode(output, flipped, image_size=picture.size)
            except ValueError as error:  # maps, but not as many as the decoder's settings ask for
                raise DataError(f"{sample.output}: {error}") from error
            parts.append(Results.of_poses(poses, picture.id))
            reading += between - start
            decoding += time.perf_counter() - between
        return _Decoded(Results.joined(parts), reading, decoding)

    def _read(self, sample: Sample) -> tuple[tuple[Maps, ...], tuple[Maps, ...] | None]:
        """The maps of a picture; they are valid until this thread reads the next."""
        if not hasattr(self._own, "buffers"):
            self._own.buffers = ReadBuffer(), ReadBuffer()
        plain_buffer, flip_buffer = self._own.buffers
        output = read_outputs(sample.output, verify=self._verify, into=plain_buffer)
        if sample.flipped is None:
            return output, None
        flipped = read_outputs(sample.flipped, verify=self._verify, into=flip_buffer)
        shapes, expected = [maps.shape for maps in flipped], [maps.shape for maps in output]
        if shapes != expected:
            raise DataError(
                f"{sample.flipped}: shapes {shapes}, its plain output {sample.output}: {expected}; expected the same"
            )
        return output, flipped


def ordered_map(function: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """``map`` by a pool of threads, in order, with few items in work. The first error, in order, ends it."""
    pending: deque[Future[R]] = deque()
    with ThreadPoolExecutor(max_workers=workers) as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= workers * _IN_FLIGHT:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
