"""``python -m bench.quantisation``: what float16 and int8 cost in AP and gain in speed, all calibrate modes compared.

Runs the drivers, as a user would, on a network and a COCO folder: convert-image once, then for each build vamc, vamp
and eval. Prints a Markdown table. With --speed only the networks are timed, one after the other in turn, in ONNX
Runtime itself.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hrnetae.decoder import available_processors
from hrnetae.files.vamc_config import CALIBRATE_MODES
from hrnetae.tools import cli

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
ROUNDS = 9
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
    parser.add_argument("--speed", action="store_true", help="time fp32, fp16 and int8 (max), no AP")
    parser.add_argument("--threads", type=int, default=available_processors(), help="of ONNX Runtime, for --speed")
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
        work = args.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        if args.speed:
            time_networks(setup, work, args.threads)
        else:
            compare(setup, work)
    return 0


def compare(setup: Setup, work: Path) -> None:
    """Build, run and score every variant; a row of the table as soon as it is known."""
    datalist, params = work / "datalist.txt", work / "vdsp.json"
    run("convert-image", "--image_dir", setup.pictures, "--save_dir", work / "inputs", "--datalist", datalist)
    params.write_text(json.dumps(vdsp(setup.side)))
    print("| build | AP | loss | AR | network images/s | MB |\n| --- | ---: | ---: | ---: | ---: | ---: |", flush=True)
    best = None
    for dtype, mode in BUILDS:
        name = dtype if dtype != "int8" else f"{dtype} {mode}"
        built = build(setup, dtype, mode, work)
        outputs = work / f"out_{dtype}_{mode}"
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


def time_networks(setup: Setup, work: Path, threads: int) -> None:
    """Time one call of each build, in turn, so that what else the machine does falls on all of them alike."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    feeds = {setup.input_name: np.random.default_rng(0).standard_normal((1, 3, setup.side, setup.side), np.float32)}
    sessions = {}
    for dtype, mode in BUILDS[:3]:
        model = build(setup, dtype, mode, work)["model"]
        sessions[dtype] = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        sessions[dtype].run(None, feeds)
    seconds: dict[str, list[float]] = {dtype: [] for dtype in sessions}
    for _ in range(ROUNDS):
        for dtype, session in sessions.items():
            start = time.perf_counter()
            session.run(None, feeds)
            seconds[dtype].append(time.perf_counter() - start)
    print(f"{threads} threads, {has_vnni()}\n\n| build | ms an image | times fp32 |\n| --- | ---: | ---: |")
    for dtype, found in seconds.items():
        ratio = np.median(np.array(seconds["fp32"]) / np.array(found))
        print(f"| {dtype} | {1e3 * min(found):.1f} | {ratio:.2f} |")


def has_vnni() -> str:
    """What makes 8-bit products fast on x86, and whether it is here."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return "VNNI: unknown"
    found = [flag for flag in ("avx512_vnni", "avx_vnni") if flag in flags]
    return f"VNNI: {', '.join(found)}" if found else "no VNNI: 8-bit products are slower than they could be"


def build(setup: Setup, dtype: str, mode: str, work: Path) -> Any:
    """Build one variant; what vamc says of it."""
    build_file = work / f"{dtype}_{mode}.yaml"
    build_file.write_text(json.dumps(vamc(setup, dtype, mode, work)))  # JSON is YAML, too
    return run("vamc", "build", build_file, "--json")


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
