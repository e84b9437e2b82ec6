"""``hrnetae convert-image``: a folder of pictures in, the npz files that vamp reads and their datalist out."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from hrnetae.decoder import available_processors
from hrnetae.files.errors import DataError
from hrnetae.files.pictures import silence_opencv
from hrnetae.runtime.conversion import ConvertJob, ConvertReport, convert
from hrnetae.tools.dask_workers import Workers, add_dask_option, workers_of
from hrnetae.tools.options import Parser, complain, positive
from hrnetae.tools.progress import progress_bar
from hrnetae.work import WorkerLostError

PROG = "hrnetae convert-image"
_EXAMPLE = f"{PROG} --image_dir val2017 --save_dir coco_flip_npz --datalist vamp_datalist.txt"


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(
        PROG,
        "Makes the network's input files out of pictures: for each <name>.npz and the mirrored <name>_flip.npz, key "
        "input_0, uint8 RGB planes (3, H, W) at the picture's own size, and the list of them, sorted by name, each "
        "picture followed by its mirror image. Pictures are turned as their EXIF orientation says. One that cannot be "
        "read is left out and named at the end (exit code 1).",
        _EXAMPLE,
    )
    add = parser.add_argument
    add("--image_dir", "--dataset_path", type=Path, metavar="DIR", required=True, help="the pictures")
    add("--save_dir", "--target_path", type=Path, metavar="DIR", required=True, help="where the npz files go")
    add("--datalist", "--text_path", type=Path, metavar="FILE", required=True, help="the list to write")
    add("--no_flip", action="store_true", help="no mirrored files")
    add("--resume", action="store_true", help="keep files of an interrupted run whose pictures have not changed")
    add("--workers", type=positive, metavar="N", default=available_processors(), help="threads")
    add_dask_option(parser)
    add("--json", action="store_true", help="print one JSON object")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Convert. Returns 0, or 1 where a picture could not be read or nothing be written; a usage error exits with 2."""
    args = build_parser().parse_args(argv)
    try:
        silence_opencv()  # every picture that it cannot decode is named at the end, in one line
        with (
            workers_of(args.dask, args.workers, [args.image_dir], ["cv2"]) as workers,
            progress_bar("picture") as progress,
        ):
            job = ConvertJob(args.image_dir, args.save_dir, args.datalist, not args.no_flip, args.resume, workers.count)
            report = convert(job, progress, workers.executor)
    except (DataError, OSError, WorkerLostError) as error:
        complain(PROG, error)
        return 1
    for warning in report.warnings:
        complain(PROG, f"warning: {warning}")
    print(json.dumps(_as_json(job, report)) if args.json else _as_text(job, report, workers))
    for line in report.failed:
        complain(PROG, line)
    return 1 if report.failed else 0


def _as_json(job: ConvertJob, report: ConvertReport) -> dict[str, object]:
    return {
        "pictures": report.pictures,
        "files": len(report.files),
        "kept": report.kept,
        "failed": list(report.failed),
        "save_dir": str(job.save_dir),
        "datalist": str(job.datalist) if report.files else None,
        "seconds": round(report.seconds, 3),
    }


def _as_text(job: ConvertJob, report: ConvertReport, workers: Workers) -> str:
    made = report.pictures - len(report.failed) - report.kept
    rate = f"{made / report.seconds:.1f} pictures/s on {workers}"
    lines = [f"{made} pictures made in {report.seconds:.1f} s, {rate}"]
    if report.kept:
        lines.append(f"{report.kept} were there already")
    if report.files:
        lines.append(f"{len(report.files)} files in {job.save_dir}, listed in {job.datalist}")
    else:
        lines.append(f"nothing to list: {job.datalist} not written")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
