"""The report of a comparison: what was found, and how it was made."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hrnetae import __version__
from hrnetae.evaluation.columns import Columns, ReadingJob
from hrnetae.evaluation.comparison_findings import Comparison
from hrnetae.evaluation.ground_truth import PICTURES, GroundTruth
from hrnetae.evaluation.report.comparison import ComparisonJob, write_comparison
from hrnetae.evaluation.report.markup import Child, element
from hrnetae.files.run_record import sha256_of

Values = Mapping[str, Child]

_NEIGHBOURS = ("numpy", "opencv-python", "opencv-python-headless")


def write_compare_report(
    job: ReadingJob,
    truth: GroundTruth,
    columns: Columns,
    comparison: Comparison,
    folder: Path,
    command: str,
    seconds: Mapping[str, float],
) -> Path:
    """Write the report; returns the path of its page. command: the line that asked for it. Errors: OSError."""
    pictures = None if job.data_root is None else job.data_root / PICTURES
    made = {
        "Command": {"Line": element("code", command), "Folder": element("code", str(Path.cwd()))},
        "Data": _data(job, truth),
        "Bootstrap": {
            "Draws": f"{comparison.rounds:,}, seed {comparison.seed}",
            "Intervals": f"{100 * comparison.confidence:.0f} %, percentiles, paired by picture",
        },
        **_parameters(job),
        "Times": {
            "Made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            **{name: f"{value:.2f} s" for name, value in seconds.items()},
        },
        "Versions": _versions(),
    }
    report = ComparisonJob(comparison, columns.entries, truth, folder, pictures, made, job.skeleton)
    return write_comparison(report)


def _data(job: ReadingJob, truth: GroundTruth) -> Values:
    values: dict[str, Child] = {"Ground truth": _file(truth.path)}
    for source in job.sources:
        values[source.name] = element("code", str(source.path)) if source.path.is_dir() else _file(source.path)
    if job.datalist is not None:
        values["Datalist"] = _file(job.datalist)
    return values


def _parameters(job: ReadingJob) -> Mapping[str, Values]:
    """Of the decoder, where a column was decoded."""
    if not any(source.path.is_dir() for source in job.sources):
        return {}
    flips = {"flips": str(job.use_flip)}
    return {
        "Parameters of the decoder": flips | {name: str(value) for name, value in job.params.to_dict().items()},
    }


def _file(path: Path) -> Child:
    return (element("code", str(path)), element("br"), "SHA-256 ", element("code", sha256_of(path)))


def _versions() -> Values:
    found: dict[str, Child] = {"hrnetae": __version__, "Python": platform.python_version()}
    for name in _NEIGHBOURS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    found["System"] = platform.platform()
    return found
