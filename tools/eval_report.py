"""The report of an evaluation: what was found, and how it was made."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hrnetae import __version__
from hrnetae.evaluation.analysis import analyse
from hrnetae.evaluation.evaluate import EvalJob, EvalReport
from hrnetae.evaluation.ground_truth import PICTURES
from hrnetae.evaluation.report.html import ReportJob, write_report
from hrnetae.evaluation.report.markup import Child, element
from hrnetae.files.errors import some_names
from hrnetae.files.run_record import read_record, sha256_of
from hrnetae.foreign import shown

Values = Mapping[str, Child]

_MISSING = 100  # names of missing outputs that the page shows
_LONGEST_VALUE = 200  # characters of what a run's record says of itself; it names every output, too

_NEIGHBOURS = ("numpy", "opencv-python", "opencv-python-headless", "pycocotools")


def write_eval_report(job: EvalJob, report: EvalReport, folder: Path, command: str) -> None:
    """Analyse the persons that an evaluation found and write the report. command: the line that asked for it.

    Errors: as `analyse` and `write_report`.
    """
    start = time.perf_counter()
    analysis = analyse(report.ground_truth, report.results, report.image_ids, job.skeleton)
    analysed = time.perf_counter() - start
    pictures = None if job.data_root is None else job.data_root / PICTURES
    made = {
        "Command": {"Line": element("code", command), "Folder": element("code", str(Path.cwd()))},
        "Data": _data(job, report),
        "Parameters of the decoder": {name: str(value) for name, value in report.params.to_dict().items()},
        "Times": _times(job, report, analysed),
        "Versions": _versions(),
    }
    write_report(
        ReportJob(
            analysis,
            report.ground_truth,
            report.results,
            folder,
            pictures,
            made,
            job.skeleton,
            report.missing_images,
        )
    )


def _data(job: EvalJob, report: EvalReport) -> Values:
    flip = "with the outputs of the mirrored pictures" if report.flip else "without mirrored pictures"
    values: dict[str, Child] = {
        "Ground truth": _file(report.ground_truth.path),
        "Network outputs": (element("code", str(job.output_data)), f", {report.layout} layout, {flip}"),
        "Missing outputs": some_names(report.missing, _MISSING) or None,
        "Run": _run_record(job.output_data),
        "Datalist": None if job.datalist is None else _file(job.datalist),
        "Results": "not written" if job.out is None else _file(job.out),
    }
    return {name: value for name, value in values.items() if value is not None}


def _file(path: Path) -> Child:
    return (element("code", str(path)), element("br"), "SHA-256 ", element("code", sha256_of(path)))


def _run_record(folder: Path) -> Child:
    """What made the outputs, where that is recorded beside them."""
    record = read_record(folder)
    if record is None:
        return None
    told = [f"{name}: {shown(value, _LONGEST_VALUE, str)}" for name, value in record.items() if value is not None]
    return [(element("code", line), element("br")) for line in told]


def _times(job: EvalJob, report: EvalReport, analysed: float) -> Values:
    seconds = report.seconds
    workers = f"{job.workers} worker{'' if job.workers == 1 else 's'}"
    return {
        "Made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "Reading and decoding": f"{seconds['wall']:.2f} s with {workers}, {report.images_per_s:,.0f} pictures/s",
        "of it, in all workers": f"reading {seconds['reading']:.2f} s, decoding {seconds['decoding']:.2f} s",
        "Metrics": f"{seconds['metrics']:.2f} s",
        "Analysis of errors": f"{analysed:.2f} s",
    }


def _versions() -> Values:
    values: dict[str, Child] = {
        "hrnetae": __version__,
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "System": f"{platform.system()} {platform.release()}, {platform.machine()}, {os.cpu_count()} processors",
    }
    for name in _NEIGHBOURS:
        try:
            values[name] = version(name)
        except PackageNotFoundError:
            continue
    return values
