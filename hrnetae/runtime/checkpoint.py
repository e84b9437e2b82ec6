"""The ONNX network that a build file names: read, checked against the file's shapes, and cleaned up for building."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrnetae.files.errors import DataError
from hrnetae.files.vamc_config import VamcConfig

LEAST_OPSET = 13  # from here on weights may have one scale per channel
_OPSET = 17
_NOT_WRITTEN = "serialization failed"  # what ONNX Runtime says of a full disk
_IR_OF_FIXED_WEIGHTS = 4  # before it every weight had to be listed as an input


@dataclass(frozen=True)
class Checkpoint:
    """A network to build from.

    model: onnx.ModelProto with the file's shapes as its inputs' (a batch axis that was free stays free) and a name of
    its own for every node. shapes: the model's input names -> shapes of the build file. sha256: of the source file.
    """

    model: Any
    shapes: Mapping[str, tuple[int, ...]]
    sha256: str


def load_checkpoint(config: VamcConfig) -> Checkpoint:
    """Read the network that ``config`` names.

    Errors: DataError for a format other than ONNX, a missing or broken file, and inputs whose number, names, shapes or
    types do not fit.
    """
    import onnx

    if config.frontend != "onnx":
        raise DataError(
            f"{config.file}: the checkpoint is of the type {config.frontend}, expected onnx, which alone the backend "
            "onnxruntime takes (hrnetae export writes it)"
        )
    path = config.checkpoint
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file, expected the checkpoint that {config.file} names") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}, expected a readable checkpoint") from None
    try:
        model = onnx.load_model_from_string(data)
        onnx.load_external_data_for_model(model, str(path.parent))
    except Exception as error:  # protobuf's errors have no common class below this one
        raise DataError(f"{path}: no ONNX network ({_reason(error)}), expected the checkpoint as ONNX") from None
    if not model.graph.node:
        raise DataError(f"{path}: an empty ONNX graph, expected a network")
    _name_nodes(model)
    _fix_weights(model)
    shapes = _fit_inputs(model, config)
    return Checkpoint(model, shapes, hashlib.sha256(data).hexdigest())


def simplify(model: Any, path: Path) -> Any:
    """The network with its constants folded and its batch normalisations merged into convolutions.

    ONNX Runtime's basic optimisations do it; they keep the standard operators, and nodes keep their names.
    path: of the checkpoint, for messages. Errors: DataError for a network that ONNX Runtime does not take, and where
    there is no room for a copy of it among the temporary files.
    """
    import onnx
    import onnxruntime

    model = _lift_opset(model, path)
    with tempfile.TemporaryDirectory() as folder, runtime_errors(path):
        target = Path(folder) / "simple.onnx"
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(target)
        options.log_severity_level = 3
        try:
            onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors have no common class below this one
            if _NOT_WRITTEN not in str(error):
                raise
            raise DataError(f"{target}: could not be written, expected room for a copy of {path}") from None
        simple = onnx.load(str(target))
    used = {node.domain for node in simple.graph.node} | {""}
    kept = [opset for opset in simple.opset_import if opset.domain in used]
    del simple.opset_import[:]
    simple.opset_import.extend(kept)
    return simple


@contextmanager
def runtime_errors(path: Path) -> Iterator[None]:
    """Turns whatever ONNX Runtime raises in the block into a DataError that names ``path``."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # its errors have no common class below this one
        raise DataError(f"{path}: ONNX Runtime cannot run it: {_reason(error)}") from None


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:297]}..."


def _name_nodes(model: Any) -> None:
    """Names may be missing or doubled in ONNX; what is to be left out of quantisation goes by name."""
    seen: set[str] = set()
    for number, node in enumerate(model.graph.node):
        if not node.name or node.name in seen:
            node.name = f"{node.name or node.op_type}#{number}"
        seen.add(node.name)


def _fix_weights(model: Any) -> None:
    """Older exports list their weights as inputs that a caller may replace; nothing can be made of such weights."""
    weights = {weight.name for weight in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, _IR_OF_FIXED_WEIGHTS)


def _fit_inputs(model: Any, config: VamcConfig) -> dict[str, tuple[int, ...]]:
    """Give the model's inputs the build file's shapes; they go by name, or by position where there is one of each."""
    inputs = {value.name: value for value in model.graph.input}
    wanted = dict(config.shapes)
    if set(wanted) != set(inputs):
        if len(wanted) != 1 or len(inputs) != 1:
            raise DataError(
                f"{config.checkpoint}: its inputs are {', '.join(inputs) or 'none'}, expected "
                f"{', '.join(wanted)} as frontend.shape in {config.file} says"
            )
        wanted = dict(zip(inputs, wanted.values(), strict=True))
    for name, shape in wanted.items():
        _fit_input(inputs[name], shape, config)
    return wanted


def _fit_input(value: Any, shape: tuple[int, ...], config: VamcConfig) -> None:
    from onnx import TensorProto

    kind = value.type.tensor_type
    if kind.elem_type != TensorProto.FLOAT:
        raise DataError(
            f"{config.checkpoint}: input {value.name} is {TensorProto.DataType.Name(kind.elem_type)}, expected FLOAT"
        )
    axes = kind.shape.dim
    found = [axis.dim_value or axis.dim_param or "?" for axis in axes]
    fits = len(axes) == len(shape) and all(axis.dim_value in (0, size) for axis, size in zip(axes, shape, strict=True))
    if not fits:
        raise DataError(
            f"{config.checkpoint}: input {value.name} has the shape {_shape(found)}, expected {_shape(shape)} as "
            f"frontend.shape in {config.file} says"
        )
    for position, (axis, size) in enumerate(zip(axes, shape, strict=True)):
        if position and not axis.dim_value:  # a free batch axis stays free: vamp sets it
            axis.dim_value = size


def _shape(sizes: Any) -> str:
    return f"[{', '.join(map(str, sizes))}]"


def _lift_opset(model: Any, path: Path) -> Any:
    from onnx import version_converter

    version = next((opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx")), 0)
    if version >= LEAST_OPSET:
        return model
    try:
        return version_converter.convert_version(model, _OPSET)
    except Exception as error:  # the converter is C++ and raises its own
        raise DataError(
            f"{path}: opset {version}, which cannot be converted ({_reason(error)}), expected {LEAST_OPSET} or more"
        ) from None
