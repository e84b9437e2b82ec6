"""The build file of vamc: YAML in its two schemas, checked and typed.

The sections are name, frontend, graph, backend, dataset and workspace. The older schema has no frontend.type (the
checkpoint's suffix tells) and no dataset.type, and its workspace has a work_dir in place of a path.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hrnetae.files.errors import DataError
from hrnetae.files.yaml_files import read_yaml
from hrnetae.foreign import shown

DTYPES = ("fp32", "fp16", "int8")
CALIBRATE_MODES = ("max", "kl_divergence", "percentile", "mse")
_FRONTENDS = MappingProxyType(
    {".onnx": "onnx", ".pt": "pytorch", ".pth": "pytorch", ".h5": "keras", ".pb": "tensorflow", ".weights": "darknet"}
)
_MOST = (1 << 31) - 1  # of anything that is counted
_TYPO = "alibrate_mode"  # stands so in published files

# What we read: dotted keys. The rest of the known ones steers the vendor's compiler and is kept without effect.
_USED = frozenset(
    (
        "name",
        "frontend.type",
        "frontend.shape",
        "frontend.checkpoint",
        "frontend.dtype",
        "backend.type",
        "backend.dtype",
        "backend.quantize.calibrate_mode",
        "backend.quantize.quantize_per_channel",
        "backend.quantize.skip_conv_layers",
        "backend.quantize.skip_matmul_layers",
        "backend.quantize.exclude_layers",
        "backend.quantize.calibrate_range",
        "backend.quantize.calibrate_chunk_by",
        "dataset.type",
        "dataset.path",
        "dataset.sampler.suffix",
        "dataset.sampler.get_data_num",
        "dataset.process_ops",
        "workspace.path",
        "workspace.work_dir",
    )
)
_KEPT = frozenset(
    (
        "backend.merge_params",
        "backend.remove_params",
        "backend.dynamic_params",
        *(
            f"backend.compile.{name}"
            for name in (
                "cluster_mode",
                "data_transport_mode",
                "opt_level",
                "data_type",
                "enable_float_to_half",
                "enable_graph_partition",
                "stream_mode",
                "mem_inplace",
                "dense_special_config",
                "nearest_interpol_on_dsp",
                "output_layout",
                "output_ddr",
                "split_convergence_points",
            )
        ),
        *(
            f"backend.quantize.{name}"
            for name in (
                "weight_scale",
                "quantize_mode",
                "quantize_operators",
                "requant_suppress",
                "quantize_dsp_ops",
                "overflow_adaptive",
            )
        ),
        *(f"workspace.{name}" for name in ("enable_ir", "save_log", "env_recheck", "workers", "pyenv")),
    )
)
_KEPT_SECTIONS = ("graph.extra_ops", "frontend.quantize", "frontend.model_kwargs")
_SECTIONS = frozenset(
    ("frontend", "graph", "backend", "backend.compile", "backend.quantize", "dataset", "dataset.sampler", "workspace")
)


@dataclass(frozen=True)
class Quantization:
    """backend.quantize: how int8 ranges are found.

    percentile: calibrate_range, the share of values inside the range, for the mode percentile; None where not given.
    skip_conv_layers, skip_matmul_layers: which Conv and MatMul nodes stay in float, counted from 0 in graph order.
    exclude_layers: node names, or numbers that count convolutions and matrix products together.
    """

    calibrate_mode: str = "max"
    per_channel: bool = True
    percentile: float | None = None
    skip_conv_layers: tuple[int, ...] = ()
    skip_matmul_layers: tuple[int, ...] = ()
    exclude_layers: tuple[str | int, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """The calibration pictures: a folder, the suffix to look for (no dot, lower case), how many at most, and what is
    done to each before it is an input."""

    path: Path
    suffix: str
    get_data_num: int
    process_ops: tuple[Mapping[str, object], ...]


@dataclass(frozen=True)
class VamcConfig:
    """A build file.

    file: its path. name: of the network. checkpoint: as written, relative to the current directory. frontend: the
    checkpoint's format. shapes: input name -> shape. dtype: one of DTYPES. folder: where the model goes.
    settings, unknown: dotted keys that steer the vendor's compiler alone, and those that nobody knows.
    warnings: what the user should hear of, one line each.
    """

    file: Path
    name: str
    frontend: str
    checkpoint: Path
    shapes: Mapping[str, tuple[int, ...]]
    dtype: str
    quantization: Quantization
    dataset: Dataset | None
    folder: Path
    settings: Mapping[str, Any]
    unknown: Mapping[str, Any]
    warnings: tuple[str, ...]


def read_vamc_config(path: str | os.PathLike[str]) -> VamcConfig:
    """Read a build file of either schema.

    Errors: DataError of one line that names the file, the key, what stands there and what was expected.
    """
    file = Path(path)
    reader = _Reader(file, _load(file))
    warnings = _mend_typo(reader)
    settings, unknown = _leftovers(reader.data)
    if unknown:
        warnings.append(f"{file}: unknown {', '.join(unknown)}: kept in the manifest, without effect")
    if "graph.extra_ops" in settings:
        warnings.append(f"{file}: graph.extra_ops is run by the vendor's backend alone, the network's own outputs stay")
    name = reader.name()
    shapes = reader.shapes()
    dtype = reader.choice("backend.dtype", DTYPES)
    quantization = reader.quantization()
    return VamcConfig(
        file=file,
        name=name,
        frontend=reader.frontend(),
        checkpoint=Path(reader.text("frontend.checkpoint")),
        shapes=shapes,
        dtype=dtype,
        quantization=quantization,
        dataset=reader.dataset(needed=dtype == "int8"),
        folder=reader.folder(name, dtype, quantization.calibrate_mode, next(iter(shapes.values()))),
        settings=settings,
        unknown=unknown,
        warnings=tuple(warnings),
    )


def _load(file: Path) -> dict[str, Any]:
    data = read_yaml(file, "a build file")
    if not isinstance(data, dict):
        raise DataError(f"{file}: {_kind(data)}, expected a build file with the keys name, frontend, backend ...")
    return data


def _mend_typo(reader: _Reader) -> list[str]:
    quantize = reader.get("backend.quantize")
    if not isinstance(quantize, dict) or _TYPO not in quantize:
        return []
    value = quantize.pop(_TYPO)
    quantize.setdefault("calibrate_mode", value)
    return [f"{reader.file}: backend.quantize.{_TYPO} is taken for calibrate_mode"]


def _leftovers(data: Mapping[str, Any], prefix: str = "") -> tuple[dict[str, Any], dict[str, Any]]:
    """Known keys without effect here, and unknown ones; dotted key -> value."""
    settings: dict[str, Any] = {}
    unknown: dict[str, Any] = {}
    for key, value in data.items():
        name = f"{prefix}{key}"
        if name in _USED:
            continue
        if name in _KEPT or name in _KEPT_SECTIONS:
            settings[name] = _plain(value)
        elif name in _SECTIONS and isinstance(value, dict):
            more_settings, more_unknown = _leftovers(value, f"{name}.")
            settings |= more_settings
            unknown |= more_unknown
        elif name not in _SECTIONS or value is not None:
            unknown[name] = _plain(value)
    return settings, unknown


def _plain(value: Any) -> Any:
    """The value as JSON can hold it: YAML also has dates, sets and keys of every kind."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    plain = value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value))
    return value if plain else str(value)


