"""``hrnetae tune``: decoder parameters for a network of one's own, searched on its outputs."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from hrnetae import __version__
from hrnetae.decoder import available_processors
from hrnetae.evaluation.ground_truth import find_ann_file, load_ground_truth
from hrnetae.evaluation.metrics import METRICS
from hrnetae.evaluation.report.page import number
from hrnetae.files.atomic import atomic_write, check_writable
from hrnetae.files.errors import DataError
from hrnetae.files.folders import find_outputs
from hrnetae.files.lock import lock_file, lock_folder
from hrnetae.files.run_record import sha256_of
from hrnetae.params import DecodeParams
from hrnetae.tools.options import Parser, add_decode_params, at_once, complain, decode_params, positive, whole_to
from hrnetae.tuning import Outputs, Trials, Tuning, sieve_of, tune
from hrnetae.tuning.record import Record
from hrnetae.tuning.report import check_tuning_report, write_tuning_report

PROG = "hrnetae tune"
_EXAMPLE = (
    f"{PROG} --output_data model_throughput_npz --datalist_txt vamp_datalist.txt --ann_file "
    "person_keypoints_val2017.json --out params.json"
)
_MEBIBYTE = 1 << 20


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(
        PROG,
        "Searches the decoder's parameters, and options beyond the reference, for the best AP of a folder of network "
        "outputs. What it is worth is measured on folds of pictures that the search did not see; without a significant "
        "gain the parameters are left as they are. `eval`, `compare` and `predict` take the file with --params.",
        _EXAMPLE,
    )
    add = parser.add_argument_group("data").add_argument
    add("--output_data", type=Path, metavar="DIR", required=True, help="network outputs, as for `hrnetae eval`")
    add("--datalist_txt", type=Path, metavar="FILE", help="their inputs, one npz path per line")
    add("--data_root", type=Path, metavar="DIR", help="dataset with person_keypoints_val2017.json")
    add("--ann_file", type=Path, metavar="FILE", help="ground truth, in place of the one in --data_root")
    add("--output_flip", type=Path, metavar="DIR", help="outputs of the mirrored pictures (runstream)")
    add("--no_flip", action="store_true", help="leave the flips out")
    add("--out", type=Path, metavar="FILE", required=True, help="write the parameters there (JSON)")
    add("--report", type=Path, metavar="DIR", help="write a report there: AP over each parameter, and the parameters")
    add = parser.add_argument_group("search").add_argument
    add("--folds", type=whole_to(1000, 2), metavar="N", default=4, help="parts of the pictures to judge on")
    add("--seed", type=whole_to(2**31 - 1, 0), metavar="N", default=0, help="of the folds and the bootstrap")
    add("--rounds", type=whole_to(100_000), metavar="N", default=1000, help="draws of the bootstrap")
    add(
        "--num_process",
        type=at_once,
        metavar="N",
        default=available_processors(),
        help="workers; the result does not depend on them",
    )
    add(
        "--memory",
        type=positive,
        metavar="MIB",
        default=2048,
        help="for outputs that are kept; those beyond it are read again for each setting",
    )
    add("--resume", action="store_true", help="go on where a run of the same --out was stopped")
    add("--json", action="store_true", help="print one JSON object")
    add_decode_params(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Tune. Returns 0, or 1 for bad data (one line on stderr); a usage error exits with 2."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.data_root is None and args.ann_file is None:
        parser.error("one of the arguments --data_root --ann_file is required")
    start = decode_params(parser, args)
    if start.rescoring is not None:
        complain(PROG, f"{args.params}: has a rescoring, expected parameters without one: tune fits its own")
        return 1
    command = shlex.join([*PROG.split(), *(sys.argv[1:] if argv is None else argv)])
    try:
        if args.out.is_dir():
            raise DataError(f"{args.out}: a folder, expected a file name for the parameters")
        check_writable(args.out)
        if args.report is not None:
            check_tuning_report(args.report)
        with lock_file(args.out), nullcontext() if args.report is None else lock_folder(args.report):
            tuning, record = _run(args, start)
            _write(args, tuning, command)
            record.close()  # not before: what was tried is worth more than the file
    except (DataError, OSError) as error:
        complain(PROG, error)
        return 1
    print(json.dumps(_as_dict(args, tuning)) if args.json else _as_text(args, tuning, start))
    return 0


def _run(args: argparse.Namespace, start: DecodeParams) -> tuple[Tuning, Record]:
    ann_file = find_ann_file(args.data_root, args.ann_file)
    folder = find_outputs(args.output_data, args.datalist_txt, args.output_flip, not args.no_flip)
    truth = load_ground_truth(ann_file, args.data_root)
    for warning in folder.warnings:
        complain(PROG, f"warning: {warning}")
    if len(folder.samples) < args.folds:
        raise DataError(f"{args.output_data}: {len(folder.samples)} pictures, expected {args.folds} (--folds) or more")
    pictures = [truth.picture(sample.stem) for sample in folder.samples]
    outputs = Outputs(folder.samples, pictures, args.memory * _MEBIBYTE)
    run = {
        "hrnetae": __version__,
        "ground_truth": sha256_of(ann_file),
        "outputs": [[*_state(one.output), *_state(one.flipped)] for one in outputs.samples],
        "seed": args.seed,
    }
    record = Record.open(args.out.with_name(f"{args.out.name}.trials"), run, args.resume)
    with _progress() as watch:
        trials = Trials(
            outputs, truth, sieve_of(len(pictures), args.seed), args.num_process, record=record, watch=watch.setting
        )
        watch.trials = trials
        tuning = tune(trials, start, args.folds, args.seed, args.rounds, watch.step, curves=args.report is not None)
    return tuning, record


def _state(path: Path | None) -> tuple[object, ...]:
    """By what a changed output is known."""
    if path is None:
        return ()
    found = path.stat()
    return str(path), found.st_size, found.st_mtime_ns


class _Watch:
    """What is being done, on a bar if there is a terminal."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self.trials: Trials | None = None

    def step(self, line: str) -> None:
        if self._bar is not None:
            self._bar.set_description(line)

    def setting(self, params: DecodeParams) -> None:
        if self._bar is not None:
            if self.trials is not None and (best := self.trials.best) is not None:
                self._bar.set_postfix_str(f"best AP so far {best:.4f}")
            self._bar.update(1)


