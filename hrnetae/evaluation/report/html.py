"""The report of an evaluation: what an `Analysis` found, as one page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hrnetae.evaluation.findings import Analysis
from hrnetae.evaluation.ground_truth import GroundTruth
from hrnetae.evaluation.metrics import METRICS
from hrnetae.evaluation.report import sections
from hrnetae.evaluation.report.folder import INDEX, check_folder, write_files
from hrnetae.evaluation.report.markup import Child, Markup, element
from hrnetae.evaluation.report.page import Section, facts, number, page, section, tiles
from hrnetae.evaluation.report.pictures import gallery_section
from hrnetae.evaluation.results import Results
from hrnetae.skeleton import COCO17, Skeleton

NUMBERS = "analysis.json"

_ALL, _MEDIUM, _LARGE = "OKS 0.50 to 0.95", "32² to 96² pixels", "above 96² pixels"
_METRIC_TITLES: Mapping[str, tuple[str, str]] = {
    "AP": ("AP", _ALL),
    "AP50": ("AP .50", "OKS 0.50"),
    "AP75": ("AP .75", "OKS 0.75"),
    "APm": ("AP medium", _MEDIUM),
    "APl": ("AP large", _LARGE),
    "AR": ("AR", _ALL),
    "AR50": ("AR .50", "OKS 0.50"),
    "AR75": ("AR .75", "OKS 0.75"),
    "ARm": ("AR medium", _MEDIUM),
    "ARl": ("AR large", _LARGE),
}


@dataclass(frozen=True)
class ReportJob:
    """What a report is made of.

    analysis: of ``results`` against ``truth``. folder: gets index.html and analysis.json; made if need be.
    picture_folder: where the pictures lie; None, or one that is not there: people are drawn on grey.
    made: how it was made: headings, each with names and values to show.
    missing_images: how many pictures are scored as if nobody was found because their outputs are missing.
    """

    analysis: Analysis
    truth: GroundTruth
    results: Results
    folder: Path
    picture_folder: Path | None = None
    made: Mapping[str, Mapping[str, Child]] = field(default_factory=dict)
    skeleton: Skeleton = COCO17
    missing_images: int = 0


def write_report(job: ReportJob) -> Path:
    """Write the report; returns the path of its page. Errors: OSError where that cannot be written."""
    numbers = json.dumps({"missing_images": job.missing_images, **job.analysis.to_dict()}, indent=1) + "\n"
    write_files(job.folder, {NUMBERS: numbers, INDEX: report_page(job)})
    return job.folder / INDEX


def check_report_folder(folder: Path) -> None:
    """Say before the work what would hinder `write_report`. Errors: DataError, OSError."""
    check_folder(folder, (INDEX, NUMBERS))


def report_page(job: ReportJob) -> str:
    """The page as HTML."""
    analysis = job.analysis
    subtitle = (
        f"{job.truth.path.name}: {_count(analysis.images, 'picture')}, {_count(analysis.annotated, 'person')} "
        f"annotated, {analysis.found:,} found"
    )
    parts = [
        sections.in_short(analysis),
        sections.curves(analysis.curves),
        sections.errors(analysis.taxonomy),
        sections.joints(analysis.joints),
        sections.groups(analysis.groupings),
        sections.scores(analysis.calibration),
        gallery_section(analysis.gallery, job.truth, job.results, job.picture_folder, job.skeleton),
        _how_it_was_made(job.made),
    ]
    return page("Evaluation report", parts, subtitle=subtitle, head=_metrics(job))


def _metrics(job: ReportJob) -> Markup:
    metrics = job.analysis.metrics
    values = [(_METRIC_TITLES[name][0], number(metrics[name], 4), _METRIC_TITLES[name][1]) for name in METRICS]
    notice = None
    if job.missing_images:
        pictures = _count(job.analysis.images, "picture")
        notice = element(
            "p",
            f"Incomplete: {job.missing_images:,} of the {pictures} lack outputs; their people count as missed.",
            class_="notice",
        )
    return element("div", element("h2", "Metrics", class_="unseen"), notice, tiles(values))


def _how_it_was_made(made: Mapping[str, Mapping[str, Child]]) -> Section:
    parts = [
        element("div", element("h3", heading), facts(values, heading), class_="fact" if _is_short(values) else None)
        for heading, values in made.items()
    ]
    return section("How it was made", element("div", parts, class_="facts"))


def _is_short(values: Mapping[str, Child]) -> bool:
    """Whether they fit beside others."""
    return all(isinstance(value, str) and not isinstance(value, Markup) for value in values.values())


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
