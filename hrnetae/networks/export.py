"""The export as a function: an ExportJob in, a model on disk and an ExportReport out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrnetae.files.atomic import atomic_write, check_writable
from hrnetae.files.errors import DataError
from hrnetae.networks.checkpoints import load_network
from hrnetae.networks.complexity import count_multiply_adds, count_parameters
from hrnetae.networks.hrnet import PoseNetwork
from hrnetae.networks.onnx_export import (
    OPSET,
    TOLERANCE,
    Comparison,
    check_opset,
    check_shape,
    compare,
    output_shapes,
    to_onnx,
)
from hrnetae.networks.untrained import architecture_of, untrained

COCO_JOINTS = 17


@dataclass(frozen=True)
class ExportJob:
    """What to export.

    output: the ONNX file to write. checkpoint: the weights; random_init: in their place the name of an untrained
    network (untrained.ARCHITECTURES), drawn from seed. joints: K, where the checkpoint cannot tell it; for an untrained
    network 17 if not given. shape: (N, 3, H, W). dynamic_batch: leave N open. verify: compare before writing.
    """

    output: Path
    checkpoint: Path | None = None
    random_init: str | None = None
    joints: int | None = None
    seed: int = 0
    shape: tuple[int, ...] = (1, 3, 512, 512)
    input_name: str = "input.1"
    opset: int = OPSET
    dynamic_batch: bool = False
    verify: bool = False


@dataclass(frozen=True)
class ExportReport:
    """What was exported. multiply_adds: of one picture. comparison: None where none was asked for."""

    job: ExportJob
    network: PoseNetwork
    multiply_adds: int
    outputs: tuple[tuple[int | str, ...], ...]
    comparison: Comparison | None

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and names, ready for JSON."""
        architecture = self.network.architecture
        comparison = self.comparison
        return {
            "network": architecture.name,
            "joints": architecture.joints,
            "tags": architecture.tags,
            "parameters": count_parameters(self.network),
            "multiply_adds": self.multiply_adds,
            "shape": list(self.job.shape),
            "outputs": [list(shape) for shape in self.outputs],
            "model": str(self.job.output),
            "verified": comparison is not None,
            "largest_difference": None if comparison is None else comparison.difference,
            "largest_value": None if comparison is None else comparison.largest,
        }


def export(job: ExportJob) -> ExportReport:
    """Read or draw the weights, write the model, and say what it is. The file is there whole or not at all.

    Errors: DataError in one line for a checkpoint, shape or operator set that will not do, and for outputs that differ
    from torch's; OSError.
    """
    shape = check_shape(job.shape)
    check_opset(job.opset)
    check_writable(job.output)
    network = _network(job)
    model = to_onnx(network, shape, input_name=job.input_name, opset=job.opset, dynamic_batch=job.dynamic_batch)
    comparison = compare(network, model, shape) if job.verify else None
    if comparison is not None and not comparison.same:
        raise DataError(
            f"{job.output}: not written, as ONNX Runtime's outputs differ from torch's by {comparison.difference:.2e}, "
            f"expected at most {TOLERANCE * comparison.scale:.2e}"
        )
    with atomic_write(job.output) as stream:
        stream.write(model.SerializeToString())
    products = count_multiply_adds(network, (1, *shape[1:]))
    return ExportReport(job, network, products, output_shapes(model), comparison)


def _network(job: ExportJob) -> PoseNetwork:
    if job.checkpoint is not None:
        return load_network(job.checkpoint, job.joints)
    if job.random_init is None:
        raise ValueError("checkpoint: None, expected a file, or random_init with the name of a network")
    return untrained(architecture_of(job.random_init, job.joints or COCO_JOINTS), job.seed)
