"""A network opened with ONNX Runtime: one input of pictures, any number of outputs.

A model's batch is fixed or free (a dimension with a name, or none). A call takes any number of pictures either way: as
one batch where it is free, in pieces of the fixed size otherwise, the last one filled up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.decoder import available_processors
from hrnetae.files.errors import DataError
from hrnetae.files.model_folder import ModelFiles, find_model
from hrnetae.files.run_record import sha256_of

CPU = "CPUExecutionProvider"
_ENDING = "ExecutionProvider"
_DTYPES = MappingProxyType({"tensor(float)": "float32", "tensor(float16)": "float16"})
_CHANNELS = 3
# Providers that drive one of several devices, and take its number under this name.
_NUMBERED_DEVICES = frozenset(("CUDA", "Tensorrt", "ROCM", "MIGraphX", "Dml", "CANN"))


@dataclass(frozen=True)
class Tensor:
    """An input or output of a model: its name, its shape with None for a free dimension, ``float32`` or ``float16``."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True)
class SessionSettings:
    """How a network is run.

    provider: an execution provider of ONNX Runtime, with or without the ending ``ExecutionProvider``, in any case.
    threads: what one operator is spread over; None: every processor this process may use.
    device: number of the accelerator, for providers that know several; the CPU has none.
    optimise: off opens a model faster that is only looked at.
    """

    provider: str = CPU
    threads: int | None = None
    device: int | None = None
    optimise: bool = True


