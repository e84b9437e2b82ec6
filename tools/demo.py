"""``hrnetae demo``: the whole flow on drawn pictures, with the small network that the package carries."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hrnetae.files import DataError, atomic_write
from hrnetae.files.lock import LOCK_NAME, lock_folder
from hrnetae.files.pictures import require_cv2
from hrnetae.tools.demo_flow import (
    CALIBRATION_SEEDS,
    DTYPES,
    OWN_FOLDERS,
    PICTURES,
    Folder,
    Variant,
    convert_pictures,
    draw_people,
    draw_pictures,
    run_variant,
    write_settings,
)
from hrnetae.tools.options import Parser, complain, positive

PROG = "hrnetae demo"
MARK = ".hrnetae-demo"  # a folder that holds this file was made by the demo and may be written over by it


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(
        PROG,
        "Draws pictures of jointed figures with their ground truth and takes them through the whole "
        "flow: convert-image, vamc build (float32, float16, int8 calibrated on other drawings), vamp, eval. Prints one "
        "table and writes the pictures with the people drawn. Nothing is downloaded.",
        f"{PROG} --out demo_output",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        default=Path("demo_output"),
        help="folder to write: new, empty, or an earlier demo's",
    )
    parser.add_argument("--pictures", type=positive, metavar="N", default=PICTURES, help="how many to draw")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the flow. Returns 0, or 1 where that fails (one line on stderr); a usage error exits with 2."""
    args = build_parser().parse_args(argv)
    folder = Folder(args.out)
    start = time.perf_counter()
    try:
        with lock_folder(folder.root):
            variants = run(folder, args.pictures)
    except (DataError, OSError) as error:
        complain(PROG, error)
        return 1
    summary = {dtype: summarise(variant) for dtype, variant in variants.items()}
    if args.json:
        print(json.dumps(summary))
    else:
        print(as_text(folder, args.pictures, summary, time.perf_counter() - start))
    return 0


def run(folder: Folder, pictures: int) -> dict[str, Variant]:
    """All steps; what they do is told on stderr. Errors: DataError, OSError."""
    require_cv2()  # before anything is claimed
    claim(folder)
    _tell(f"drawing {pictures} pictures, and {len(CALIBRATION_SEEDS)} to calibrate with")
    draw_pictures(folder, pictures)
    _tell("convert-image")
    convert_pictures(folder)
    write_settings(folder)
    variants = {}
    for dtype in DTYPES:
        _tell(f"{dtype}: vamc build, vamp, eval")
        variants[dtype] = run_variant(folder, dtype)
        draw_people(folder, dtype, variants[dtype].evaluation.results)
    return variants


def claim(folder: Folder) -> None:
    """Make the folder the demo's own, without what an earlier demo left; other files in it stay.

    Errors: DataError for a folder with other content that is not the demo's yet; nothing is changed then.
    """
    root = folder.root
    if root.exists() and not root.is_dir():
        raise DataError(f"{root}: a file, expected a folder to write the demo to")
    if root.is_dir() and not (root / MARK).exists():
        strange = sorted(path.name for path in root.iterdir() if path.name != LOCK_NAME)
        if strange:
            raise DataError(f"{root}: holds {strange[0]}, expected a new or empty folder, or one that the demo made")
    with atomic_write(root / MARK) as stream:
        stream.write(b"hrnetae demo writes over this folder.\n")
    for name in OWN_FOLDERS:
        if (root / name).is_dir():
            shutil.rmtree(root / name)


def summarise(variant: Variant) -> dict[str, Any]:
    """AP and AR in 0..1; inputs (mirrored ones too) that the network took, and pictures that were decoded, a second."""
    report = variant.evaluation
    return {
        "AP": report.metrics["AP"],
        "AR": report.metrics["AR"],
        "network_images_per_s": round(variant.run.throughput, 1),
        "decode_images_per_s": round(report.images / report.seconds["decoding"], 1),
        "model_bytes": variant.model.model_bytes,
    }


def as_text(folder: Folder, pictures: int, summary: dict[str, dict[str, Any]], seconds: float) -> str:
    """The table, and where to look."""
    head = f"{'':6}{'AP':>8}{'AR':>8}{'network, inputs/s':>20}{'decoding, images/s':>20}{'size':>10}"
    lines = [head]
    for dtype, one in summary.items():
        lines.append(
            f"{dtype:6}{one['AP']:8.4f}{one['AR']:8.4f}{one['network_images_per_s']:20.1f}"
            f"{one['decode_images_per_s']:20.0f}{one['model_bytes'] / 1e6:7.2f} MB"
        )
    return "\n".join(
        [
            *lines,
            "",
            f"{pictures} drawn pictures with flip test, in {seconds:.0f} s; with the people drawn: "
            f"{folder.drawn(DTYPES[0])}",
            "one step of it again, by hand:",
            f"  hrnetae eval --data_root {folder.root} --output_data {folder.outputs(DTYPES[-1])} "
            f"--datalist_txt {folder.datalist}",
        ]
    )


def _tell(what: str) -> None:
    print(f"{PROG}: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
