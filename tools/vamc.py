"""``hrnetae vamc``: a build file in, a model folder out."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from hrnetae.files.errors import DataError
from hrnetae.files.vamc_config import read_vamc_config
from hrnetae.runtime.build import BuildReport, build
from hrnetae.runtime.vacc import hand_over, vendor_tool
from hrnetae.tools.options import Parser, at_once, complain
from hrnetae.tools.progress import progress_bar

PROG = "hrnetae vamc"
BACKENDS = ("onnxruntime", "vacc")
_ACTIONS = ("build", "compile")
# What the help of the vendor's program is asked for. Its text is not public, but two things cannot well be missing: the
# verb that all pages use, and either a usage line of that program's name or the accelerator's software by its name.
_MARKS = (r"\bcompile\b", r"usage:\s*(\S*/)?vamc\b|\bvacc\b|\btvm_vacc\b|\bvastai")


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(
        PROG,
        "Builds a network as a build file says: float32, float16, or int8 with calibration pictures. The model goes to "
        "the folder that the file names: mod.onnx and mod.json. Paths in the file are relative to the current folder.",
        f"{PROG} build mmpose_hrnetpose.yaml",
    )
    add = parser.add_argument
    add("action", choices=_ACTIONS, help="the same, both stand on the pages")
    add("config", type=Path, metavar="CONFIG.yaml", help="the build file, of either schema")
    add("--backend", choices=BACKENDS, default=BACKENDS[0], help="what builds it; vacc: the vendor's own vamc")
    add("--out", type=Path, metavar="DIR", help="model folder to write, in place of the one that the file names")
    add("--threads", type=at_once, metavar="N", help="threads for calibration; all processors where not given")
    add("--resume", action="store_true", help="keep a model of the same making, or go on where its calibration stopped")
    add("--json", action="store_true", help="print one JSON object")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Build. Returns 0; 1 for bad data (one line on stderr), also where calibration pictures had to be left out."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.backend == "vacc" and (args.out or args.threads or args.resume or args.json):
        parser.error(
            "--out, --threads, --resume and --json: not with --backend vacc, whose program has options of its own"
        )
    try:
        if args.backend == "vacc":
            return _by_vendor(args.action, args.config)
        config = read_vamc_config(args.config)
        for warning in config.warnings:
            complain(PROG, f"warning: {warning}")
        with progress_bar("picture") as progress:
            report = build(config, args.out, args.threads, progress, args.resume)
    except (DataError, OSError) as error:
        complain(PROG, error)
        return 1
    for warning in report.warnings[len(config.warnings) :]:
        complain(PROG, f"warning: {warning}")
    print(json.dumps(report.to_dict()) if args.json else _as_text(report))
    for line in report.bad:
        complain(PROG, f"left out: {line}")
    return 1 if report.bad else 0


def _by_vendor(action: str, config: Path) -> int:
    tool = vendor_tool("vamc", _MARKS)
    if tool is None:
        raise DataError("--backend vacc: the vendor's vamc is not on PATH, expected it installed and activated")
    return hand_over(tool, [action, str(config)])


def _as_text(report: BuildReport) -> str:
    manifest = report.manifest
    lines = [f"{report.folder}: {manifest.name}, {manifest.dtype}, {report.model_bytes / 1e6:.1f} MB"]
    for title, tensors in (("input", manifest.inputs), ("output", manifest.outputs)):
        lines += [f"  {title} {one.name}: {list(one.shape)} {one.dtype}" for one in tensors]
    if manifest.calibration is not None:
        how = manifest.calibration
        channels = "per channel" if how["per_channel"] else "per tensor"
        lines.append(f"  calibrated on {how['pictures']} pictures, {how['mode']}, weights {channels}")
    lines.append(f"  runs: {manifest.execution}")
    if report.kept:
        lines.append("kept: it was there already, made from the same network, settings and pictures")
    else:
        lines.append(f"built for {manifest.backend} in {report.seconds:.1f} s")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
