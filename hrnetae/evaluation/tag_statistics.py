"""How well the tag maps tell people apart, read at the annotated joints, and how far two networks' maps differ there.

Associative embedding (Newell, Huang and Deng 2017) gives the joints of a person tags near each other and those of two
people tags far apart. The numbers here say how well that holds before any grouping, at the same places for every
network, so that what a quantisation did to the tags shows on its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.evaluation.ground_truth import GroundTruth, Picture
from hrnetae.files.errors import DataError
from hrnetae.files.folders import OutputFolder, Sample
from hrnetae.files.npz import read_outputs
from hrnetae.geometry import Letterbox
from hrnetae.skeleton import COCO17, Skeleton
from hrnetae.work import ordered_map

TAG_THRESHOLD = 1.0  # tags that are further apart are not joined, by the decoder's default
_STRIDE = 4  # pixels of the network's input per cell of its first stage

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class TagStatistics:
    """Of one network's plain outputs, at the labelled joints of all annotated people but crowds.

    pictures, people, joints: how many were read. heat: mean height of the joint's heatmap around the joint (3 x 3
    cells). spread: root of the mean squared distance of a joint's tag to its person's mean tag. distance: mean distance
    of a person's mean tag to the nearest other person's in the picture. confused: share of the joints, in pictures with
    several people, whose tag is nearer to another person's mean than to their own person's. beyond: share of joints
    further than 1 (the decoder's tag threshold) from their person's mean. levels: how many different values a
    picture's tag maps have, as float16, on average.
    heat_change, tag_change: root of the mean squared difference to the baseline's heatmaps (all cells) and tags (at
    the joints); None for the baseline itself, or where it has no raw outputs.
    A number that has nothing to be computed from is None.
    """

    pictures: int
    people: int
    joints: int
    heat: float | None
    spread: float | None
    distance: float | None
    confused: float | None
    beyond: float | None
    levels: float | None
    heat_change: float | None
    tag_change: float | None

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values."""
        return asdict(self)


