"""``hrnetae compare``: what other results of the same pictures lost and won against the first, and how sure that is."""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from hrnetae.decoder import available_processors
from hrnetae.evaluation.bootstrap import Difference
from hrnetae.evaluation.columns import ReadingJob, named_sources, read_columns
from hrnetae.evaluation.comparison import FALSE_POSITIVES, PICTURES, ROUNDS, Draws, compare
from hrnetae.evaluation.comparison_findings import LOST, WON, Comparison, Row
from hrnetae.evaluation.ground_truth import GroundTruth, find_ann_file, load_ground_truth
from hrnetae.evaluation.report.comparison import NUMBERS, check_comparison_folder
from hrnetae.evaluation.report.folder import INDEX
from hrnetae.files.datalist import stem_of
from hrnetae.files.errors import DataError
from hrnetae.files.lock import lock_folder
from hrnetae.tools.options import Parser, add_decode_params, complain, decode_params, positive
from hrnetae.tools.progress import progress_bar

PROG = "hrnetae compare"
_EXAMPLE = f"{PROG} results_fp32.json results_int8.json --ann_file person_keypoints_val2017.json --report compared"


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(
        PROG,
        "Compares results of the same pictures with the first of them, the baseline: COCO's metrics with bootstrap "
        "intervals of each difference, joints, groups of persons, persons lost and won, the pictures that changed most "
        "and, of raw outputs, the tag maps. Dashes and underscores in option names are the same.",
        _EXAMPLE,
    )
    parser.add_argument(
        "columns",
        metavar="[NAME=]PATH",
        nargs="+",
        help="two or more results files (COCO JSON) or folders of network outputs, the baseline first",
    )
    _add_data(parser)
    _add_judgement(parser)
    _add_output(parser)
    add_decode_params(parser)
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("data").add_argument
    add("--ann_file", type=Path, metavar="FILE", help="ground truth, in place of the one in --data_root")
    add(
        "--data_root",
        type=Path,
        metavar="DIR",
        help="dataset with person_keypoints_val2017.json, itself or in annotations/, and the pictures in val2017/",
    )
    add(
        "--datalist_txt",
        type=Path,
        metavar="FILE",
        help="the inputs of the outputs, as for eval; of results files, which pictures count (else all)",
    )
    add("--no_flip", action="store_true", help="leave the flips in folders of outputs out")
    add(
        "--num_process",
        type=positive,
        metavar="N",
        default=available_processors(),
        help="workers; the result does not depend on them",
    )


