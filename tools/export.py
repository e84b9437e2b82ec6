"""``hrnetae export``: a checkpoint of an HRNet or HigherHRNet for associative embedding in, an ONNX model out."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hrnetae.files.atomic import atomic_write, check_writable
from hrnetae.files.errors import DataError
from hrnetae.tools.options import Parser, complain, positive

if TYPE_CHECKING:
    from hrnetae.networks.hrnet import PoseNetwork
    from hrnetae.networks.onnx_export import Comparison

PROG = "hrnetae export"
UNTRAINED = ("w32", "w48", "higher_w32", "higher_w48")
_EXAMPLE = f"{PROG} hrnet_w32_coco_512x512.pth --shape 1 3 512 512 --verify --output-file hrnet.onnx"
_TORCH = (2, 6)  # the first whose weights-only reading is sound (CVE-2025-32434)


@dataclass(frozen=True)
class Export:
    """What was exported, as --json prints it and the text tells it. Counts are those of one picture."""

    network: PoseNetwork
    path: Path
    shape: tuple[int, int, int, int]
    outputs: tuple[tuple[int | str, ...], ...]  # a name stands for a number that is left open
    multiply_adds: int
    parameters: int
    comparison: Comparison | None

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and names, ready for JSON."""
        architecture = self.network.architecture
        verified = self.comparison is not None
        return {
            "network": architecture.name,
            "joints": architecture.joints,
            "tags": architecture.tags,
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "shape": list(self.shape),
            "outputs": [list(shape) for shape in self.outputs],
            "model": str(self.path),
            "verified": verified,
            "largest_difference": self.comparison.difference if self.comparison is not None else None,
        }


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
    add("--input_name", metavar="NAME", default="input.1", help="of the model's input, as a build file calls it")
    add("--opset", "--opset_version", type=positive, metavar="N", default=17, help="ONNX operator set, 11 to 20")
    add("--dynamic_batch", action="store_true", help="leave the number of pictures open; --shape's is only an example")
    add("--random_init", choices=UNTRAINED, help="in place of a checkpoint: an untrained network, for benchmarks")
    add(
        "--joints",
        type=positive,
        metavar="N",
        help="joints K, where they cannot be told from the checkpoint; 17 for --random_init",
    )
    add("--seed", type=int, metavar="N", default=0, help="of the weights for --random_init")
    add("--json", action="store_true", help="print one JSON object")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Export. Returns 0, or 1 for bad data (one line on stderr); a usage error exits with 2."""
    parser = build_parser()
    args = parser.parse_args(argv)
    checkpoint = _checkpoint(parser, args)
    try:
        export = _run(args, checkpoint)
    except (DataError, OSError) as error:
        complain(PROG, error)
        return 1
    if checkpoint is not None and "udp" in checkpoint.name.lower():
        complain(PROG, f"note: {checkpoint.name} sounds UDP-trained; the weights do not tell: decode with --use_udp")
    print(json.dumps(export.to_dict()) if args.json else _as_text(export))
    return 0


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


def _run(args: argparse.Namespace, checkpoint: Path | None) -> Export:
    _require_torch()
    from hrnetae.networks import onnx_export

    shape = onnx_export.check_shape(tuple(args.shape))
    onnx_export.check_opset(args.opset)
    check_writable(args.output_file)
    network = _network(args, checkpoint)
    model = onnx_export.to_onnx(
        network, shape, input_name=args.input_name, opset=args.opset, dynamic_batch=args.dynamic_batch
    )
    comparison = onnx_export.compare(network, model, shape) if args.verify else None
    if comparison is not None and not comparison.same:
        raise DataError(
            f"{args.output_file}: not written, as ONNX Runtime's outputs differ from torch's by "
            f"{comparison.difference:.2e}, expected at most {onnx_export.TOLERANCE * comparison.scale:.2e}"
        )
    with atomic_write(args.output_file) as stream:
        stream.write(model.SerializeToString())
    return _describe(network, args.output_file, shape, model, comparison)


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


def _network(args: argparse.Namespace, checkpoint: Path | None) -> PoseNetwork:
    if checkpoint is None:
        from hrnetae.networks.untrained import architecture_of, untrained

        return untrained(architecture_of(args.random_init, args.joints or 17), args.seed)
    from hrnetae.networks.checkpoints import load_network

    return load_network(checkpoint, args.joints)


def _describe(
    network: PoseNetwork, path: Path, shape: tuple[int, int, int, int], model: Any, comparison: Comparison | None
) -> Export:
    from hrnetae.networks.complexity import count_multiply_adds, count_parameters

    return Export(
        network=network,
        path=path,
        shape=shape,
        outputs=tuple(
            tuple(axis.dim_param or axis.dim_value for axis in output.type.tensor_type.shape.dim)
            for output in model.graph.output
        ),
        multiply_adds=count_multiply_adds(network, (1, *shape[1:])),
        parameters=count_parameters(network),
        comparison=comparison,
    )


def _as_text(export: Export) -> str:
    architecture = export.network.architecture
    size = f"{export.shape[3]} x {export.shape[2]}"
    lines = [
        f"{architecture.name}, {architecture.joints} joints, {architecture.tags} tag maps",
        f"{export.parameters / 1e6:.2f} M parameters, {export.multiply_adds / 1e9:.1f} G multiply-adds at {size}",
        f"Successfully exported ONNX model: {export.path}",
    ]
    if export.comparison is not None:
        lines += [
            "The numerical values are same between Pytorch and ONNX",
            f"largest difference {export.comparison.difference:.2e}, largest value {export.comparison.scale:.3g}",
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
