"""Small networks for the tests of building, made node by node: what HRNet is made of, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

SIDE = 32
JOINTS = 3


class Maker:
    """Collects nodes and weights; each method appends an operator and returns the name of its output."""

    def __init__(self, seed: int = 0) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self._random = np.random.default_rng(seed)

    def constant(self, array: Any) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, op: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        output = output or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [output], f"{op}_{len(self.nodes)}", **attributes))
        return output

    def conv(self, x: str, inputs: int, outputs: int, side: int = 3, stride: int = 1, output: str | None = None) -> str:
        scale = (2 / (inputs * side * side)) ** 0.5
        weight = self._random.standard_normal((outputs, inputs, side, side)).astype(np.float32) * scale
        # Channels of very different size, as in trained networks; one scale for all of them would lose the small ones.
        weight *= np.exp2(self._random.uniform(-3, 0, (outputs, 1, 1, 1))).astype(np.float32)
        bias = self._random.standard_normal(outputs).astype(np.float32) * 0.1
        pads = [side // 2] * 4
        names = (x, self.constant(weight.astype(np.float32)), self.constant(bias))
        return self.node("Conv", *names, output=output, pads=pads, strides=[stride] * 2, kernel_shape=[side] * 2)

    def batch_norm(self, x: str, channels: int) -> str:
        draw = self._random.uniform
        parameters = (draw(0.5, 2, channels), draw(-1, 1, channels), draw(-1, 1, channels), draw(0.5, 2, channels))
        return self.node("BatchNormalization", x, *(self.constant(p.astype(np.float32)) for p in parameters))

    def enlarge(self, x: str) -> str:
        scales = self.constant(np.array([1, 1, 2, 2], np.float32))
        return self.node(
            # The second input is a region that nearest does not look at; opset 11 wants one all the same.
            *("Resize", x, self.constant(np.zeros(0, np.float32)), scales),
            mode="nearest",
            nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        )


def pose_network(
    shape: Sequence[int | str] = (1, 3, SIDE, SIDE), opset: int = 17, seed: int = 0, input_name: str = "input.1"
) -> Any:
    """A stem, two branches that exchange, and a head: 6 convolutions, the last of them the head.

    (N, 3, H, W) -> (N, 2 JOINTS, H / 2, W / 2).
    """
    make = Maker(seed)
    x = make.node("Relu", make.batch_norm(make.conv(input_name, 3, 8, stride=2), 8))
    low = make.node("Relu", make.conv(x, 8, 16, stride=2))
    high = make.node("Relu", make.node("Add", x, make.conv(make.node("Relu", make.conv(x, 8, 8)), 8, 8)))
    fused = make.node("Relu", make.node("Add", high, make.enlarge(make.conv(low, 16, 8, side=1))))
    make.conv(fused, 8, 2 * JOINTS, side=1, output="output")
    return finish(make, shape, opset, input_name)


def finish(make: Maker, shape: Sequence[int | str], opset: int = 17, input_name: str = "input.1") -> Any:
    inputs = [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, list(shape))]
    outputs = [helper.make_tensor_value_info("output", TensorProto.FLOAT, None)]
    graph = helper.make_graph(make.nodes, "pose", inputs, outputs, make.weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def run(model: Any, x: Any) -> Any:
    """The network's first output, by ONNX Runtime without optimisations."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = model if isinstance(model, (bytes, str)) else model.SerializeToString()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def write_pictures(folder: Path, count: int, size: tuple[int, int] = (40, 24)) -> None:
    """PNG pictures of smooth random colour, (w, h) pixels."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(7)
    for number in range(count):
        coarse = random.integers(0, 256, (4, 5, 3), np.uint8)
        Image.fromarray(coarse).resize(size, Image.Resampling.BILINEAR).save(folder / f"picture_{number:03d}.png")
