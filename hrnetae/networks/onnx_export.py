"""From a torch network to ONNX: tracing, tidying, and the comparison of both on the same input."""

from __future__ import annotations

import copy
import io
import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hrnetae.files.errors import DataError
from hrnetae.networks.hrnet import PoseNetwork

Model = Any  # an onnx.ModelProto: onnx is imported by those who use it
OPSET = 17  # what ONNX Runtime's quantisation and float16 conversion handle best; per-channel int8 needs 13 or more
OPSETS = range(11, 21)  # that torch's tracing exporter writes; 11 is the one the vendor's older compilers read
STRIDE = 32  # the coarsest branch sees the picture at 1/32
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Comparison:
    """How far ONNX Runtime's outputs are from torch's, over all of them.

    difference: the largest absolute difference. largest: the largest absolute value.
    """

    difference: float
    largest: float

    @property
    def scale(self) -> float:
        """What the difference is measured by: the largest value, at least 1."""
        return max(1.0, self.largest)

    @property
    def same(self) -> bool:
        """The largest difference is within 1e-4 of the scale."""
        return self.difference <= TOLERANCE * self.scale


def check_shape(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The shape as (N, 3, H, W). Errors: DataError, for one that the network does not take."""
    given = " ".join(map(str, shape))
    if len(shape) != 4 or min(shape) < 1:
        raise DataError(f"--shape {given}: expected four positive numbers, N 3 H W")
    batch, channels, height, width = shape
    if channels != 3:
        raise DataError(f"--shape {given}: {channels} channels, expected 3")
    if height % STRIDE or width % STRIDE:
        raise DataError(f"--shape {given}: {height} x {width}, expected height and width divisible by {STRIDE}")
    return batch, channels, height, width


def check_opset(opset: int) -> None:
    """Raise DataError for an operator set that cannot be written."""
    if opset not in OPSETS:
        raise DataError(f"--opset {opset}: expected {OPSETS[0]} to {OPSETS[-1]}")


def to_onnx(
    network: PoseNetwork,
    shape: tuple[int, int, int, int],
    *,
    input_name: str = "input.1",
    opset: int = OPSET,
    dynamic_batch: bool = False,
) -> Model:
    """The network in eval mode as a checked ONNX model.

    Input ``input_name``: float32 of ``shape`` (N, 3, H, W). Outputs ``output_0``, and for HigherHRNet ``output_1``:
    what the network returns. Batch norms are folded into the convolutions. dynamic_batch: N may be any number later.
    Errors: DataError for the name of another tensor of the network as that of the input.
    """
    import onnx

    names = [f"output_{index}" for index in range(1 + network.architecture.higher)]
    folded = _fold_transposed(network)
    model = onnx.load_model_from_string(_trace(folded, shape, input_name, names, opset, dynamic_batch))
    _check_input(model, input_name)
    _drop_identities(model)
    _sign(model, network)
    onnx.checker.check_model(model)
    return model


def _fold_transposed(network: PoseNetwork) -> nn.Module:
    """A network with the same outputs and no batch norm after a transposed convolution, which tracing does not fold."""
    if not network.architecture.higher:
        return network
    folded = copy.deepcopy(network).eval()
    for sequence in [module for module in folded.modules() if isinstance(module, nn.Sequential)]:
        for index in range(1, len(sequence)):
            convolution, norm = sequence[index - 1], sequence[index]
            if isinstance(convolution, nn.ConvTranspose2d) and isinstance(norm, nn.BatchNorm2d):
                sequence[index - 1] = fuse_conv_bn_eval(convolution, norm, transpose=True)
                sequence[index] = nn.Identity()
    return folded


def _trace(
    network: nn.Module,
    shape: tuple[int, int, int, int],
    input_name: str,
    output_names: list[str],
    opset: int,
    dynamic_batch: bool,
) -> bytes:
    """By torch's tracing exporter: the newer one takes several times as long, needs onnxscript and opset 18 or more."""
    stream = io.BytesIO()
    batch = {name: {0: "batch"} for name in (input_name, *output_names)} if dynamic_batch else None
    arguments: Any = (network.eval(), (torch.zeros(shape),), stream)  # Any: a stream is taken, though not declared
    settings: dict[str, Any] = {
        "input_names": [input_name],
        "output_names": output_names,
        "opset_version": opset,
        "dynamic_axes": batch,
        "do_constant_folding": True,
        "dynamo": False,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it is the older one, and more of the kind
        torch.onnx.export(*arguments, **settings)
    return stream.getvalue()


def _check_input(model: Model, input_name: str) -> None:
    """torch gives two tensors of one name new ones without a word, and a build file would not find its input."""
    found = model.graph.input[0].name
    others = {name for node in model.graph.node for name in node.output}
    others |= {tensor.name for tensor in model.graph.initializer}
    if found != input_name or input_name in others:
        raise DataError(f"--input_name {input_name}: the name of another tensor in the network, expected a free one")


def _drop_identities(model: Model) -> None:
    """Give weights their own names again: equal ones are traced as one and Identity nodes, which quantisers stop at."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    kept = []
    for node in model.graph.node:
        if node.op_type != "Identity" or node.input[0] not in weights:
            kept.append(node)
            continue
        own = model.graph.initializer.add()
        own.CopyFrom(weights[node.input[0]])
        own.name = node.output[0]
        weights[own.name] = own
    del model.graph.node[:]
    model.graph.node.extend(kept)
    used = {name for node in kept for name in node.input}
    tensors = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(tensors)


def _sign(model: Model, network: PoseNetwork) -> None:
    """Say in the model's metadata which network it is."""
    architecture = network.architecture
    facts = {"network": architecture.name, "joints": architecture.joints, "tags": architecture.tags}
    for key, value in facts.items():
        model.metadata_props.add(key=key, value=str(value))


def compare(network: PoseNetwork, model: Model, shape: tuple[int, int, int, int]) -> Comparison:
    """Run torch and ONNX Runtime on the same noise (normal, seed 0) of ``shape`` (N, 3, H, W) and compare the outputs.

    Errors: DataError where ONNX Runtime does not take the model or the outputs differ in number or shape.
    """
    import numpy as np
    import onnxruntime

    sample = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    with torch.no_grad():
        expected = [maps.numpy() for maps in network.eval()(torch.from_numpy(sample))]
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: sample})
    shapes = [[tuple(array.shape) for array in arrays] for arrays in (expected, found)]
    if shapes[0] != shapes[1]:
        raise DataError(f"ONNX Runtime gives outputs of shapes {shapes[1]}, expected {shapes[0]} as torch")
    with np.errstate(invalid="ignore"):  # infinite outputs make the difference NaN, which is never the same
        differences = [np.abs(a - b).max() for a, b in zip(expected, found, strict=True)]
    return Comparison(float(np.max(differences)), float(np.max([np.abs(array).max() for array in expected])))


def output_shapes(model: Model) -> tuple[tuple[int | str, ...], ...]:
    """The shape of each output; a name stands for a number that is left open."""
    axes = [output.type.tensor_type.shape.dim for output in model.graph.output]
    return tuple(tuple(axis.dim_param or axis.dim_value for axis in shape) for shape in axes)
