"""Several results of the same pictures side by side: what the others lost and won against the first, and how sure that
is.

Each column is matched once (matches.py, matching.py). What the bootstrap needs of it are sums per picture, which it
adds up as often as each picture was drawn (bootstrap.py).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hrnetae.evaluation.bootstrap import CONFIDENCE, Counts, Difference, Doubles, Shares, differences, resample
from hrnetae.evaluation.comparison_findings import (
    LOST,
    WON,
    Column,
    Comparison,
    Group,
    PersonChange,
    PictureChange,
    Row,
)
from hrnetae.evaluation.ground_truth import GroundTruth
from hrnetae.evaluation.matches import ImageMatches, image_matches, metrics_of
from hrnetae.evaluation.metrics import METRICS, keypoint_metrics
from hrnetae.evaluation.outcomes import FOUND_OKS, Outcome, outcome_of
from hrnetae.evaluation.person_groups import Sorting, sort_people
from hrnetae.evaluation.results import Results
from hrnetae.evaluation.tag_statistics import TagStatistics
from hrnetae.files.errors import DataError
from hrnetae.skeleton import COCO17, Skeleton

ROUNDS = 1000
PICTURES = 12  # that changed most, kept of each column
_FEW = 30  # pictures, below which intervals are too narrow
_FEW_ROUNDS = 100  # below which the ends of an interval are those of a few draws
_SAME = 1e-9  # a change that is none

FALSE_POSITIVES = "false positives a picture"
PEOPLE_ROWS = ("mean OKS", "share found", FALSE_POSITIVES)


@dataclass(frozen=True, eq=False)
class Entry:
    """A column to be compared. name: to show, different for each. source: where the results are from, to show.

    tags: the statistics of its raw outputs, where there are any.
    """

    name: str
    results: Results
    source: str = ""
    tags: TagStatistics | None = None


@dataclass(frozen=True)
class Draws:
    """How the bootstrap draws: so many rounds, from this seed, by so many threads."""

    rounds: int = ROUNDS
    seed: int = 0
    workers: int = 1


def compare(
    truth: GroundTruth,
    entries: Sequence[Entry],
    image_ids: Collection[int],
    draws: Draws | None = None,
    skeleton: Skeleton = COCO17,
    pictures: int = PICTURES,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Compare two or more results of the pictures ``image_ids``; the first is the baseline.

    pictures: how many of those that changed most are kept of each column. progress: called with (rounds done, rounds).
    Errors: ValueError for fewer than two entries, equal names, or no pictures; DataError as `keypoint_metrics`.
    """
    draws = draws or Draws()
    _check(truth, entries, image_ids)
    metrics = [keypoint_metrics(truth, entry.results, image_ids, skeleton) for entry in entries]
    outcomes = [outcome_of(truth, entry.results, image_ids, skeleton) for entry in entries]
    matches = [image_matches(truth, entry.results, image_ids, skeleton) for entry in entries]
    sortings = sort_people(outcomes[0].sides)
    sums = [_sums(outcome, sortings) for outcome in outcomes]
    rows = _rows(metrics, matches, sums, draws, progress)
    parts = _split(rows, skeleton, sortings)
    return Comparison(
        columns=tuple(_columns(truth, entries, metrics, outcomes, pictures)),
        images=len(matches[0].image_ids),
        annotated=int(outcomes[0].counts.sum()),
        metrics=parts.metrics,
        people=parts.people,
        joints=parts.joints,
        groups=_groups(parts.groups, sortings, outcomes[0]),
        rounds=draws.rounds,
        seed=draws.seed,
        confidence=CONFIDENCE,
        remarks=tuple(_remarks(outcomes[0], entries, draws)),
    )


def _check(truth: GroundTruth, entries: Sequence[Entry], image_ids: Collection[int]) -> None:
    if len(entries) < 2:
        raise ValueError(f"entries: {len(entries)}, expected two or more")
    names = [entry.name for entry in entries]
    if len(set(names)) != len(names):
        raise ValueError(f"entries: names {names}, expected different ones")
    if not image_ids:
        raise ValueError("image_ids: none, expected at least one picture")
    known = {image["id"] for image in truth.dataset["images"]}
    for entry in entries:
        strange = sorted(set(entry.results.image_ids.tolist()) - known)
        if strange:
            raise DataError(
                f"{entry.source or entry.name}: image_id {strange[0]}, expected those of {truth.path} "
                f"({len(strange)} others)"
            )


