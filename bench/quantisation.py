"""``python -m bench.quantisation``: what float16 and int8 cost in AP and gain in speed, all calibrate modes compared.

Runs the drivers, as a user would, on a network and a COCO folder: convert-image once, then for each build vamc, vamp
and eval. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrnetae.files.vamc_config import CALIBRATE_MODES
from hrnetae.tools import cli

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
BUILDS = (("fp32", "max"), ("fp16", "max"), *(("int8", mode) for mode in CALIBRATE_MODES))


@dataclass(frozen=True)
class Setup:
    """The network, its input, the data, and how much to calibrate on."""

    model: Path
    input_name: str
    side: int
    data_root: Path
    pictures: Path
    calibration: int
    per_channel: bool


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.quantisation", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--model", type=Path, required=True, help="the network, ONNX")
    parser.add_argument("--data_root", type=Path, required=True, help="val2017/ and person_keypoints_val2017.json")
    parser.add_argument("--input_name", default="input.1")
    parser.add_argument("--side", type=int, default=512, help="of the network's input")
    parser.add_argument("--calibration", type=int, default=50, help="pictures to calibrate on, the first of val2017/")
    parser.add_argument("--per_tensor", action="store_true", help="one scale per weight tensor in place of channels")
    parser.add_argument("--work", type=Path, help="keep everything in this folder")
    args = parser.parse_args(argv)
    setup = Setup(
        model=args.model.resolve(),
        input_name=args.input_name,
        side=args.side,
        data_root=args.data_root.resolve(),
        pictures=args.data_root.resolve() / "val2017",
        calibration=args.calibration,
        per_channel=not args.per_tensor,
    )
    with tempfile.TemporaryDirectory() as folder:
        compare(setup, args.work or Path(folder))
    return 0


def compare(setup: Setup, work: Path) -> None:
    """Build, run and score every variant; a row of the table as soon as it is known."""
    work.mkdir(parents=True, exist_ok=True)
    datalist, params = work / "datalist.txt", work / "vdsp.json"
    run("convert-image", "--image_dir", setup.pictures, "--save_dir", work / "inputs", "--datalist", datalist)
    params.write_text(json.dumps(vdsp(setup.side)))
    print("| build | AP | loss | AR | network images/s | MB |\n| --- | ---: | ---: | ---: | ---: | ---: |", flush=True)
    best = None
    for dtype, mode in BUILDS:
        name = dtype if dtype != "int8" else f"{dtype} {mode}"
        build_file = work / f"{name.replace(' ', '_')}.yaml"
        build_file.write_text(json.dumps(vamc(setup, dtype, mode, work)))  # JSON is YAML, too
        built = run("vamc", "build", build_file, "--json")
        outputs = work / f"out_{build_file.stem}"
        speed = run(
            *("vamp", "-m", built["folder"], "--vdsp_params", params, "--datalist", datalist, "--path_output", outputs),
            "--json",
        )
        found = run(
            *("eval", "--data_root", setup.data_root, "--output_data", outputs, "--datalist_txt", datalist, "--json")
        )["metrics"]
        best = found["AP"] if best is None else best
        row = (name, *(f"{x:.4f}" for x in (found["AP"], best - found["AP"], found["AR"])))
        rest = (f"{speed['runs'][0]['throughput_qps']:.1f}", f"{built['model_bytes'] / 1e6:.1f}")
        print(f"| {' | '.join((*row, *rest))} |", flush=True)


def vamc(setup: Setup, dtype: str, mode: str, work: Path) -> dict[str, Any]:
    """The build file of one variant: the page's own, with another network and folder."""
    return {
        "name": f"{setup.model.stem}_{dtype}_{mode}",
        "frontend": {
            "checkpoint": str(setup.model),
            "shape": {setup.input_name: [1, 3, setup.side, setup.side]},
        },
        "backend": {
            "type": "tvm_vacc",
            "dtype": dtype,
            "quantize": {"calibrate_mode": mode, "quantize_per_channel": setup.per_channel},
        },
        "dataset": {
            "path": str(setup.pictures),
            "sampler": {"suffix": "jpg", "get_data_num": setup.calibration},
            "process_ops": [
                {"type": "DecodeImage"},
                {"type": "Resize", "size": [setup.side, -1], "adaptive_side": "long"},
                {"type": "Pad", "pad_to_square": True},
                {"type": "Normalize", "mean": MEAN, "std": STD},
                {"type": "ToTensor"},
            ],
        },
        "workspace": {"path": str(work / "models")},
    }


def vdsp(side: int) -> dict[str, Any]:
    """Preprocessing of the network's input: a centred letterbox, RGB."""
    return {
        "OpType": "FUSION_OP_RGB_LETTERBOX_CVTCOLOR_NORM_TENSOR",
        "OpConfig": {
            "OimageWidth": side,
            "OimageHeight": side,
            "IimageFormat": "RGB_PLANAR",
            "ColorCvtCode": "NO_CHANGE",
            "ResizeType": "BILINEAR_CV",
            "NormaType": "DIV255_MINUSMEAN_DIVSTD",
            "Mean": MEAN,
            "Std": STD,
        },
    }


def run(*arguments: object) -> Any:
    """A verb of the command; what it prints as JSON. SystemExit where it fails, which has said why on stderr."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        code = cli.main([str(argument) for argument in arguments])
    if code:
        raise SystemExit(code)
    printed = text.getvalue()
    return json.loads(printed) if printed.startswith("{") else printed


if __name__ == "__main__":
    sys.exit(main())
