"""``hrnetae predict``: pictures, a video or a camera in, people out."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hrnetae.files.errors import DataError
from hrnetae.files.frames import Frame
from hrnetae.files.pictures import silence_opencv
from hrnetae.files.video import CODEC
from hrnetae.poses import Poses
from hrnetae.runtime.prediction import Prediction, PredictJob, PredictReport
from hrnetae.runtime.sessions import CPU
from hrnetae.tools.options import Parser, add_decode_params, complain, decode_params, finite, positive
from hrnetae.tools.progress import progress_bar

PROG = "hrnetae predict"
_EXAMPLE = f"{PROG} street.mp4 -m deploy_weights/hrnet/mod --out found --show_fps"
_INTERRUPTED = 130  # as tools/cli.py
_LEAST_SCORE = 0.2


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(
        PROG,
        "Finds the people in a picture, a folder of pictures, a video or what a camera sees. With --out it writes "
        "results.json (COCO results), images.json (the pictures, without annotations) and the pictures or the video "
        "with the people drawn. Ctrl-C ends it, and what is done by then is kept. A picture that cannot be read is "
        "left out and named at the end (exit code 1).",
        _EXAMPLE,
    )
    _add_data(parser)
    _add_running(parser)
    add_decode_params(parser)
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("data").add_argument
    add(
        "source",
        metavar="IMAGE|VIDEO|DIR|CAMERA",
        help="a picture, a video, a folder of pictures; or a camera: its number (0 is the first), /dev/video0, or an "
        "address (rtsp://...)",
    )
    add(
        "-m",
        "--model",
        metavar="PREFIX",
        required=True,
        help="the model: a folder that vamc built, its mod, or an ONNX file",
    )
    add(
        "--vdsp_params",
        type=Path,
        metavar="FILE",
        help="preprocessing parameters (JSON); else a centred letterbox and ImageNet's mean and deviation",
    )
    add("--out", type=Path, metavar="DIR", help="write results and drawn pictures there; else nothing is written")
    add("--no_draw", action="store_true", help="with --out: write the results alone")
    add("--min_score", type=finite, default=_LEAST_SCORE, metavar="X", help="people below it are not drawn")
    add("--show_fps", action="store_true", help="write the rate into drawn pictures, and tell what each step took")
    add("--codec", default=CODEC, metavar="FOURCC", help="of the video that is written (mp4)")
    add("--max_images", type=positive, metavar="N", help="end after so many pictures or frames")
    add("--json", action="store_true", help="print one JSON object")


def _add_running(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("network").add_argument
    add("--no_flip", action="store_true", help="leave the mirrored picture out: in half the time, less exact")
    add("--provider", default=CPU, metavar="NAME", help="an installed ONNX Runtime execution provider, as cpu or cuda")
    add("--device_id", type=int, metavar="N", help="the accelerator, where there are several")
    add("--threads", type=positive, metavar="N", help="threads of the network; else one per processor")


def main(argv: Sequence[str] | None = None) -> int:
    """Predict. Returns 0, 1 for bad data, also a single picture, 130 after ctrl-c; a usage error exits with 2."""
    parser = build_parser()
    args = parser.parse_args(argv)
    job = _job(parser, args)
    try:
        silence_opencv()  # what it cannot open or decode is named in one line of ours
        prediction = Prediction(job)
        for warning in prediction.estimator.warnings:
            complain(PROG, f"warning: {warning}")
        with progress_bar("image") as bar:
            report = prediction.run(None if args.json or bar else _tell, bar)
    except BrokenPipeError:  # of our own output; cli.py knows what to do
        raise
    except (DataError, OSError) as error:
        complain(PROG, error)
        return 1
    print(json.dumps(_as_data(prediction, report)) if args.json else _as_text(prediction, report))
    return _code(prediction, report)


def _tell(frame: Frame, poses: Poses) -> None:
    """A line per picture, where no progress bar would be torn by it."""
    name = frame.name.encode("utf-8", "backslashreplace").decode()  # file names need not be UTF-8, stdout is
    print(f"{name} ===> {_count(len(poses), 'person', 'people')}", flush=True)


def _job(parser: argparse.ArgumentParser, args: argparse.Namespace) -> PredictJob:
    if len(args.codec) != 4:
        parser.error(f"argument --codec: {args.codec!r}, expected four letters, as {CODEC}")
    return PredictJob(
        source=args.source,
        model=args.model,
        vdsp_params=args.vdsp_params,
        params=decode_params(parser, args),
        flip=not args.no_flip,
        provider=args.provider,
        threads=args.threads,
        device=args.device_id,
        out=args.out,
        drawn=not args.no_draw,
        min_score=args.min_score,
        show_fps=args.show_fps,
        most=args.max_images,
        codec=args.codec,
        kept=args.json,
    )


def _code(prediction: Prediction, report: PredictReport) -> int:
    """Says on stderr what did not go well, and returns the exit code."""
    for reason in report.failed:
        complain(PROG, reason)
    if report.missing > 0:
        complain(PROG, f"warning: {prediction.job.source}: {report.missing} frames fewer than it announces")
    if report.interrupted:
        done = _count(report.pictures, "image", "images")
        whole = "" if prediction.total is None else f" of {prediction.total}"
        kept = f", kept in {prediction.job.out}" if prediction.job.out else ""
        complain(PROG, f"interrupted: {done}{whole} done{kept}")
        return _INTERRUPTED
    if report.failed:
        complain(PROG, f"{_count(len(report.failed), 'picture', 'pictures')} failed, {report.pictures} done")
        return 1
    if not report.pictures:
        complain(PROG, f"{prediction.job.source}: no frame could be read, expected a video or a camera")
        return 1
    return 0


def _as_text(prediction: Prediction, report: PredictReport) -> str:
    seconds = report.seconds
    people = _count(report.persons, "person", "people")
    images = _count(report.pictures, "image", "images")
    where = f": {prediction.files.folder}" if prediction.files else ""
    lines = [f"{people} in {images}, {_rate(report):.2f} images/s{where}"]
    if prediction.job.show_fps:
        steps = {name: value for name, value in asdict(seconds).items() if name != "total"}
        count = max(1, report.pictures)
        lines.append(", ".join(f"{name} {1000 * value / count:.1f} ms" for name, value in steps.items()) + " an image")
    return "\n".join(lines)


def _as_data(prediction: Prediction, report: PredictReport) -> dict[str, Any]:
    """The results themselves only where no file has them."""
    files = prediction.files
    results: dict[str, Any]
    if files is None:
        results = {"image_list": report.images, "results": list(report.results)}
    else:
        drawn = str(files.video or files.folder) if files.drawn else None
        results = {"results_file": str(files.results), "images_file": str(files.images), "drawn": drawn}
    return {
        "source": prediction.job.source,
        "model": str(prediction.estimator.session.onnx),
        "backend": prediction.estimator.backend,
        "flip": prediction.job.flip,
        "images": report.pictures,
        "persons": report.persons,
        "failed": report.failed,
        "interrupted": report.interrupted,
        "seconds": {name: round(value, 6) for name, value in asdict(report.seconds).items()},
        "images_per_s": round(_rate(report), 4),
        **results,
    }


def _rate(report: PredictReport) -> float:
    return report.pictures / report.seconds.total if report.seconds.total else 0.0


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


if __name__ == "__main__":
    sys.exit(main())
