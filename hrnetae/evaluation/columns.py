"""What is to be compared, read from disk: results files as they are, folders of network outputs decoded first."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hrnetae.evaluation.comparison import Entry
from hrnetae.evaluation.evaluate import EvalJob, evaluate
from hrnetae.evaluation.ground_truth import GroundTruth
from hrnetae.evaluation.results import Results
from hrnetae.evaluation.results_file import read_results
from hrnetae.evaluation.tag_statistics import tag_statistics
from hrnetae.files.datalist import pair_by_name, read_datalist
from hrnetae.files.errors import DataError, first_names
from hrnetae.files.folders import OutputFolder, find_outputs
from hrnetae.params import DecodeParams
from hrnetae.skeleton import COCO17, Skeleton

Told = Callable[[int, int], None]


@dataclass(frozen=True)
class Source:
    """One column: its name, and a results file or a folder of network outputs."""

    name: str
    path: Path


@dataclass(frozen=True)
class ReadingJob:
    """How columns are read: of folders, what `EvalJob` has. datalist: also says which pictures are compared where all
    columns are results files."""

    sources: Sequence[Source]
    datalist: Path | None = None
    data_root: Path | None = None
    use_flip: bool = True
    params: DecodeParams = field(default_factory=DecodeParams)
    skeleton: Skeleton = COCO17
    workers: int = 1


@dataclass(frozen=True, eq=False)
class Columns:
    """What was read. image_ids: the pictures to compare. warnings: remarks for the user, one line each."""

    entries: tuple[Entry, ...]
    image_ids: tuple[int, ...]
    warnings: tuple[str, ...]


def read_columns(job: ReadingJob, truth: GroundTruth, progress: Callable[[str], Told | None] | None = None) -> Columns:
    """Read, and where they are raw outputs decode and measure, all columns.

    The pictures are those of the folders or, without one, of the datalist or, without that, of the ground truth.
    progress: called with what is being done; what it returns is told (done, in all).
    Errors: DataError, which names the file: bad data, or folders of different pictures.
    """
    told = progress or (lambda _: None)
    folders = [
        find_outputs(source.path, job.datalist, None, job.use_flip) if _is_folder(source.path) else None
        for source in job.sources
    ]
    _same_pictures(job.sources, folders)
    ids = _image_ids(job, truth, folders)
    results = []
    for source, folder in zip(job.sources, folders, strict=True):
        if folder is None:
            found = read_results(source.path, job.skeleton)
            _check_ids(source.path, found, truth)
            results.append(_only(found, ids))
        else:
            results.append(_decode(job, truth, source, told(f"{source.name}: decoding")))
    tags = tag_statistics(folders, truth, job.skeleton, job.workers, told("tag maps"))
    entries = [
        Entry(source.name, found, str(source.path), tag)
        for source, found, tag in zip(job.sources, results, tags, strict=True)
    ]
    warnings = dict.fromkeys(line for folder in folders if folder is not None for line in folder.warnings)
    return Columns(tuple(entries), ids, tuple(warnings))


def named_sources(words: Sequence[str]) -> tuple[Source, ...]:
    """From the words ``PATH`` and ``NAME=PATH``. Without a name, a column is called after its file or folder, with as
    many of the folders around it as tell it from the others; the same path once more gets a number."""
    given = [_split(word) for word in words]
    paths = [path for name, path in given if name is None]
    short = iter(_short_names(paths))
    names = [next(short) if name is None else name for name, _ in given]
    used: set[str] = set()
    sources = []
    for name, (_, path) in zip(names, given, strict=True):
        candidates = (name if number == 1 else f"{name} ({number})" for number in itertools.count(1))
        free = next(candidate for candidate in candidates if candidate not in used)
        used.add(free)
        sources.append(Source(free, path))
    return tuple(sources)


def _split(word: str) -> tuple[str | None, Path]:
    name, equals, path = word.partition("=")
    if equals and name and path and not Path(word).exists():
        return name, Path(path)
    return None, Path(word)


def _short_names(paths: Sequence[Path]) -> list[str]:
    parts = [
        (*path.resolve().parts[:-1], path.stem if path.suffix == ".json" else path.resolve().name) for path in paths
    ]
    different = len(set(parts))
    for depth in range(1, max(map(len, parts), default=1) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == different:
            return names
    return ["/".join(part) for part in parts]


def _is_folder(path: Path) -> bool:
    if not path.exists():
        raise DataError(f"{path}: no such file or folder, expected COCO results (JSON) or a folder of network outputs")
    return path.is_dir()


def _same_pictures(sources: Sequence[Source], folders: Sequence[OutputFolder | None]) -> None:
    first: tuple[Path, frozenset[str]] | None = None
    for source, folder in zip(sources, folders, strict=True):
        if folder is None:
            continue
        stems = frozenset(sample.stem for sample in folder.samples)
        if first is None:
            first = source.path, stems
        elif stems != first[1]:
            strange = sorted(stems ^ first[1])
            raise DataError(
                f"{source.path}: not the pictures of {first[0]} ({len(strange)} are in one of the two alone: "
                f"{first_names(strange)}), expected the same"
            )


def _image_ids(job: ReadingJob, truth: GroundTruth, folders: Sequence[OutputFolder | None]) -> tuple[int, ...]:
    for folder in folders:
        if folder is not None:
            return tuple(truth.picture(sample.stem).id for sample in folder.samples)
    if job.datalist is not None:
        pairs = pair_by_name(read_datalist(job.datalist), job.use_flip)
        return tuple(truth.picture(pair.stem).id for pair in pairs)
    ids = tuple(sorted({image["id"] for image in truth.dataset["images"]}))
    if not ids:
        raise DataError(f"{truth.path}: no pictures, expected at least one")
    return ids


def _check_ids(path: Path, results: Results, truth: GroundTruth) -> None:
    known = np.array([image["id"] for image in truth.dataset["images"]], np.int64)
    strange = np.setdiff1d(results.image_ids, known)
    if len(strange):
        raise DataError(f"{path}: image_id {strange[0]} ({len(strange)} such pictures), expected those of {truth.path}")


def _only(results: Results, image_ids: Collection[int]) -> Results:
    kept = np.flatnonzero(np.isin(results.image_ids, np.array(sorted(image_ids), np.int64)))
    return Results(
        results.image_ids[kept],
        results.category_ids[kept],
        results.keypoints[kept],
        results.scores[kept],
        results.boxes[kept],
    )


def _decode(job: ReadingJob, truth: GroundTruth, source: Source, told: Told | None) -> Results:
    report = evaluate(
        EvalJob(
            output_data=source.path,
            datalist=job.datalist,
            data_root=job.data_root,
            ann_file=truth.path,
            use_flip=job.use_flip,
            params=job.params,
            skeleton=job.skeleton,
            workers=job.workers,
        ),
        told,
    )
    return report.results
