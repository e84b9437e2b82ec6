"""``hrnetae demo``: bundled network outputs, written as an accelerator's runtime leaves them, and evaluated."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hrnetae.evaluation.evaluate import EvalJob, EvalReport, evaluate
from hrnetae.evaluation.synthetic import demo_ground_truth, load_demo
from hrnetae.files import DataError, atomic_write, write_outputs
from hrnetae.tools.options import Parser, complain

PROG = "hrnetae demo"
MARK = ".hrnetae-demo"  # a folder that holds this file was made by the demo and may be written over by it
OUTPUTS = "vamp"
DATALIST = "datalist.txt"
GROUND_TRUTH = "person_keypoints_val2017.json"
RESULTS = "results.json"


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(
        PROG,
        "Writes a folder of recorded network outputs with its datalist and ground truth, runs the evaluation of "
        "`hrnetae eval` on it, and prints the metrics and the time per picture. The outputs are synthetic: drawn "
        "people, bundled with the package.",
        f"{PROG} --out demo_output",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        default=Path("demo_output"),
        help="folder to write: new, empty, or an earlier demo's",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Write and evaluate. Returns 0, or 1 where that fails (one line on stderr); a usage error exits with 2."""
    args = build_parser().parse_args(argv)
    try:
        job = write_folder(args.out)
        report = evaluate(job)
    except (DataError, OSError) as error:
        complain(PROG, error)
        return 1
    print(json.dumps({"synthetic": _summary(report)}) if args.json else _as_text(report, job))
    return 0


def write_folder(folder: Path) -> EvalJob:
    """Write the demo's files into ``folder`` and say how to evaluate them.

    vamp/output_000000.npz ... (a picture's output, then its flip's, and so on), datalist.txt with the names of the
    inputs that they belong to, and the ground truth. What an earlier demo left there is replaced.
    Errors: DataError, before anything is written, for a folder with other content; OSError.
    """
    _claim(folder)
    for stale in (folder / OUTPUTS).glob("output_*.npz"):
        stale.unlink()
    truth = demo_ground_truth()
    inputs: list[str] = []
    for image, scene in zip(truth["images"], load_demo(), strict=True):
        stem = image["file_name"].partition(".")[0]
        for name, output in ((stem, scene.output), (f"{stem}_flip", scene.flipped)):
            stages = output if isinstance(output, tuple) else (output,)
            write_outputs(folder / OUTPUTS / f"output_{len(inputs):06d}.npz", stages)
            inputs.append(f"data_npz/{name}.npz\n")
    _write_text(folder / DATALIST, "".join(inputs))
    _write_text(folder / GROUND_TRUTH, json.dumps(truth) + "\n")
    return EvalJob(
        output_data=folder / OUTPUTS,
        datalist=folder / DATALIST,
        data_root=folder,
        out=folder / RESULTS,
    )


def _claim(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder}: a file, expected a folder to write the demo to")
    if folder.is_dir() and not (folder / MARK).exists():
        strange = sorted(path.name for path in folder.iterdir())
        if strange:
            raise DataError(f"{folder}: holds {strange[0]}, expected a new or empty folder, or one that the demo made")
    _write_text(folder / MARK, "hrnetae demo writes over this folder.\n")


def _write_text(path: Path, text: str) -> None:
    with atomic_write(path) as stream:
        stream.write(text.encode())


def _summary(report: EvalReport) -> dict[str, Any]:
    decoding = report.seconds["decoding"]
    return {
        "AP": report.metrics["AP"],
        "AR": report.metrics["AR"],
        "images": report.images,
        "persons": report.persons,
        "decode_images_per_s": round(report.images / decoding, 1),
        "decode_ms_per_image": round(1e3 * decoding / report.images, 4),
        "seconds": {name: round(value, 6) for name, value in report.seconds.items()},
    }


def _as_text(report: EvalReport, job: EvalJob) -> str:
    summary = _summary(report)
    command = f"hrnetae eval --data_root {job.data_root} --output_data {job.output_data} --datalist_txt {job.datalist}"
    lines = [f"{name:<5} {value:7.4f}" for name, value in report.metrics.items()]
    lines += [
        "",
        f"{report.images} drawn pictures with flip test, {report.persons} persons found",
        f"decoding: {summary['decode_ms_per_image']:.2f} ms an image, {summary['decode_images_per_s']:.0f} images/s "
        "on one thread",
        f"results: {job.out}",
        f"the same evaluation: {command}",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