# ---------------------------------------------------------------------------------------------------------------------
# Numbers with intervals


def _sums(outcome: Outcome, sortings: Sequence[Sorting]) -> Shares:
    """Sums per picture, of quotients in the order of the rows: people, joints, then the groups of each sorting."""
    pictures = len(outcome.sides.image_ids)
    counts = outcome.counts

    def per_picture(values: Doubles) -> Doubles:
        total = np.zeros((pictures, values.shape[1]))
        np.add.at(total, outcome.picture[counts], values[counts])
        return total

    oks = outcome.oks[:, None]
    everyone = np.ones_like(oks)
    members = np.concatenate([sorting.members() for sorting in sortings], axis=1)
    above = per_picture(np.concatenate([oks, oks >= FOUND_OKS, outcome.joints, oks * members], axis=1))
    below = per_picture(np.concatenate([everyone, everyone, outcome.labelled, members], axis=1))
    # Who is nobody is counted by picture.
    strangers = np.bincount(outcome.stranger_pictures, minlength=pictures)
    return Shares(np.insert(above, 2, strangers, axis=1), np.insert(below, 2, 1.0, axis=1))


def _rows(
    metrics: Sequence[Mapping[str, float]],
    matches: Sequence[ImageMatches],
    sums: Sequence[Shares],
    draws: Draws,
    progress: Callable[[int, int], None] | None,
) -> list[tuple[tuple[float | None, ...], tuple[Difference | None, ...]]]:
    """Values and differences of every measure: METRICS, then those of ``sums``."""

    def measure(weights: Counts) -> Doubles:
        columns = [
            np.concatenate([_metrics_of(found, weights), share.resampled(weights)], axis=1)
            for found, share in zip(matches, sums, strict=True)
        ]
        return np.stack(columns, axis=1)

    pictures = len(matches[0].image_ids)
    drawn = resample(measure, pictures, draws.rounds, draws.seed, draws.workers, progress)
    values = [
        np.concatenate([_known(np.array([of[name] for name in METRICS])), share.values()])
        for of, share in zip(metrics, sums, strict=True)
    ]
    found = differences(values, drawn, pictures)
    return [
        (tuple(_or_none(one[m]) for one in values), tuple(column[m] for column in found)) for m in range(len(values[0]))
    ]


def _metrics_of(matches: ImageMatches, weights: Counts) -> Doubles:
    """(R, 10) METRICS of the rows of ``weights`` (R, I); NaN where a metric has nobody to find."""
    return _known(metrics_of(matches, weights))


def _known(values: Doubles) -> Doubles:
    """COCO's -1 as NaN."""
    return np.where(values == -1, np.nan, values)


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


@dataclass(frozen=True)
class _Parts:
    metrics: tuple[Row, ...]
    people: tuple[Row, ...]
    joints: tuple[Row, ...]
    groups: tuple[Row, ...]


def _split(
    rows: Sequence[tuple[tuple[float | None, ...], tuple[Difference | None, ...]]],
    skeleton: Skeleton,
    sortings: Sequence[Sorting],
) -> _Parts:
    groups = [name for sorting in sortings for name in sorting.names]
    names = [*METRICS, *PEOPLE_ROWS, *skeleton.joints, *groups]
    named = [Row(name, values, changes) for name, (values, changes) in zip(names, rows, strict=True)]
    ends = np.cumsum([0, len(METRICS), len(PEOPLE_ROWS), len(skeleton), len(groups)]).tolist()
    return _Parts(*(tuple(named[a:b]) for a, b in pairwise(ends)))