@dataclass(frozen=True)
class _Reader:
    """Takes values out of a build file by dotted key, with an error that names the file and the key."""

    file: Path
    data: dict[str, Any]

    def get(self, key: str) -> Any:
        value: Any = self.data
        *sections, last = key.split(".")
        for depth, section in enumerate(sections, 1):
            value = value.get(section)
            if value is None:
                return None
            if not isinstance(value, dict):
                raise self.error(".".join(sections[:depth]), value, "a section with keys of its own")
        return value.get(last)

    def need(self, key: str) -> Any:
        value = self.get(key)
        if value is None:
            raise DataError(f"{self.file}: no {key}, expected this key")
        return value

    def error(self, key: str, value: Any, expected: str) -> DataError:
        return DataError(f"{self.file}: {key} is {shown(value)}, expected {expected}")

    def text(self, key: str) -> str:
        value = self.need(key)
        if not isinstance(value, str) or not value.strip():
            raise self.error(key, value, "text")
        if not _is_plain(value):
            raise self.error(key, value, "text that can name a file")
        return value.strip()

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        value = self.need(key)
        if value not in choices:
            raise self.error(key, value, f"one of {', '.join(choices)}")
        return str(value)

    def name(self) -> str:
        name = str(self.need("name")) if isinstance(self.need("name"), (str, int, float)) else ""
        if not name or name in (".", "..") or set(name) & set("/\\") or not _is_plain(name):
            raise self.error("name", self.need("name"), "a name for the model folder")
        return name

    def frontend(self) -> str:
        given = self.get("frontend.type")
        if given is not None:
            return self.text("frontend.type").lower()
        suffix = Path(self.text("frontend.checkpoint")).suffix.lower()
        return _FRONTENDS.get(suffix, suffix.lstrip(".") or "unknown")

    def shapes(self) -> dict[str, tuple[int, ...]]:
        value = self.need("frontend.shape")
        if not isinstance(value, dict) or not value:
            raise self.error("frontend.shape", value, "input names with their shapes, as input.1: [1, 3, 512, 512]")
        shapes = {}
        for name, sizes in value.items():
            if not isinstance(sizes, list) or not sizes or not all(_is_count(size) for size in sizes):
                raise self.error(f"frontend.shape.{name}", sizes, "whole numbers of 1 or more, as [1, 3, 512, 512]")
            shapes[str(name)] = tuple(sizes)
        return shapes

    def quantization(self) -> Quantization:
        section = "backend.quantize"
        defaults = Quantization()
        mode, per_channel = (self.get(f"{section}.{key}") for key in ("calibrate_mode", "quantize_per_channel"))
        if mode is not None:
            mode = self.choice(f"{section}.calibrate_mode", CALIBRATE_MODES)
        if per_channel is not None and not isinstance(per_channel, bool):
            raise self.error(f"{section}.quantize_per_channel", per_channel, "true or false")
        return Quantization(
            calibrate_mode=defaults.calibrate_mode if mode is None else mode,
            per_channel=defaults.per_channel if per_channel is None else per_channel,
            percentile=self._share(f"{section}.calibrate_range"),
            skip_conv_layers=self._ordinals(f"{section}.skip_conv_layers"),
            skip_matmul_layers=self._ordinals(f"{section}.skip_matmul_layers"),
            exclude_layers=self._layers(f"{section}.exclude_layers"),
        )

    def _share(self, key: str) -> float | None:
        value = self.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.5 < value <= 1:
            raise self.error(key, value, "a share above 0.5 and up to 1, as 0.99999")
        return float(value)

    def _ordinals(self, key: str) -> tuple[int, ...]:
        value = self.get(key)
        values = [] if value is None else value if isinstance(value, list) else [value]
        if not all(_is_count(one, 0) for one in values):
            raise self.error(key, value, "whole numbers of 0 or more, as [0, 5]")
        return tuple(values)

    def _layers(self, key: str) -> tuple[str | int, ...]:
        value = self.get(key)
        values = [] if value is None else value if isinstance(value, list) else [value]
        if not all(isinstance(one, str) or _is_count(one, 0) for one in values):
            raise self.error(key, value, "names of layers, or their numbers from 0")
        return tuple(values)

    def dataset(self, needed: bool) -> Dataset | None:
        """The dataset section; it may be absent, or incomplete, where nothing is calibrated."""
        if not needed:
            return None
        path = Path(self.text("dataset.path"))
        suffix = self.text("dataset.sampler.suffix").lstrip("*").lstrip(".").lower()
        count = self.need("dataset.sampler.get_data_num")
        if not _is_count(count):
            raise self.error("dataset.sampler.get_data_num", count, "a whole number of 1 or more")
        ops = self.get("dataset.process_ops")
        if ops is None and suffix != "npz":
            self.need("dataset.process_ops")
        if not isinstance(ops, (list, type(None))) or not all(
            isinstance(op, dict) and "type" in op for op in ops or ()
        ):
            raise self.error(
                "dataset.process_ops", ops, "a list of operations, each with a type, as - type: DecodeImage"
            )
        return Dataset(path, suffix, count, tuple(MappingProxyType(dict(op)) for op in ops or ()))

    def folder(self, name: str, dtype: str, mode: str, shape: tuple[int, ...]) -> Path:
        """workspace.path/NAME; in the older schema work_dir/NAME-DTYPE-MODE-SHAPE-vacc, as the vendor's pages have it.

        MODE is "none" for floating point.
        """
        if self.get("workspace.path") is not None:
            return Path(self.text("workspace.path")) / name
        if self.get("workspace.work_dir") is None:
            raise DataError(f"{self.file}: no workspace.path, expected this key (or workspace.work_dir)")
        calibration = mode if dtype == "int8" else "none"
        sizes = "_".join(map(str, shape))
        return Path(self.text("workspace.work_dir")) / f"{name}-{dtype}-{calibration}-{sizes}-vacc"


def _is_count(value: Any, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= _MOST


def _is_plain(text: str) -> bool:
    """Whether a file could have this name: no NUL, no half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def _kind(data: Any) -> str:
    return "empty" if data is None else f"a {type(data).__name__}"
