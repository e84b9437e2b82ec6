"""``hrnetae eval``: a folder of network outputs in, the ten COCO keypoint metrics out."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from hrnetae.decoder import available_processors
from hrnetae.evaluation.evaluate import EvalJob, EvalReport, evaluate
from hrnetae.evaluation.metrics import BACKENDS
from hrnetae.evaluation.report.folder import INDEX
from hrnetae.evaluation.report.html import check_report_folder
from hrnetae.files.errors import DataError
from hrnetae.files.folders import IncompleteError
from hrnetae.files.lock import lock_folder
from hrnetae.tools.dask_workers import add_dask_option, workers_of
from hrnetae.tools.eval_report import write_eval_report
from hrnetae.tools.options import Parser, add_decode_params, complain, decode_params, positive
from hrnetae.work import Executor, WorkerLostError

PROG = "hrnetae eval"
_EXAMPLE = (
    f"{PROG} --data_root dataset --output_data model_throughput_npz --datalist_txt vamp_datalist.txt --num_process 8"
)
_TITLES = MappingProxyType(
    {
        "AP": "AP",
        "AP50": "AP .5",
        "AP75": "AP .75",
        "APm": "AP (M)",
        "APl": "AP (L)",
        "AR": "AR",
        "AR50": "AR .5",
        "AR75": "AR .75",
        "ARm": "AR (M)",
        "ARl": "AR (L)",
    }
)


class Progress(Protocol):
    """Called with (pictures done, pictures in all)."""

    def __call__(self, done: int, total: int, /) -> None: ...


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(
        PROG,
        "Decodes a folder of recorded network outputs and scores the persons against COCO ground truth. Dashes and "
        "underscores in option names are the same.",
        _EXAMPLE,
    )
    _add_data(parser)
    add_decode_params(parser)
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data")
    add = group.add_argument
    options = (
        ("output_data", "DIR", "network outputs: output_000000.npz ... (vamp) or <picture>.npz (runstream)"),
        (
            "datalist_txt",
            "FILE",
            "the inputs, one npz path per line: line N (from 0) is vamp's output N, X_flip the flip of X; not needed "
            "for outputs with the pictures' names",
        ),
        ("data_root", "DIR", "dataset with person_keypoints_val2017.json, itself or in annotations/"),
        ("ann_file", "FILE", "ground truth, in place of the one in --data_root"),
        ("output_flip", "DIR", "outputs of the mirrored pictures under the same names (runstream)"),
        ("out", "FILE", "write the persons there as COCO results (JSON); else nothing is written"),
        ("report", "DIR", "write a report there: index.html, which needs no other file, and its numbers as JSON"),
    )
    for name, metavar, text in options:
        add(f"--{name}", type=Path, metavar=metavar, required=name == "output_data", help=text)
    add("--no_flip", action="store_true", help="leave the flips out")
    add("--flip_test", action="store_true", help="accepted as on the page: flips are used wherever there are any")
    workers = available_processors()
    add(
        "--num_process", type=positive, metavar="N", default=workers, help="workers; the result does not depend on them"
    )
    add(
        "--allow_missing",
        action="store_true",
        help="score although outputs are missing: their people count as missed, and how many pictures these are stands "
        "beside the metrics",
    )
    add(
        "--resume",
        action="store_true",
        help="go on where an evaluation with the same --out was killed; ends with the same bytes",
    )
    add_dask_option(group)
    add("--verify", action="store_true", help="compare the checksums of the outputs' files, which takes longer")
    add(
        "--metrics",
        choices=BACKENDS,
        default=BACKENDS[0],
        help="what computes them: our own code, or pycocotools, which gives the same numbers later",
    )
    add("--json", action="store_true", help="print one JSON object")


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate. Returns 0, or 1 for bad data (one line on stderr); a usage error exits with 2."""
    parser = build_parser()
    args = parser.parse_args(argv)
    job = _job(parser, args)
    command = shlex.join([*PROG.split(), *(sys.argv[1:] if argv is None else argv)])
    try:
        places = [path for path in (args.output_data, args.output_flip) if path is not None]
        with workers_of(args.dask, args.num_process, places) as workers:
            job = dataclasses.replace(job, workers=workers.count)
            report = _evaluate(job, args.report, command, workers.executor)
    except IncompleteError as error:
        complain(PROG, f"{error}; expected all (--allow_missing counts their people as missed)")
        return 1
    except (DataError, OSError, WorkerLostError) as error:
        complain(PROG, error)
        return 1
    for warning in report.warnings:
        complain(PROG, f"warning: {warning}")
    if args.json:
        print(json.dumps(report.to_dict() | {"report": None if args.report is None else str(args.report / INDEX)}))
    else:
        print(_as_text(report, job.workers))
        if args.report is not None:
            print(f"report: {args.report / INDEX}")
    return 0


def _evaluate(job: EvalJob, report_folder: Path | None, command: str, executor: Executor | None) -> EvalReport:
    if report_folder is None:
        with _progress_bar() as progress:
            return evaluate(job, progress, executor)
    check_report_folder(report_folder)
    with lock_folder(report_folder):
        with _progress_bar() as progress:
            report = evaluate(job, progress, executor)
        write_eval_report(job, report, report_folder, command)
    return report


def _job(parser: argparse.ArgumentParser, args: argparse.Namespace) -> EvalJob:
    if args.data_root is None and args.ann_file is None:
        parser.error("one of the arguments --data_root --ann_file is required")
    if args.resume and args.out is None:
        parser.error("argument --resume: expected --out, beside which the decoded parts are kept")
    return EvalJob(
        output_data=args.output_data,
        datalist=args.datalist_txt,
        data_root=args.data_root,
        ann_file=args.ann_file,
        output_flip=args.output_flip,
        use_flip=not args.no_flip,
        params=decode_params(parser, args),
        workers=args.num_process,
        allow_missing=args.allow_missing,
        out=args.out,
        resume=args.resume,
        verify=args.verify,
        metrics=args.metrics,
    )


@contextmanager
def _progress_bar() -> Iterator[Progress | None]:
    """A bar on stderr where that is a terminal, else nothing."""
    if not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    with tqdm(unit="image", file=sys.stderr, leave=False) as bar:

        def show(done: int, total: int, /) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


def _as_text(report: EvalReport, workers: int) -> str:
    seconds = report.seconds
    flip = "with flip" if report.flip else "without flip"
    how = f"{report.layout} layout, {flip}, mode {report.params.mode}"
    noun = "worker" if workers == 1 else "workers"
    sums = f"reading {seconds['reading']:.3f} s, decoding {seconds['decoding']:.3f} s"
    lines = [f"{_TITLES[name]:<7} {value:7.4f}" for name, value in report.metrics.items()]
    if report.missing_images:
        lines.append(f"missing {report.missing_images:,} of {report.images:,} pictures: their people count as missed")
    lines += [
        "",
        f"{report.persons} persons in {report.images} images ({how})",
        f"{report.images_per_s:.1f} images/s with {workers} {noun}: {seconds['wall']:.3f} s ({sums} in all)",
        f"metrics {seconds['metrics']:.3f} s, everything {seconds['total']:.3f} s",
    ]
    if report.kept:
        lines.append(f"{report.kept:,} pictures had been decoded before")
    if report.out is not None:
        lines.append(f"results: {report.out}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