class Session:
    """A network that is ready to run. Calls from several threads at once are allowed; they share its threads.

    onnx: the model's file. provider: what runs it. input, outputs: names, shapes (None for a free dimension), dtypes.
    batch: pictures per call of the model, None where that is free.
    """

    def __init__(self, onnx: Path, settings: SessionSettings | None = None) -> None:
        settings = settings or SessionSettings()
        self.onnx = onnx
        self.provider = find_provider(settings.provider)
        self._session = _open(onnx, self.provider, settings)
        self.input = _only_input(onnx, [_tensor(onnx, node) for node in self._session.get_inputs()])
        self.outputs = tuple(_tensor(onnx, node) for node in self._session.get_outputs())
        self.batch = self.input.shape[0]
        self._names = [output.name for output in self.outputs]
        self._run_options = _run_options()

    @property
    def input_size(self) -> tuple[int, int]:
        """(w, h) of the pictures that the network takes. DataError for a model that leaves it free."""
        height, width = self.input.shape[2:]
        if height is None or width is None:
            raise DataError(
                f"{self.onnx}: the input's height and width are free, expected numbers (vamc, export --shape)"
            )
        return width, height

    def require_maps(self) -> None:
        """DataError unless every output is a stack of maps (N, C, H, W), which is what the files of outputs hold."""
        for output in self.outputs:
            if len(output.shape) != 4:
                raise DataError(f"{self.onnx}: output {output.name} is no stack of maps (N, C, H, W)")

    def __call__(self, pictures: NDArray[np.floating[Any]]) -> tuple[NDArray[Any], ...]:
        """The outputs of pictures (N, C, H, W), preprocessed; each output (N, ...), in the model's own dtype.

        Errors: ValueError for another shape; DataError, which names the model, where ONNX Runtime fails; StoppedError
        after ``stop``.
        """
        expected = self.input.shape[1:]
        fits = all(want in (None, got) for want, got in zip(expected, pictures.shape[1:], strict=False))
        if pictures.ndim != 4 or not fits or not len(pictures):
            wanted = ", ".join("?" if length is None else str(length) for length in expected)
            raise ValueError(f"pictures: shape {pictures.shape}, expected (N, {wanted})")
        pictures = np.ascontiguousarray(pictures, self.input.dtype)
        if self.batch is None or self.batch == len(pictures):
            return self._run(pictures)
        pieces = [self._run_piece(pictures[at : at + self.batch]) for at in range(0, len(pictures), self.batch)]
        return pieces[0] if len(pieces) == 1 else tuple(map(np.concatenate, zip(*pieces, strict=True)))

    def stop(self) -> None:
        """Ends calls that are under way, and all later ones, with StoppedError, as soon as an operator is done."""
        self._run_options.terminate = True

    def _run_piece(self, pictures: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """At most a fixed batch of pictures, filled up with the last one."""
        count = len(pictures)
        missing = (self.batch or count) - count
        if missing:
            pictures = np.concatenate([pictures, np.repeat(pictures[-1:], missing, axis=0)])
        return tuple(output[:count] for output in self._run(pictures))

    def _run(self, pictures: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        try:
            return tuple(self._session.run(self._names, {self.input.name: pictures}, self._run_options))
        except Exception as error:  # ONNX Runtime's errors have no common class below this one
            if self._run_options.terminate:
                raise StoppedError from None
            raise DataError(f"{self.onnx}: ONNX Runtime failed to run it: {_reason(error)}") from None


class StoppedError(Exception):
    """A session was told to stop."""


def open_session(prefix: str | Path, settings: SessionSettings | None = None) -> Session:
    """The network that a model prefix means, see ``find_model``.

    Errors: DataError of one line for a model that is not there, is damaged, does not take pictures, or is not the one
    that its manifest tells of; for a provider that is not installed.
    """
    found = find_model(prefix)
    _check_sum(found)
    return Session(found.onnx, settings)


def installed_providers() -> tuple[str, ...]:
    """The execution providers of this ONNX Runtime, best first."""
    import onnxruntime

    return tuple(onnxruntime.get_available_providers())


def find_provider(name: str) -> str:
    """The full name of an installed provider: ``cpu`` is ``CPUExecutionProvider``.

    Errors: DataError that names those that are there.
    """
    installed = installed_providers()
    wanted = name.lower().removesuffix(_ENDING.lower())
    for provider in installed:
        if provider.removesuffix(_ENDING).lower() == wanted:
            return provider
    raise DataError(f"--provider {name}: not in this ONNX Runtime, expected one of {', '.join(installed)}")


def threads_per_session(sessions: int) -> int:
    """The processors of this process shared out among so many sessions, at least one each."""
    return max(1, available_processors() // max(1, sessions))


def has_devices(provider: str) -> bool:
    """Whether a provider, by its full name, drives one of several devices."""
    return provider.removesuffix(_ENDING) in _NUMBERED_DEVICES


def provider_options(provider: str, device: int | None) -> Mapping[str, str]:
    """What a provider is told about the device that it is to use."""
    return {"device_id": str(device)} if device is not None and has_devices(provider) else {}


def describe_backend(provider: str) -> str:
    """What made the outputs, for reports: ``ONNX Runtime 1.20.1, CPUExecutionProvider``."""
    import onnxruntime

    return f"ONNX Runtime {onnxruntime.__version__}, {provider}"


def _check_sum(found: ModelFiles) -> None:
    """Another network under the manifest's name would run as well, and be reported as what it is not."""
    if found.manifest is None:
        return
    is_there, expected = sha256_of(found.onnx), found.manifest.sha256
    if is_there != expected:
        raise DataError(
            f"{found.onnx}: sha256 {is_there[:12]}, expected {expected[:12]} as in {found.onnx.stem}.json, with which "
            "vamc built it"
        )


def _open(onnx: Path, provider: str, settings: SessionSettings) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.threads or available_processors()
    options.inter_op_num_threads = 1
    # Threads that wait for work must not keep the processors from those who read, preprocess and write, nor from the
    # other sessions. Where several programs share the machine that is a third of the throughput.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not settings.optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3  # errors; they are raised, too
    # The CPU takes what the provider cannot do.
    providers = [CPU] if provider == CPU else [provider, CPU]
    configuration = [provider_options(name, settings.device) for name in providers]
    if not onnx.is_file():
        raise DataError(f"{onnx}: no such file, expected a model (ONNX)")
    try:
        session = onnxruntime.InferenceSession(str(onnx), options, providers=providers, provider_options=configuration)
    except Exception as error:  # as in Session._run
        raise DataError(f"{onnx}: ONNX Runtime cannot open it: {_reason(error)}") from None
    if provider not in session.get_providers():
        # It falls back silently, and the figures would be those of another device.
        raise DataError(f"--provider {provider}: installed, but it does not start here; expected its device and driver")
    return session


def _run_options() -> Any:
    import onnxruntime

    return onnxruntime.RunOptions()


def _tensor(onnx: Path, node: Any) -> Tensor:
    if node.type not in _DTYPES:
        raise DataError(f"{onnx}: {node.name} is a {node.type}, expected float32 or float16")
    # ONNX Runtime gives a number, a name or None for a dimension.
    return Tensor(node.name, tuple(d if isinstance(d, int) else None for d in node.shape), _DTYPES[node.type])


def _only_input(onnx: Path, inputs: Sequence[Tensor]) -> Tensor:
    if len(inputs) != 1:
        names = ", ".join(each.name for each in inputs) or "none"
        raise DataError(f"{onnx}: {len(inputs)} inputs ({names}), expected one, of pictures (N, {_CHANNELS}, H, W)")
    if len(inputs[0].shape) != 4 or inputs[0].shape[1] not in (_CHANNELS, None):
        shape = ", ".join("?" if length is None else str(length) for length in inputs[0].shape)
        raise DataError(f"{onnx}: input {inputs[0].name} has shape ({shape}), expected (N, {_CHANNELS}, H, W)")
    return inputs[0]


def _reason(error: Exception) -> str:
    """ONNX Runtime's message without the code in front of it, on one line."""
    text = " ".join(str(error).split())
    return text.rpartition("[ONNXRuntimeError] : ")[2] if text.startswith("[ONNXRuntimeError]") else text