def _groups(rows: Sequence[Row], sortings: Sequence[Sorting], outcome: Outcome) -> tuple[Group, ...]:
    groups, start = [], 0
    for sorting in sortings:
        sizes = sorting.members()[outcome.counts].sum(axis=0).astype(int).tolist()
        part = rows[start : start + len(sizes)]
        start += len(sizes)
        sized = [Row(row.name, row.values, row.differences, size) for row, size in zip(part, sizes, strict=True)]
        groups.append(Group(sorting.name, sorting.title, sorting.unit, tuple(sized)))
    return tuple(groups)


# ---------------------------------------------------------------------------------------------------------------------
# Persons and pictures


def _columns(
    truth: GroundTruth,
    entries: Sequence[Entry],
    metrics: Sequence[Mapping[str, float]],
    outcomes: Sequence[Outcome],
    most: int,
) -> list[Column]:
    names = {image["id"]: image["file_name"] for image in truth.dataset["images"]}
    columns = []
    for number, (entry, outcome) in enumerate(zip(entries, outcomes, strict=True)):
        changes: list[PersonChange] = []
        changed: list[PictureChange] = []
        if number:
            changes = _person_changes(outcomes[0], outcome)
            changed = _picture_changes(outcomes[0], outcome, names)
        columns.append(
            Column(
                name=entry.name,
                source=entry.source,
                found=len(entry.results),
                metrics=metrics[number],
                changes=tuple(changes),
                pictures=tuple(changed[:most]),
                changed=len(changed),
                tags=entry.tags,
            )
        )
    return columns


def _person_changes(baseline: Outcome, other: Outcome) -> list[PersonChange]:
    before, after = baseline.oks >= FOUND_OKS, other.oks >= FOUND_OKS
    sides = baseline.sides
    return [
        PersonChange(
            kind=LOST if before[row] else WON,
            image_id=int(sides.image_ids[baseline.picture[row]]),
            annotation_id=int(sides.annotation_ids[row]),
            area=float(sides.truths.areas[row]),
            baseline=float(baseline.oks[row]),
            other=float(other.oks[row]),
        )
        for row in np.flatnonzero(baseline.counts & (before != after))
    ]


def _picture_changes(baseline: Outcome, other: Outcome, names: Mapping[int, str]) -> list[PictureChange]:
    """Every picture with a change, by falling change."""
    image_ids = baseline.sides.image_ids
    pictures = len(image_ids)
    place = baseline.picture[baseline.counts]
    before, after = baseline.oks[baseline.counts], other.oks[baseline.counts]
    strangers = [np.bincount(one.stranger_pictures, minlength=pictures) for one in (baseline, other)]
    noise = [np.bincount(one.stranger_pictures, one.stranger_scores, pictures) for one in (baseline, other)]
    change = np.bincount(place, np.abs(after - before), pictures) + np.abs(noise[1] - noise[0])
    signed = np.bincount(place, after - before, pictures)
    lost = np.bincount(place, (before >= FOUND_OKS) & (after < FOUND_OKS), pictures)
    won = np.bincount(place, (before < FOUND_OKS) & (after >= FOUND_OKS), pictures)
    order = np.argsort(-change, kind="stable")
    return [
        PictureChange(
            image_id=int(image_ids[i]),
            file_name=names[int(image_ids[i])],
            change=float(change[i]),
            oks_change=float(signed[i]),
            lost=int(lost[i]),
            won=int(won[i]),
            strangers=(int(strangers[0][i]), int(strangers[1][i])),
        )
        for i in order[change[order] > _SAME]
    ]


def _remarks(outcome: Outcome, entries: Sequence[Entry], draws: Draws) -> list[str]:
    remarks = []
    if draws.rounds < _FEW_ROUNDS:
        remarks.append(f"{draws.rounds} rounds: intervals from fewer than {_FEW_ROUNDS} mean little")
    image_ids = outcome.sides.image_ids
    pictures = len(image_ids)
    if pictures < _FEW:
        remarks.append(f"{pictures} pictures: intervals from fewer than {_FEW} are too narrow")
    found = np.unique(np.concatenate([entry.results.image_ids for entry in entries]))
    empty = pictures - int(np.isin(image_ids, found).sum())
    if empty > pictures // 2:
        remarks.append(
            f"{empty} of {pictures} pictures have nobody in any column; if the results are of a part of the ground "
            "truth, its datalist says of which"
        )
    return remarks