@contextmanager
def _progress() -> Iterator[_Watch]:
    if not sys.stderr.isatty():
        yield _Watch(None)
        return
    from tqdm import tqdm

    with tqdm(unit="setting", file=sys.stderr, leave=False) as bar:
        yield _Watch(bar)


def _write(args: argparse.Namespace, tuning: Tuning, command: str) -> None:
    text = tuning.params.to_json(tuning=tuning.to_dict() | {"seed": args.seed, "folds": args.folds})
    if args.report is not None:
        write_tuning_report(tuning, args.report, {"Command": command, "Outputs": str(args.output_data)})
    with atomic_write(args.out) as handle:
        handle.write(text.encode())


def _as_dict(args: argparse.Namespace, tuning: Tuning) -> dict[str, Any]:
    written = {"out": str(args.out), "report": None if args.report is None else str(args.report / "index.html")}
    return {"params": tuning.params.to_dict(), **tuning.to_dict(), **written}


def _as_text(args: argparse.Namespace, tuning: Tuning, start: DecodeParams) -> str:
    verdict = tuning.verdict
    lines = [
        f"{'':<7} {'default':>8} {'tuned':>8}   on pictures that the tuning did not see, mean of {args.folds} folds"
    ]
    lines += [
        f"{name:<7} {number(verdict.default[name], 4):>8} {number(verdict.tuned[name], 4):>8}" for name in METRICS
    ]
    lines += [
        "",
        f"gain in AP: {100 * verdict.gain:+.2f} points, 95 % interval {100 * verdict.low:+.2f} to "
        f"{100 * verdict.high:+.2f} (paired bootstrap, {args.rounds} draws); {tuning.settings} settings tried",
    ]
    if tuning.contributions:
        lines.append("AP points that each change is worth on all pictures:")
        lines += [
            f"  {name:<20} {100 * worth:+6.2f}   {_change(start, tuning.found, name)}"
            for name, worth in sorted(tuning.contributions.items(), key=lambda pair: -pair[1])
        ]
    lines.append("")
    if verdict.significant:
        lines.append(f"the gain is significant; parameters: {args.out}")
    else:
        lines.append(f"the gain is NOT significant; the parameters stay as they were: {args.out}")
    if args.report is not None:
        lines.append(f"report: {args.report / 'index.html'}")
    return "\n".join(lines)


def _change(start: DecodeParams, found: DecodeParams, name: str) -> str:
    if name == "rescoring":
        return "scores by a model of each person (worth: on the pictures that it was fitted on)"
    return f"{getattr(start, name)} -> {getattr(found, name)}"


if __name__ == "__main__":
    sys.exit(main())