def tag_statistics(
    folders: Sequence[OutputFolder | None],
    truth: GroundTruth,
    skeleton: Skeleton = COCO17,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[TagStatistics | None, ...]:
    """One for each folder of raw outputs, None for each None. The first is the baseline. All have the same pictures.

    Errors: DataError for a file that cannot be read, or without one tag map per joint.
    """
    there = [number for number, folder in enumerate(folders) if folder is not None]
    if not there:
        return (None,) * len(folders)
    by_stem = [{sample.stem: sample for sample in folder.samples} for folder in folders if folder is not None]
    people = _labelled(truth, skeleton)
    work = [
        _Work(truth.picture(stem), tuple(samples[stem] for samples in by_stem), there[0] == 0) for stem in by_stem[0]
    ]
    sums = [_Sums() for _ in there]
    done = ordered_map(lambda one: _measure(one, people.get(one.picture.id, []), skeleton), work, workers)
    for count, measured in enumerate(done, 1):
        for total, part in zip(sums, measured, strict=True):
            total.add(part)
        if progress is not None:
            progress(count, len(work))
    found = iter(sums)
    return tuple(None if folder is None else next(found).statistics() for folder in folders)


@dataclass(frozen=True)
class _Work:
    """One picture and its outputs, column by column. with_baseline: the first of them is the baseline's."""

    picture: Picture
    samples: tuple[Sample, ...]
    with_baseline: bool


@dataclass(frozen=True, eq=False)
class _Maps:
    """The stage that has the tags: (K, H, W) each."""

    heat: NDArray[np.floating[Any]]
    tags: NDArray[np.floating[Any]]


class _Sums:
    """What the statistics are made of; may be added up over pictures."""

    NAMES = (
        *("pictures", "people", "joints", "heat", "squared_spread", "distance", "neighbours", "confused"),
        *("confusable", "beyond", "levels", "cells", "squared_heat_change", "squared_tag_change", "compared"),
    )

    def __init__(self, **values: float) -> None:
        self.values = {name: float(values.get(name, 0.0)) for name in self.NAMES}

    def add(self, other: _Sums) -> None:
        for name, value in other.values.items():
            self.values[name] += value

    def statistics(self) -> TagStatistics:
        of = self.values
        return TagStatistics(
            pictures=int(of["pictures"]),
            people=int(of["people"]),
            joints=int(of["joints"]),
            heat=_ratio(of["heat"], of["joints"]),
            spread=_root(_ratio(of["squared_spread"], of["joints"])),
            distance=_ratio(of["distance"], of["neighbours"]),
            confused=_ratio(of["confused"], of["confusable"]),
            beyond=_ratio(of["beyond"], of["joints"]),
            levels=_ratio(of["levels"], of["pictures"]),
            heat_change=_root(_ratio(of["squared_heat_change"], of["cells"])),
            tag_change=_root(_ratio(of["squared_tag_change"], of["compared"])),
        )


def _ratio(total: float, count: float) -> float | None:
    return total / count if count else None


def _root(value: float | None) -> float | None:
    return None if value is None else math.sqrt(value)


def _labelled(truth: GroundTruth, skeleton: Skeleton) -> Mapping[int, list[Doubles]]:
    """By picture id: of each person but crowds (K, 3) x, y, visibility."""
    people: dict[int, list[Doubles]] = {}
    for annotation in truth.dataset["annotations"]:
        keypoints = np.array(annotation["keypoints"], np.float64).reshape(-1, 3)
        if not annotation["iscrowd"] and len(keypoints) == len(skeleton) and (keypoints[:, 2] > 0).any():
            people.setdefault(annotation["image_id"], []).append(keypoints)
    return people


def _measure(work: _Work, people: list[Doubles], skeleton: Skeleton) -> list[_Sums]:
    """The picture's sums, one for each column."""
    columns = [_read(sample, len(skeleton)) for sample in work.samples]
    places = [_places(people, work.picture.size, maps.heat.shape) for maps in columns]
    sums = [_of_column(maps, place) for maps, place in zip(columns, places, strict=True)]
    if work.with_baseline:
        for number, maps in enumerate(columns[1:], 1):
            if maps.heat.shape != columns[0].heat.shape:
                first, other = work.samples[0].output, work.samples[number].output
                raise DataError(
                    f"{other}: heatmaps of shape {maps.heat.shape}, expected {columns[0].heat.shape} as in {first}"
                )
            sums[number].add(_of_change(columns[0], maps, places[0]))
    return sums


def _read(sample: Sample, joints: int) -> _Maps:
    stages = read_outputs(sample.output)
    for stage in stages:
        if stage.shape[0] == 2 * joints:
            return _Maps(stage[:joints], stage[joints:])
    shapes = [stage.shape for stage in stages]
    raise DataError(
        f"{sample.output}: shapes {shapes}, expected {2 * joints} channels: a heatmap and a tag map a joint"
    )


@dataclass(frozen=True, eq=False)
class _Places:
    """The N labelled joints of a picture: which person's each is, which joint, and its cell."""

    person: NDArray[np.intp]
    joint: NDArray[np.intp]
    row: NDArray[np.intp]
    column: NDArray[np.intp]


def _places(people: list[Doubles], size: tuple[int, int], shape: tuple[int, ...]) -> _Places:
    """Where the joints are in maps of this shape (K, H, W); those outside are left out."""
    none = np.empty(0, np.intp)
    if not people:
        return _Places(none, none, none, none)
    keypoints = np.stack(people)
    _, height, width = shape
    person, joint = np.nonzero(keypoints[:, :, 2] > 0)
    letterbox = Letterbox.fit(size, (_STRIDE * width, _STRIDE * height))
    cells = np.floor(letterbox.to_input(keypoints[person, joint, :2]) / _STRIDE).astype(np.intp)
    inside = ((cells >= 0) & (cells < (width, height))).all(axis=1)
    return _Places(person[inside], joint[inside], cells[inside, 1], cells[inside, 0])


def _of_column(maps: _Maps, place: _Places) -> _Sums:
    tags = maps.tags[place.joint, place.row, place.column].astype(np.float64)
    finite = np.isfinite(tags)
    tags, person = tags[finite], place.person[finite]
    present, person = np.unique(person, return_inverse=True)
    counts = np.bincount(person, minlength=len(present))
    means = np.bincount(person, tags, len(present)) / counts if len(present) else np.empty(0)
    own = np.abs(tags - means[person])
    apart = np.abs(means[:, None] - means)
    np.fill_diagonal(apart, np.inf)
    several = len(present) > 1
    if several:
        to_others = np.abs(tags[:, None] - means)
        to_others[np.arange(len(tags)), person] = np.inf
        confused = int(np.count_nonzero(to_others.min(axis=1) < own))
    return _Sums(
        pictures=1,
        people=len(present),
        joints=len(tags),
        heat=float(_heat_around(maps.heat, place)[finite].sum()),
        squared_spread=float((own**2).sum()),
        distance=float(apart.min(axis=1).sum()) if several else 0,
        neighbours=len(present) if several else 0,
        confused=confused if several else 0,
        confusable=len(tags) if several else 0,
        beyond=int(np.count_nonzero(own > TAG_THRESHOLD)),
        levels=_levels(maps.tags),
    )


def _heat_around(heat: NDArray[np.floating[Any]], place: _Places) -> Doubles:
    """(N,) the highest of the 3 x 3 cells around each joint; what is not finite counts as 0."""
    _, height, width = heat.shape
    best = np.zeros(len(place.joint))
    for down in (-1, 0, 1):
        for across in (-1, 0, 1):
            row = np.clip(place.row + down, 0, height - 1)
            column = np.clip(place.column + across, 0, width - 1)
            best = np.fmax(best, heat[place.joint, row, column].astype(np.float64))
    return np.where(np.isfinite(best), best, 0.0)


def _levels(tags: NDArray[np.floating[Any]]) -> int:
    """How many different bit patterns the tags have as float16."""
    with np.errstate(over="ignore"):
        halves = np.ascontiguousarray(tags, dtype=np.float16)
    return int(np.count_nonzero(np.bincount(halves.view(np.uint16).ravel(), minlength=1 << 16)))


def _of_change(baseline: _Maps, other: _Maps, place: _Places) -> _Sums:
    heat = other.heat.astype(np.float32) - baseline.heat.astype(np.float32)
    heat = heat[np.isfinite(heat)]
    at = (place.joint, place.row, place.column)
    tags = other.tags[at].astype(np.float64) - baseline.tags[at].astype(np.float64)
    tags = tags[np.isfinite(tags)]
    return _Sums(
        cells=heat.size,
        squared_heat_change=float(np.square(heat, dtype=np.float64).sum()),
        compared=tags.size,
        squared_tag_change=float((tags**2).sum()),
    )
