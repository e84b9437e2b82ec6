"""The report of a comparison: what a `Comparison` found, as one page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hrnetae.evaluation.comparison import Entry
from hrnetae.evaluation.comparison_findings import Comparison
from hrnetae.evaluation.ground_truth import GroundTruth
from hrnetae.evaluation.report import comparison_sections as sections
from hrnetae.evaluation.report.comparison_pictures import pictures_section
from hrnetae.evaluation.report.folder import INDEX, check_folder, write_files
from hrnetae.evaluation.report.markup import Child, element
from hrnetae.evaluation.report.page import Section, facts, page, section
from hrnetae.skeleton import COCO17, Skeleton

NUMBERS = "comparison.json"


@dataclass(frozen=True)
class ComparisonJob:
    """What a comparison's report is made of.

    comparison: of ``entries`` against ``truth``. folder: gets index.html and comparison.json; made if need be.
    picture_folder: where the pictures lie; None, or one that is not there: people are drawn on grey.
    made: how it was made: headings, each with names and values to show.
    """

    comparison: Comparison
    entries: Sequence[Entry]
    truth: GroundTruth
    folder: Path
    picture_folder: Path | None = None
    made: Mapping[str, Mapping[str, Child]] = field(default_factory=dict)
    skeleton: Skeleton = COCO17


def write_comparison(job: ComparisonJob) -> Path:
    """Write the report; returns the path of its page. Errors: OSError where that cannot be written."""
    numbers = json.dumps(job.comparison.to_dict(), indent=1) + "\n"
    write_files(job.folder, {NUMBERS: numbers, INDEX: comparison_page(job)})
    return job.folder / INDEX


def check_comparison_folder(folder: Path) -> None:
    """Say before the work what would hinder `write_comparison`. Errors: DataError, OSError."""
    check_folder(folder, (INDEX, NUMBERS))


def comparison_page(job: ComparisonJob) -> str:
    """The page as HTML."""
    found = job.comparison
    others = ", ".join(found.names[1:])
    subtitle = (
        f"{others} against {found.names[0]}; {job.truth.path.name}: {found.images:,} pictures, {found.annotated:,} "
        "persons annotated"
    )
    parts = [
        sections.in_short(found),
        sections.metrics(found),
        sections.people(found),
        sections.joints(found),
        sections.groups(found),
        sections.tag_maps(found),
        pictures_section(found, job.entries, job.truth, job.picture_folder, job.skeleton),
        _how_it_was_made(job.made),
    ]
    there = [part for part in parts if part is not None]
    return page("Comparison", there, subtitle=subtitle, head=sections.head(found))


def _how_it_was_made(made: Mapping[str, Mapping[str, Child]]) -> Section:
    parts = [(element("h3", heading), facts(values, heading)) for heading, values in made.items()]
    return section("How it was made", parts)
