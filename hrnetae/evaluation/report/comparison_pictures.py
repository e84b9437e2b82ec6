"""The gallery of a comparison: the pictures that changed most, as the baseline and the other column see them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hrnetae.evaluation.comparison import Entry
from hrnetae.evaluation.comparison_findings import Comparison, PictureChange
from hrnetae.evaluation.ground_truth import GroundTruth
from hrnetae.evaluation.outcomes import FOUND_OKS, Outcome, outcome_of
from hrnetae.evaluation.report.gallery import WEAK_LAYER, Card, Filter, View, embedded, gallery
from hrnetae.evaluation.report.markup import Child, Markup, element
from hrnetae.evaluation.report.overlay import WEAK, Drawn, image, overlay, same_image, without_faint
from hrnetae.evaluation.report.page import Section, number, section
from hrnetae.evaluation.results import Results
from hrnetae.files.datalist import stem_of
from hrnetae.skeleton import Skeleton

_LAYERS = (
    ("truth", "Ground truth", True),
    ("found", "Found people", True),
    ("marks", "Not found, or nobody", True),
    WEAK_LAYER,
)
_CHANGES = (
    ("lost", "Persons lost"),
    ("won", "Persons won"),
    ("worse", "Less similar"),
    ("better", "More similar"),
    ("strangers", "Other false positives"),
)


def pictures_section(
    found: Comparison,
    entries: Sequence[Entry],
    truth: GroundTruth,
    picture_folder: Path | None,
    skeleton: Skeleton,
) -> Section:
    """One card for each column and picture of it. Where a picture is not at hand, the people stand on grey."""
    ids = {one.image_id for column in found.columns for one in column.pictures}
    outcomes = [outcome_of(truth, entry.results, ids, skeleton) for entry in entries] if ids else []
    pictures = _Pictures(picture_folder)
    sides = [_Side(one.name, one.results, of, truth, skeleton) for one, of in zip(entries, outcomes, strict=False)]
    changes = [(change, place) for place, column in enumerate(found.columns) for change in column.pictures]
    changes.sort(key=lambda one: -one[0].change)
    cards = [_card(change, f"c{place}", (sides[0], sides[place]), pictures) for change, place in changes]
    filters = [Filter("change", "With", _CHANGES)]
    if len(found.columns) > 2:
        columns = [(f"c{place}", name) for place, name in enumerate(found.names) if place]
        filters.insert(0, Filter("column", "Column", columns))
    absent = f" {pictures.absent} pictures were not at hand: their people stand on grey." if pictures.absent else ""
    return section(
        "Pictures that changed most",
        gallery(cards, filters, _LAYERS) if cards else element("p", "No picture changed."),
        intro=f"Left {found.names[0]}, right the other column. Green: the ground truth. Orange and blue: left and "
        "right joints of the people found. Red, dashed: a person who was not found (OKS below 0.5), or a found one "
        f"who is nobody. By falling change: differences in OKS and in the scores of false positives, added up.{absent}",
    )


class _Pictures:
    """Each picture once in the page, however many drawings stand on it."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._names: dict[str, str | None] = {}

    @property
    def absent(self) -> int:
        return sum(name is None for name in self._names.values())

    def __call__(self, file_name: str, size: tuple[int, int]) -> Markup | None:
        if file_name in self._names:
            name = self._names[file_name]
            return None if name is None else same_image(name)
        uri = embedded(None if self._folder is None else self._folder / Path(file_name).name)
        name = f"picture-{len(self._names)}"
        self._names[file_name] = None if uri is None else name
        return None if uri is None else image(uri, size, name)


class _Side:
    """One column's people, picture by picture."""

    def __init__(self, name: str, results: Results, outcome: Outcome, truth: GroundTruth, skeleton: Skeleton) -> None:
        self.name = name
        self._results = results
        self._outcome = outcome
        self._truth = truth
        self._skeleton = skeleton

    def size(self, file_name: str) -> tuple[int, int]:
        return self._truth.picture(stem_of(file_name)).size

    def drawing(self, change: PictureChange, picture: Markup | None) -> tuple[Markup, str]:
        """The picture with this column's people, and a caption."""
        outcome = self._outcome
        sides = outcome.sides
        place = int(np.searchsorted(sides.image_ids, change.image_id))
        annotated, count = [], 0
        for row in np.flatnonzero((outcome.picture == place) & outcome.counts):
            known = bool(outcome.oks[row] >= FOUND_OKS)
            count += known
            words = f"annotated, OKS {outcome.oks[row]:.3f}"
            annotated.append(Drawn(sides.truths.keypoints[row], words, boxed=not known))
        nobody = set(outcome.strangers.tolist())
        found = []
        rows = sides.rows[sides.found_images == place]
        for row in rows[::-1].tolist():  # the best-scored last, on top
            score = float(self._results.scores[row])
            points = without_faint(np.array(self._results.keypoints[row], np.float64))
            is_nobody = row in nobody
            found.append(Drawn(points, f"score {score:.3f}", boxed=is_nobody, weak=is_nobody and score < WEAK))
        label = f"{change.file_name}, {self.name}: {count} of {len(annotated)} annotated persons found"
        size = self.size(change.file_name)
        return overlay(size, picture, annotated, found, label, self._skeleton), f"{count} of {len(annotated)} found"


def _card(change: PictureChange, column: str, sides: Sequence[_Side], pictures: _Pictures) -> Card:
    size = sides[0].size(change.file_name)
    views = []
    for side in sides:
        drawing, caption = side.drawing(change, pictures(change.file_name, size))
        views.append(View(drawing, size, f"{side.name}: {caption}"))
    kinds = {
        "lost": change.lost,
        "won": change.won,
        "worse": max(0.0, -change.oks_change),
        "better": max(0.0, change.oks_change),
        "strangers": abs(change.strangers[1] - change.strangers[0]),
    }
    there = {name: amount for name, amount in kinds.items() if amount > 0}
    return Card(
        title=change.file_name,
        views=views,
        words=_words(change),
        values={"column": [column], "change": list(there)},
        ranks=there,
    )


def _words(change: PictureChange) -> Child:
    moved = f"{change.oks_change:+.2f}".replace("-", "\u2212")
    before, after = change.strangers
    return element(
        "p",
        f"change {number(change.change, 2)}; OKS {moved}; lost {change.lost}, won {change.won}; "
        f"false positives {before} \u2192 {after}",
    )
