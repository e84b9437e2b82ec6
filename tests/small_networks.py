"""Networks that tests make themselves, with answers that a few lines of NumPy give, too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SIDE = 64  # of the input
STRIDE = 4
_TYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "uint8": TensorProto.UINT8}


def weights(channels: int, seed: int = 0) -> NDArray[np.float32]:
    """(channels, 3), of size 1 / 255, so that outputs of pictures are of size 1."""
    values: NDArray[np.float32] = np.random.default_rng(seed).normal(0, 1 / 255, (channels, 3)).astype(np.float32)
    return values


def expected(picture: NDArray[Any], channels: int = 34, seed: int = 0) -> NDArray[np.float64]:
    """What the network answers to (3, H, W): means of squares of STRIDE pixels, mixed by ``weights``."""
    high, wide = picture.shape[1] // STRIDE, picture.shape[2] // STRIDE
    means = picture.astype(np.float64).reshape(3, high, STRIDE, wide, STRIDE).mean(axis=(2, 4))
    return np.einsum("kc,chw->khw", weights(channels, seed).astype(np.float64), means)


def write_network(
    path: Path,
    *,
    batch: int | str = 1,
    side: int | str = SIDE,
    colours: int = 3,
    stages: tuple[int, ...] = (34,),
    dtype: str = "float32",
    name: str = "input.1",
    seed: int = 0,
    work: int = 0,
) -> Path:
    """Average pooling, then one 1 x 1 convolution per stage. work: convolutions in front, for slowness alone."""
    kind = _TYPES[dtype]
    nodes, constants, outputs = [], [], []
    current = name
    if work:
        eye = np.zeros((colours, colours, 9, 9), np.float32)
        eye[range(colours), range(colours), 4, 4] = 1
        constants.append(numpy_helper.from_array(eye.astype(dtype), "same"))
    for number in range(work):
        nodes.append(helper.make_node("Conv", [current, "same"], [f"slow{number}"], pads=[4] * 4))
        current = f"slow{number}"
    nodes.append(helper.make_node("AveragePool", [current], ["means"], kernel_shape=[STRIDE] * 2, strides=[STRIDE] * 2))
    size = side // STRIDE if isinstance(side, int) else "out"
    for number, channels in enumerate(stages):
        mix = np.zeros((channels, colours, 1, 1), np.float32)
        mix[:, :3, 0, 0] = weights(channels, seed + number)[:, : min(3, colours)]
        constants.append(numpy_helper.from_array(mix.astype(dtype), f"mix{number}"))
        nodes.append(helper.make_node("Conv", ["means", f"mix{number}"], [f"maps{number}"]))
        outputs.append(helper.make_tensor_value_info(f"maps{number}", kind, [batch, channels, size, size]))
    picture = helper.make_tensor_value_info(name, kind, [batch, colours, side, side])
    return save(path, nodes, [picture], outputs, constants)


def save(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: list[Any]) -> Path:
    """An ONNX file of these parts."""
    graph = helper.make_graph(nodes, "small", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    return path


def write_vdsp(path: Path, norm_type: str = "EQUAL", side: int = SIDE, **more: Any) -> Path:
    """Preprocessing that hands pixels on as they are, resized to the network's input."""
    config = {"OimageWidth": side, "OimageHeight": side, "NormaType": norm_type, "ResizeType": "BILINEAR_CV", **more}
    path.write_text(json.dumps({"OpType": "FUSION_OP_RGB_RESIZE_CVTCOLOR_NORM_TENSOR", "OpConfig": config}))
    return path
