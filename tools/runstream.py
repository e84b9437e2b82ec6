"""``hrnetae runstream``: pictures in, network outputs under their names out."""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hrnetae.files.errors import DataError
from hrnetae.files.pictures import silence_opencv
from hrnetae.runtime.processes import RunReport
from hrnetae.runtime.runstream import Runstream, RunstreamJob, Shapes, Teller, model_of_info
from hrnetae.runtime.sessions import CPU
from hrnetae.tools.options import Parser, at_once, complain, positive
from hrnetae.tools.progress import progress_bar

PROG = "hrnetae runstream"
_EXAMPLE = (
    f"{PROG} --file_path val2017 --model deploy_weights/hrnet/mod --vdsp_params_info vdsp_hrnet.json "
    "--save_dir outputs --flip"
)


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(
        PROG,
        "Runs a network on pictures and writes its outputs, float32, to <picture>.npz; with --flip those of the "
        "mirrored picture to <picture>_flip.npz beside it, where `hrnetae eval` looks for them. One that cannot be "
        "read is left out and named at the end (exit code 1).",
        _EXAMPLE,
    )
    add = parser.add_argument
    add("--file_path", type=Path, metavar="IMG|DIR", required=True, help="a picture, or a folder of pictures")
    add(
        "--model",
        "--model_prefix_path",
        metavar="PREFIX",
        help="the model: a folder that vamc built, its mod, or an ONNX file; else --model_info names it",
    )
    add(
        "--model_info",
        type=Path,
        metavar="FILE",
        default=Path("./configs/model_info.json"),
        help="the page's JSON, whose model_lib_path gives the prefix",
    )
    add(
        "--vdsp_params_info",
        type=Path,
        metavar="FILE",
        default=Path("./configs/vdsp_hrnet.json"),
        help="preprocessing parameters (JSON)",
    )
    add("--save_dir", type=Path, metavar="DIR", required=True, help="where the outputs go")
    add("--flip", action="store_true", help="also the mirrored pictures")
    add("--batch", type=positive, default=1, metavar="N", help="pictures that go through the network together")
    add("--device_id", "--device", type=int, default=0, metavar="N", help="the accelerator, where there are several")
    add("--provider", default=CPU, metavar="NAME", help="an installed ONNX Runtime execution provider, as cpu or cuda")
    add("--threads", type=at_once, metavar="N", help="threads of the network; else one per processor")
    add("--resume", action="store_true", help="keep the outputs of an interrupted run and make the others")
    add("--json", action="store_true", help="print one JSON object")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run. Returns 0, or 1 for bad data, also a single picture; a usage error exits with 2."""
    args = build_parser().parse_args(argv)
    try:
        with Runstream(_job(args)) as stream:
            return _run(stream, args.json)
    except BrokenPipeError:  # of our own output; cli.py knows what to do
        raise
    except (DataError, OSError) as error:
        complain(PROG, error)
        return 1


def _run(stream: Runstream, as_json: bool) -> int:
    silence_opencv()  # every picture that it cannot decode is named at the end, in one line
    complain(PROG, f"backend: {stream.backend}")
    for warning in stream.warnings:
        complain(PROG, f"warning: {warning}")
    with progress_bar("picture") as bar:
        report = stream.run(
            _Printer(stream, silent=as_json),
            None if bar is None else lambda done: bar(done, len(stream.todo)),
        )
    return _report(stream, report, as_json)


class _Printer(Teller):
    """Prints a line per picture, in their order, whatever the order in which they are done."""

    def __init__(self, stream: Runstream, silent: bool) -> None:
        self._stream = stream
        self._silent = silent
        self._lock = threading.Lock()
        self._waiting = list(reversed(stream.todo))
        self._told: dict[int, Shapes | None] = {}

    def __call__(self, number: int, shapes: Shapes | None) -> None:
        with self._lock:
            self._told[number] = shapes
            while self._waiting and self._waiting[-1] in self._told:
                self._print(self._waiting.pop())

    def _print(self, number: int) -> None:
        shapes = self._told.pop(number)
        if shapes is not None and not self._silent:
            print(f"{self._stream.pictures[number]} ===> {', '.join(map(str, shapes))}", flush=True)


def _job(args: argparse.Namespace) -> RunstreamJob:
    return RunstreamJob(
        file_path=args.file_path,
        model=args.model or model_of_info(args.model_info),
        vdsp_params=args.vdsp_params_info,
        save_dir=args.save_dir,
        flip=args.flip,
        batch_size=args.batch,
        provider=args.provider,
        threads=args.threads,
        device=args.device_id,
        resume=args.resume,
    )


def _report(stream: Runstream, report: RunReport, as_json: bool) -> int:
    (process,) = report.processes
    # A picture and its mirror image fail for the same reason; it is said once.
    failed = {stream.pictures[n].path: reason for n, reason in sorted(process.measured.failed)}
    if as_json:
        print(json.dumps(_as_data(stream, report, list(failed.values()))))
    for reason in failed.values():
        complain(PROG, reason)
    if failed:
        complain(PROG, f"{len(failed)} pictures failed, {process.measured.samples} outputs made")
    return 1 if failed else 0


def _as_data(stream: Runstream, report: RunReport, failed: list[str]) -> dict[str, Any]:
    (process,) = report.processes
    return {
        "backend": stream.backend,
        "model": str(stream.network.onnx),
        "save_dir": str(stream.job.save_dir),
        "outputs": process.measured.samples,
        "already_finished": len(stream.pictures) - len(stream.todo),
        "failed": failed,
        "seconds": round(report.seconds, 6),
        "outputs_per_s": round(process.measured.samples / report.seconds, 4),
    }


if __name__ == "__main__":
    sys.exit(main())
