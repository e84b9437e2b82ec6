"""``hrnetae export``: a checkpoint of an HRNet or HigherHRNet for associative embedding in, an ONNX model out."""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hrnetae.files.errors import DataError
from hrnetae.files.lock import lock_file
from hrnetae.tools.options import Parser, complain, positive, whole_to

PROG = "hrnetae export"
UNTRAINED = ("w32", "w48", "higher_w32", "higher_w48")
_EXAMPLE = f"{PROG} hrnet_w32_coco_512x512.pth --shape 1 3 512 512 --verify --output-file hrnet.onnx"
_JOINTS = 1000  # the largest sets of whole bodies have a few hundred
_SIDE = 8192
_PIXELS = 1 << 25  # of the whole batch: 128 pictures of 512 x 512
_SEED = (1 << 63) - 1  # what torch's generator takes
_TORCH = (2, 6)  # the first whose weights-only reading is sound (CVE-2025-32434)


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(
        PROG,
        "Writes a checkpoint of an HRNet or HigherHRNet for associative embedding as an ONNX model. Which network it "
        "is (width, joints, blocks) is read from the checkpoint. Files of mmpose 0.x and 1.x, of the authors' own code "
        "and of what builds on it are taken. Needs torch: the extra [export].",
        _EXAMPLE,
    )
    add = parser.add_argument
    add(
        "checkpoint",
        nargs="*",
        type=Path,
        metavar="CHECKPOINT",
        help="the .pth file; a mmpose config (.py) before it is not needed, and not read",
    )
    add(
        "--shape",
        type=int,
        nargs="+",
        metavar="N",
        default=[1, 3, 512, 512],
        help="of the input: batch, 3, height, width; the last two divisible by 32",
    )
    add("--output_file", type=Path, metavar="FILE", default=Path("hrnet.onnx"), help="the ONNX model to write")
    add("--verify", action="store_true", help="compare ONNX Runtime's outputs with torch's before the file is written")
    add(
        "--input_name",
        type=_input_name,
        metavar="NAME",
        default="input.1",
        help="of the model's input, as a build file calls it",
    )
    add("--opset", "--opset_version", type=positive, metavar="N", default=17, help="ONNX operator set, 11 to 20")
    add("--dynamic_batch", action="store_true", help="leave the number of pictures open; --shape's is only an example")
    add("--random_init", choices=UNTRAINED, help="in place of a checkpoint: an untrained network, for benchmarks")
    add(
        "--joints",
        type=whole_to(_JOINTS),
        metavar="N",
        help="joints K, where they cannot be told from the checkpoint; 17 for --random_init",
    )
    add("--seed", type=whole_to(_SEED, 0), metavar="N", default=0, help="of the weights for --random_init")
    add("--json", action="store_true", help="print one JSON object")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Export. Returns 0, or 1 for bad data (one line on stderr); a usage error exits with 2."""
    parser = build_parser()
    args = parser.parse_intermixed_args(argv)  # options may stand between a config and the checkpoint
    checkpoint = _checkpoint(parser, args)
    _check_size(parser, args.shape)
    try:
        facts = _export(args, checkpoint)
    except (DataError, OSError) as error:
        complain(PROG, error)
        return 1
    if checkpoint is not None and "udp" in checkpoint.name.lower():
        complain(PROG, f"note: {checkpoint.name} sounds UDP-trained; the weights do not tell: decode with --use_udp")
    print(json.dumps(facts) if args.json else _as_text(facts))
    return 0


def _export(args: argparse.Namespace, checkpoint: Path | None) -> dict[str, Any]:
    _require_torch()
    from hrnetae.networks.export import ExportJob, export

    job = ExportJob(
        output=args.output_file,
        checkpoint=checkpoint,
        random_init=args.random_init,
        joints=args.joints,
        seed=args.seed,
        shape=tuple(args.shape),
        input_name=args.input_name,
        opset=args.opset,
        dynamic_batch=args.dynamic_batch,
        verify=args.verify,
    )
    with lock_file(args.output_file):
        return export(job).to_dict()


def _checkpoint(parser: argparse.ArgumentParser, args: argparse.Namespace) -> Path | None:
    """The checkpoint among the arguments; None for --random_init."""
    paths: list[Path] = args.checkpoint
    if args.random_init is not None:
        if paths:
            parser.error(f"argument --random_init: not together with a checkpoint ({paths[0]})")
        return None
    if not paths:
        parser.error("one of the arguments CHECKPOINT --random_init is required")
    if len(paths) > 2 or (len(paths) == 2 and paths[0].suffix != ".py"):
        parser.error(f"argument CHECKPOINT: {len(paths)} files, expected one")
    return paths[-1]


def _input_name(text: str) -> str:
    """An argparse type: a name that the exporter would not have to change."""
    if not text.strip() or not text.isprintable() or text.isdigit():  # torch takes no number for a name
        raise argparse.ArgumentTypeError(f"{text!r}, expected a name")
    if re.fullmatch(r"output_\d+", text):
        raise argparse.ArgumentTypeError(f"{text!r}, expected another name: so the model's outputs are called")
    return text


def _check_size(parser: argparse.ArgumentParser, shape: Sequence[int]) -> None:
    """Usage error for an input that no machine takes; what the network does not take is told by the export."""
    if len(shape) != 4 or min(shape) < 1:
        return
    batch, _, height, width = shape
    if max(height, width) > _SIDE or math.prod((batch, height, width)) > _PIXELS:
        given = " ".join(map(str, shape))
        parser.error(f"argument --shape: {given}, expected sides up to {_SIDE} and at most {_PIXELS} pixels in all")


def _require_torch() -> None:
    try:
        import torch
    except ImportError:
        raise DataError("torch is not installed, expected the extra: pip install 'hrnetae[export]'") from None
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < _TORCH:
        raise DataError(
            f"torch {torch.__version__}, expected {'.'.join(map(str, _TORCH))} or newer: older ones can be made to run "
            "code by a checkpoint (CVE-2025-32434)"
        )


def _as_text(facts: dict[str, Any]) -> str:
    height, width = facts["shape"][2:]
    lines = [
        f"{facts['network']}, {facts['joints']} joints, {facts['tags']} tag maps",
        f"{facts['parameters'] / 1e6:.2f} M parameters, {_amount(facts['multiply_adds'])} multiply-adds "
        f"at {width} x {height}",
        f"Successfully exported ONNX model: {facts['model']}",
    ]
    if facts["verified"]:
        lines += [
            "The numerical values are same between Pytorch and ONNX",
            f"largest difference {facts['largest_difference']:.2e}, largest value {facts['largest_value']:.3g}",
        ]
    return "\n".join(lines)


def _amount(count: int) -> str:
    return f"{count / 1e9:.1f} G" if count >= 1e9 else f"{count / 1e6:.1f} M"


if __name__ == "__main__":
    sys.exit(main())
