"""fp16: weights and outputs in float16.

No CPU kernel of ONNX Runtime convolves float16 on x86: given such a network it computes in float32 with conversions
around every operator. So the numbers are held in float16 and computed in float32: the weights are float16 in the file
and become float32 once, when the network is loaded; the outputs are rounded to float16 at the end. It is as fast as
float32 and half as large.
"""

from __future__ import annotations

from typing import Any

import numpy as np

EXECUTION = "weights and outputs float16, arithmetic float32"
# Operators whose constants are weights. Others take sizes and scales as constants, which are no weights.
_WEIGHTED = frozenset(
    (
        *("Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization", "PRelu"),
        *("Add", "Sub", "Mul", "Div"),
    )
)
_LARGEST = float(np.finfo(np.float16).max)


def to_half(model: Any) -> Any:
    """A copy of an onnx.ModelProto with float16 weights and outputs.

    A weight with values that float16 cannot hold (above 65504) stays in float32.
    """
    import onnx

    half = onnx.ModelProto()
    half.CopyFrom(model)
    graph = half.graph
    names = _all_names(graph)
    casts = [_halve(weight, names) for weight in graph.initializer if _is_weight(weight, graph)]
    _redirect(graph, {cast.input[0]: cast.output[0] for cast in casts})
    ends = [_halve_output(graph, value, names) for value in graph.output]
    nodes = [*casts, *graph.node, *(end for end in ends if end is not None)]
    del graph.node[:]
    graph.node.extend(nodes)
    return half


def _is_weight(weight: Any, graph: Any) -> bool:
    from onnx import TensorProto, numpy_helper

    users = {node.op_type for node in graph.node if weight.name in node.input}
    if weight.data_type != TensorProto.FLOAT or not users or not users <= _WEIGHTED:
        return False
    values = numpy_helper.to_array(weight)
    return not values.size or float(np.abs(values).max()) <= _LARGEST


def _halve(weight: Any, names: set[str]) -> Any:
    """Make the weight float16 and return the node that gives it back in float32 under another name."""
    from onnx import TensorProto, helper, numpy_helper

    values = numpy_helper.to_array(weight).astype(np.float16)
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    widened = _fresh(f"{weight.name}_fp32", names)
    return helper.make_node("Cast", [weight.name], [widened], _fresh(f"{widened}_cast", names), to=TensorProto.FLOAT)


def _redirect(graph: Any, renamed: dict[str, str]) -> None:
    for node in graph.node:
        for position, name in enumerate(node.input):
            if name in renamed:
                node.input[position] = renamed[name]


def _halve_output(graph: Any, value: Any, names: set[str]) -> Any:
    """Make the output float16 and return the node that rounds; None for an output of another type."""
    from onnx import TensorProto, helper

    if value.type.tensor_type.elem_type != TensorProto.FLOAT:
        return None
    inner = _fresh(f"{value.name}_fp32", names)
    _redirect(graph, {value.name: inner})
    for node in graph.node:
        for position, name in enumerate(node.output):
            if name == value.name:
                node.output[position] = inner
    value.type.tensor_type.elem_type = TensorProto.FLOAT16
    return helper.make_node("Cast", [inner], [value.name], _fresh(f"{inner}_cast", names), to=TensorProto.FLOAT16)


def _all_names(graph: Any) -> set[str]:
    names = {weight.name for weight in graph.initializer} | {value.name for value in graph.input}
    for node in graph.node:
        names.update(node.input, node.output, [node.name])
    return names


def _fresh(name: str, names: set[str]) -> str:
    while name in names:
        name += "_"
    names.add(name)
    return name