def _add_judgement(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("bootstrap").add_argument
    add("--rounds", type=positive, metavar="N", default=ROUNDS, help="draws of the pictures, for the intervals")
    add("--seed", type=_seed, metavar="N", default=0, help="the same seed draws the same pictures")
    add(
        "--fail_if_worse",
        type=_points,
        metavar="POINTS",
        help="exit with 1 if the AP of a column is more than so many points (hundredths) below the baseline's",
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("output").add_argument
    add(
        "--report",
        type=Path,
        metavar="DIR",
        help=f"write DIR/{INDEX}, one page with everything in it, and DIR/{NUMBERS}",
    )
    add(
        "--pictures",
        type=positive,
        metavar="N",
        default=PICTURES,
        help="how many of the pictures that changed most are told, for each column",
    )
    add("--json", action="store_true", help="print one JSON object")


def main(argv: Sequence[str] | None = None) -> int:
    """Compare. Returns 0, or 1 for bad data or a column that is worse than allowed (one line on stderr each)."""
    start = time.perf_counter()
    parser = build_parser()
    words = sys.argv[1:] if argv is None else list(argv)
    args = parser.parse_args(words)
    if len(args.columns) < 2:
        parser.error(f"argument [NAME=]PATH: {len(args.columns)}, expected two or more to compare")
    if args.data_root is None and args.ann_file is None:
        parser.error("one of the arguments --data_root --ann_file is required")
    job = ReadingJob(
        sources=named_sources(args.columns),
        datalist=args.datalist_txt,
        data_root=args.data_root,
        use_flip=not args.no_flip,
        params=decode_params(parser, args),
        workers=args.num_process,
    )
    try:
        comparison, warnings = _run(args, job, shlex.join((*PROG.split(), *words)))
    except (DataError, OSError) as error:
        complain(PROG, error)
        return 1
    for remark in (*warnings, *comparison.remarks):
        complain(PROG, f"warning: {remark}")
    print(json.dumps(_as_dict(comparison, start)) if args.json else as_text(comparison, args.report, start))
    return _judge(comparison, args.fail_if_worse)


def _check_sizes(truth: GroundTruth, image_ids: Sequence[int]) -> None:
    """The report draws pictures: DataError now, not after the work, where one has no size."""
    ids = frozenset(int(image_id) for image_id in image_ids)
    for image in truth.dataset["images"]:
        if image["id"] in ids:
            truth.picture(stem_of(image["file_name"]))


def _run(args: argparse.Namespace, job: ReadingJob, command: str) -> tuple[Comparison, tuple[str, ...]]:
    """Read, compare, and write the report where one is asked for. Returns the warnings of reading, too."""
    if args.report is None:
        return _compared(args, job, command)
    check_comparison_folder(args.report)
    with lock_folder(args.report):
        return _compared(args, job, command)


def _compared(args: argparse.Namespace, job: ReadingJob, command: str) -> tuple[Comparison, tuple[str, ...]]:
    start = time.perf_counter()
    truth = load_ground_truth(find_ann_file(args.data_root, args.ann_file), args.data_root)
    with progress_bar("image") as progress:
        columns = read_columns(job, truth, lambda _: progress)
    if args.report is not None:
        _check_sizes(truth, columns.image_ids)
    read = time.perf_counter()
    draws = Draws(args.rounds, args.seed, args.num_process)
    with progress_bar("round") as progress:
        found = compare(
            truth, columns.entries, columns.image_ids, draws, job.skeleton, args.pictures, progress=progress
        )
    if args.report is not None:
        from hrnetae.tools.compare_report import write_compare_report  # only who wants a report needs what makes it

        seconds = {"Reading": read - start, "Comparing": time.perf_counter() - read}
        write_compare_report(job, truth, columns, found, args.report, command, seconds)
    return found, columns.warnings


def _judge(comparison: Comparison, allowed: float | None) -> int:
    """1 if a column's AP is further below the baseline's than allowed, in points, or there is none."""
    if allowed is None:
        return 0
    code = 0
    for name, change in zip(comparison.names[1:], comparison.metric("AP").differences, strict=True):
        if change is None:
            complain(PROG, f"{name}: no AP to judge, since nobody is annotated in these pictures")
            code = 1
        elif -100 * change.value > allowed + 1e-9:
            complain(
                PROG,
                f"{name}: AP is {-100 * change.value:.2f} points below that of {comparison.names[0]}, allowed are "
                f"{allowed:g} ({'' if change.significant else 'not '}significant)",
            )
            code = 1
    return code


def _points(text: str) -> float:
    """An argparse type: a finite number of 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number of points, 0 or more")
    return value


def _seed(text: str) -> int:
    """An argparse type: a whole number of 0 or more."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r}, expected a whole number of 0 or more")
    return int(text)


# ---------------------------------------------------------------------------------------------------------------------
# What is printed


def _as_dict(comparison: Comparison, start: float) -> dict[str, object]:
    return {**comparison.to_dict(), "seconds": round(time.perf_counter() - start, 3)}


def as_text(comparison: Comparison, report: Path | None, start: float) -> str:
    """Tables for the terminal: metrics, people, who was lost and won, tag maps."""
    lines = _table(comparison)
    lines += ["", *_changes(comparison), *_tags(comparison), ""]
    lines.append(
        f"{comparison.images} images, {comparison.annotated} persons; intervals of "
        f"{100 * comparison.confidence:.0f} % from {comparison.rounds} draws of the images (seed {comparison.seed}); "
        "* leaves out 0"
    )
    lines.append(f"{time.perf_counter() - start:.1f} s")
    if report is not None:
        lines.append(f"report: {report / INDEX}")
    return "\n".join(lines)


def _table(comparison: Comparison) -> list[str]:
    """Values of all columns, and under each but the first its difference in points."""
    head = ["", comparison.names[0]]
    for name in comparison.names[1:]:
        head += [name, "points", "interval"]
    rows = [head]
    for row in (*comparison.metrics, *comparison.people):
        rows.append(_cells(row))
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _cells(row: Row) -> list[str]:
    cells = [row.name, _value(row.values[0])]
    scale = 1 if row.name == FALSE_POSITIVES else 100  # a number of persons is no share
    for value, change in zip(row.values[1:], row.differences, strict=True):
        cells += [_value(value), "-" if change is None else f"{scale * change.value:+.2f}", _interval(change, scale)]
    return cells


def _value(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _interval(change: Difference | None, scale: int) -> str:
    if change is None or change.low is None or change.high is None:
        return ""
    return f"{scale * change.low:+.2f} .. {scale * change.high:+.2f} {'*' if change.significant else ' '}"


def _changes(comparison: Comparison) -> list[str]:
    return [
        f"{column.name}: persons lost {column.count(LOST)}, won {column.count(WON)}; images changed {column.changed}"
        for column in comparison.columns[1:]
    ]


def _tags(comparison: Comparison) -> list[str]:
    lines = []
    for column in comparison.columns:
        tags = column.tags
        if tags is None:
            continue
        figures = {
            "spread": tags.spread,
            "distance": tags.distance,
            "confused": tags.confused,
            "beyond 1": tags.beyond,
            "change of tags": tags.tag_change,
            "change of heat": tags.heat_change,
        }
        told = ", ".join(f"{name} {value:.4f}" for name, value in figures.items() if value is not None)
        lines.append(f"{column.name}: tag maps: {told}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
