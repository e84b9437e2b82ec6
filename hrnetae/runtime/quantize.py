"""int8: which operators run on 8-bit numbers, and the network rewritten so that they do.

The rewriting is ONNX Runtime's (QDQ: QuantizeLinear and DequantizeLinear around every operator, which the CPU provider
turns into 8-bit kernels): activations unsigned and asymmetric, weights signed and symmetric, the combination that it
has the fastest kernels for on x86. What stands here is the choice of operators and ranges.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from hrnetae.files.errors import DataError
from hrnetae.files.vamc_config import Quantization
from hrnetae.runtime.ranges import Range

# Those that ONNX Runtime runs on 8 bits from end to end; between them nothing goes back to float.
OPERATORS = ("Conv", "Gemm", "MatMul", "Add", "Mul", "Relu", "Clip", "Concat", "Resize", "MaxPool", "Pad")
_WEIGHTED = frozenset(("Conv", "ConvTranspose", "Gemm", "MatMul"))
_PRODUCTS = frozenset(("Gemm", "MatMul"))
_ACTIVATIONS = frozenset(("Relu", "Clip"))  # merged into what comes before them
_SAME_RANGE = frozenset(("Resize", "MaxPool"))  # 8-bit numbers pass through them as they are
_FIRST_INPUT_ALONE = frozenset(("Conv", "Gemm", "Relu", "Clip", "Resize", "MaxPool", "Pad"))


@dataclass(frozen=True)
class Plan:
    """What is quantised.

    nodes: names of the nodes that become 8-bit. kept: names of those of OPERATORS that stay in float.
    watched: the tensors whose ranges are needed. aliases: tensor -> the one whose range it takes.
    """

    nodes: tuple[str, ...]
    kept: tuple[str, ...]
    watched: tuple[str, ...]
    aliases: Mapping[str, str]


def layers_to_skip(model: Any, quantization: Quantization) -> frozenset[str]:
    """Names of the nodes that the build file keeps in float.

    model: as the checkpoint has it, for numbers count nodes in its order.
    Errors: DataError for numbers beyond the last layer and names that no node and no output has.
    """
    nodes = list(model.graph.node)
    convolutions = [node.name for node in nodes if node.op_type == "Conv"]
    products = [node.name for node in nodes if node.op_type in _PRODUCTS]
    both = [node.name for node in nodes if node.op_type == "Conv" or node.op_type in _PRODUCTS]
    names = {node.name: node.name for node in nodes} | {out: node.name for node in nodes for out in node.output}
    skipped = [_numbered(convolutions, number, "skip_conv_layers") for number in quantization.skip_conv_layers]
    skipped += [_numbered(products, number, "skip_matmul_layers") for number in quantization.skip_matmul_layers]
    for layer in quantization.exclude_layers:
        if isinstance(layer, int):
            skipped.append(_numbered(both, layer, "exclude_layers"))
        elif layer in names:
            skipped.append(names[layer])
        else:
            raise DataError(f"backend.quantize.exclude_layers: {layer}, expected the name of a layer of the network")
    return frozenset(skipped)


def plan(model: Any, skipped: frozenset[str]) -> Plan:
    """Choose the nodes to quantise in a simplified network, and the tensors to watch for it.

    The last weighted layer before each output stays in float, and what follows it: heat and tags then come out at full
    resolution, at the cost of one small layer.
    """
    graph = model.graph
    weights = {weight.name for weight in graph.initializer}
    kept = skipped | _tail(graph)
    mine = [node for node in graph.node if node.op_type in OPERATORS and node.name not in kept]
    integers = _integers(model)
    mine = [node for node in mine if node.output[0] not in integers and not _is_product_of_activations(node, weights)]
    aliases = _aliases(graph, mine)
    tensors: dict[str, None] = {}  # in the graph's order
    for node in mine:
        inputs = node.input[:1] if node.op_type in _FIRST_INPUT_ALONE else node.input
        tensors.update((name, None) for name in (*inputs, *node.output[:1]) if name and name not in weights)
    chosen = {node.name for node in mine}
    return Plan(
        nodes=tuple(chosen_node.name for chosen_node in mine),
        kept=tuple(node.name for node in graph.node if node.op_type in OPERATORS and node.name not in chosen),
        watched=tuple(name for name in tensors if name not in aliases),
        aliases={name: aliases[name] for name in tensors if name in aliases},
    )


def quantize(model: Any, plan: Plan, ranges: Mapping[str, Range], per_channel: bool) -> Any:
    """The 8-bit network (onnx.ModelProto). ranges: of every tensor that the plan watches."""
    import onnx
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    extents = dict(ranges)
    for name in plan.aliases:
        extents[name] = ranges[_resolve(name, plan.aliases)]
    data = {name: (np.float32(low), np.float32(high)) for name, (low, high) in extents.items()}
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    with _quiet():
        quantizer = QDQQuantizer(
            copy,
            per_channel,
            False,  # reduce_range: for processors without VNNI, which saturate; it costs a bit of every weight
            QuantType.QInt8,
            QuantType.QUInt8,
            TensorsData(CalibrationMethod.MinMax, data),
            list(plan.nodes),
            [],
            list(OPERATORS),
            {},
        )
        quantizer.quantize_model()
    return quantizer.model.model


def _numbered(names: Sequence[str], number: int, key: str) -> str:
    if number >= len(names):
        raise DataError(f"backend.quantize.{key}: {number}, expected less than {len(names)}, the number of such layers")
    return names[number]


def _tail(graph: Any) -> frozenset[str]:
    """The nodes from which an output is reached without passing another weighted layer."""
    makers = {name: node for node in graph.node for name in node.output}
    found: set[str] = set()
    open_names = [value.name for value in graph.output]
    while open_names:
        node = makers.get(open_names.pop())
        if node is None or node.name in found:
            continue
        found.add(node.name)
        if node.op_type not in _WEIGHTED:
            open_names.extend(node.input)
    return frozenset(found)


def _integers(model: Any) -> frozenset[str]:
    """Tensors that are no activations: sizes, with which a network of free batch computes, too."""
    from onnx import TensorProto, shape_inference

    known = shape_inference.infer_shapes(model).graph.value_info
    floats = (TensorProto.FLOAT, TensorProto.UNDEFINED)
    return frozenset(value.name for value in known if value.type.tensor_type.elem_type not in floats)


def _is_product_of_activations(node: Any, weights: set[str]) -> bool:
    """A layer whose weights are computed has none to quantise beforehand."""
    return node.op_type in _WEIGHTED and node.input[1] not in weights


def _aliases(graph: Any, mine: Sequence[Any]) -> dict[str, str]:
    """Tensors that need no range of their own: before an activation that is merged, and behind an operator that moves
    numbers without changing them."""
    uses: dict[str, int] = {}
    for node in graph.node:
        for name in node.input:
            uses[name] = uses.get(name, 0) + 1
    ends = {value.name for value in graph.output}
    made = {name for node in mine for name in node.output}
    aliases = {}
    for node in mine:
        before, after = node.input[0], node.output[0]
        if node.op_type in _ACTIVATIONS and uses[before] == 1 and before in made and before not in ends:
            aliases[before] = after
        elif node.op_type in _SAME_RANGE:
            aliases[after] = before
    return aliases


def _resolve(name: str, aliases: Mapping[str, str]) -> str:
    while name in aliases:
        name = aliases[name]
    return name


@contextmanager
def _quiet() -> Iterator[None]:
    """Holds back what the library logs about its own recommendations."""
    logger = logging.getLogger()
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
