"""``hrnetae vamp``: a network on a list of inputs, its outputs written and its speed measured."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from hrnetae.files.atomic import atomic_write, check_writable
from hrnetae.files.errors import DataError
from hrnetae.runtime.vacc import hand_over, vendor_tool
from hrnetae.runtime.vamp import Vamp, VampRun, all_failed
from hrnetae.tools.options import complain
from hrnetae.tools.progress import progress_bar
from hrnetae.tools.vamp_options import OWN_BACKEND, PROG, build_parser, job_of, parse, remarks, vendor_words
from hrnetae.tools.vamp_report import as_data, model_lines, run_lines

__all__ = ["build_parser", "main"]

_VENDOR_MARKS = ("model_prefix",)  # other programs are called vamp, too; only the right one's help has this


def main(argv: Sequence[str] | None = None) -> int:
    """Run. Returns 0, or 1 for bad data, also that of single inputs; the vendor's exit code where it was called."""
    try:
        parser, args, strays = parse(argv)
        if args.backend != OWN_BACKEND:
            return _hand_over(args.backend, vendor_words(parser, args, argv))
        job = job_of(parser, args)
        for line in remarks(args, strays):
            complain(PROG, f"warning: {line}")
        if args.file_report is not None:
            check_writable(args.file_report)
        with Vamp(job) as vamp:
            for warning in vamp.warnings:
                complain(PROG, f"warning: {warning}")
            return _report(vamp, _run_all(vamp, args), args)
    except BrokenPipeError:  # of our own output; cli.py knows what to do
        raise
    except (DataError, OSError) as error:
        complain(PROG, error)
        return 1


def _hand_over(backend: str, words: Sequence[str]) -> int:
    tool = vendor_tool("vamp", _VENDOR_MARKS)
    if tool is None:
        raise DataError(f"--backend {backend}: the vendor's vamp is not on PATH, expected it, or --backend onnxruntime")
    complain(PROG, f"backend: {tool}")
    return hand_over(tool, words)


def _run_all(vamp: Vamp, args: argparse.Namespace) -> list[VampRun]:
    """A run per number of instances, each printed when it is done."""
    if not args.json:
        print(model_lines(vamp), flush=True)
        if vamp.finished:
            print(f"{vamp.finished} of {len(vamp.inputs)} outputs were there already", flush=True)
    runs = []
    for count in args.instance:
        with progress_bar("sample") as bar:
            total = 0 if vamp.job.seconds and not vamp.inputs else len(vamp.todo)
            runs.append(vamp.run(count, None if bar is None else lambda done, bar=bar, total=total: bar(done, total)))
        if not args.json:
            print(f"\n{run_lines(vamp, runs[-1], args.percentiles, bool(args.verbose))}", flush=True)
    return runs


def _report(vamp: Vamp, runs: list[VampRun], args: argparse.Namespace) -> int:
    data = as_data(vamp, runs, args.percentiles, bool(args.verbose))
    if args.file_report is not None:
        _write_yaml(args.file_report, data)
    if args.json:
        print(json.dumps(data))
    failed = all_failed(runs)
    for sample, reason in failed:
        complain(PROG, f"line {sample + 1}: {reason}")
    if failed:
        made = f"{runs[-1].samples} outputs made{_of_the_last(runs)}"
        complain(PROG, f"{len(failed)} of {len(vamp.todo)} inputs failed, {made}")
    return 1 if failed else 0


def _of_the_last(runs: list[VampRun]) -> str:
    return f" (by the last of {len(runs)} runs)" if len(runs) > 1 else ""


def _write_yaml(path: Any, data: dict[str, Any]) -> None:
    import yaml

    with atomic_write(path) as handle:
        handle.write(yaml.safe_dump(data, sort_keys=False, allow_unicode=True).encode())


if __name__ == "__main__":
    sys.exit(main())
