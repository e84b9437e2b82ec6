"""What a comparison of results finds, as plain numbers: frozen dataclasses that turn into JSON. `comparison.py` fills
them.

Everywhere: scores, similarities (OKS), AP and AR go from 0 to 1; a mean over nothing is None. The first column is the
baseline, and a difference is the other column less the baseline.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hrnetae.evaluation.bootstrap import Difference
from hrnetae.evaluation.tag_statistics import TagStatistics

LOST, WON = "lost", "won"


@dataclass(frozen=True)
class Row:
    """One measure. name: to show. values: of each column. differences: of each column but the first to the first;
    None where one of the two has no value. persons: how many it is made of, where it is a group of persons."""

    name: str
    values: tuple[float | None, ...]
    differences: tuple[Difference | None, ...]
    persons: int | None = None

    def to_dict(self, names: tuple[str, ...]) -> dict[str, Any]:
        """With the columns by their names."""
        there = {} if self.persons is None else {"persons": self.persons}
        return {
            **there,
            "values": dict(zip(names, self.values, strict=True)),
            "differences": {
                name: None if one is None else one.to_dict()
                for name, one in zip(names[1:], self.differences, strict=True)
            },
        }


@dataclass(frozen=True)
class Group:
    """One way to sort the annotated persons. name: for JSON; title, unit: to show. rows: the groups' mean OKS, where
    a person that was not found counts 0."""

    name: str
    title: str
    unit: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class PersonChange:
    """An annotated person that one column found (OKS 0.5 or more) and the other did not.

    kind: LOST (the baseline found it) or WON. baseline, other: OKS in either column. area: square pixels.
    """

    kind: str
    image_id: int
    annotation_id: int
    area: float
    baseline: float
    other: float


@dataclass(frozen=True)
class PictureChange:
    """A picture, and how much a column differs from the baseline in it.

    change: the sum over its annotated persons of the difference in OKS, without sign, and the difference in the summed
        scores of its false positives, without sign.
    oks_change: the sum of the differences in OKS, with sign. lost, won: persons. strangers: false positives in baseline
        and column.
    """

    image_id: int
    file_name: str
    change: float
    oks_change: float
    lost: int
    won: int
    strangers: tuple[int, int]


@dataclass(frozen=True)
class Column:
    """One column's results. name: to show. source: where they are from. found: persons in them. metrics: COCO's ten.

    changes: persons lost and won to the baseline; pictures: those that changed most, by falling change; changed: how
    many pictures changed at all. Empty and 0 for the baseline.
    tags: of its raw outputs, where there are any.
    """

    name: str
    source: str
    found: int
    metrics: Mapping[str, float]
    changes: tuple[PersonChange, ...]
    pictures: tuple[PictureChange, ...]
    changed: int
    tags: TagStatistics | None

    def count(self, kind: str) -> int:
        """How many persons were LOST or WON."""
        return sum(change.kind == kind for change in self.changes)

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "name": self.name,
            "source": self.source,
            "found": self.found,
            "metrics": dict(self.metrics),
            LOST: self.count(LOST),
            WON: self.count(WON),
            "changes": [asdict(change) for change in self.changes],
            "changed_pictures": self.changed,
            "pictures": [{**asdict(one), "strangers": list(one.strangers)} for one in self.pictures],
            "tags": None if self.tags is None else self.tags.to_dict(),
        }


@dataclass(frozen=True)
class Comparison:
    """columns: the first is the baseline. images: pictures; annotated: persons that count in them.

    metrics: COCO's ten. people: mean OKS of all annotated persons, share of them found, false positives a picture.
    joints: mean similarity of each joint where it is labelled, 0 where its person was not found. groups: of persons.
    rounds, seed, confidence: of the bootstrap. remarks: what the user should know, one line each.
    """

    columns: tuple[Column, ...]
    images: int
    annotated: int
    metrics: tuple[Row, ...]
    people: tuple[Row, ...]
    joints: tuple[Row, ...]
    groups: tuple[Group, ...]
    rounds: int
    seed: int
    confidence: float
    remarks: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def metric(self, name: str) -> Row:
        """The row of one of COCO's ten metrics."""
        return next(row for row in self.metrics if row.name == name)

    def to_dict(self) -> dict[str, Any]:
        """All of it as dicts, lists and numbers that ``json.dumps`` takes."""

        def rows(of: tuple[Row, ...]) -> dict[str, Any]:
            return {row.name: row.to_dict(self.names) for row in of}

        return {
            "baseline": self.names[0],
            "columns": [column.to_dict() for column in self.columns],
            "images": self.images,
            "annotated": self.annotated,
            "metrics": rows(self.metrics),
            "people": rows(self.people),
            "joints": rows(self.joints),
            "groups": {group.name: rows(group.rows) for group in self.groups},
            "bootstrap": {"rounds": self.rounds, "seed": self.seed, "confidence": self.confidence},
            "remarks": list(self.remarks),
        }
