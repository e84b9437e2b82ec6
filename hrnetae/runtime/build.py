"""From a build file to a model folder: what vamc does where ONNX Runtime runs the network."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hrnetae.files.errors import DataError
from hrnetae.files.lock import beside, lock_file
from hrnetae.files.model_folder import ONNX_NAME, Manifest, TensorInfo, check_target, mend_model, write_model
from hrnetae.files.vamc_config import VamcConfig
from hrnetae.runtime import half
from hrnetae.runtime.calibration import CalibrationResult, Progress, calibrate, list_calibration_files, make_feeds
from hrnetae.runtime.calibration_state import CalibrationState
from hrnetae.runtime.checkpoint import Checkpoint, load_checkpoint, runtime_errors, simplify
from hrnetae.runtime.quantize import Plan, layers_to_skip, plan, quantize
from hrnetae.runtime.ranges import PERCENTILE, find_range
from hrnetae.runtime.recipe import KEY, find_built, recipe_of

BACKEND = "onnxruntime"
_FP32 = "float32"
_INT8 = "8-bit operators (activations unsigned, weights signed); the last layer before each output float32"


@dataclass(frozen=True)
class BuildReport:
    """What was built.

    folder: where it lies. manifest: what its mod.json says. model_bytes: size of mod.onnx. seconds: it took.
    warnings: lines for the user. bad: one line for each calibration file that could not be used.
    kept: it was there already.
    """

    folder: Path
    manifest: Manifest
    model_bytes: int
    seconds: float
    warnings: tuple[str, ...]
    bad: tuple[str, ...]
    kept: bool = False

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the manifest's fields and folder, model (the ONNX file), model_bytes, seconds, bad, kept."""
        extra = {
            "folder": str(self.folder),
            "model": str(self.folder / ONNX_NAME),
            "model_bytes": self.model_bytes,
            "seconds": round(self.seconds, 3),
            "warnings": list(self.warnings),
            "bad": list(self.bad),
            "kept": self.kept,
        }
        return extra | self.manifest.to_dict()


@dataclass(frozen=True)
class _Source:
    """What a model is built from. files: calibration pictures. recipe: see recipe.py. warnings: lines for the user."""

    config: VamcConfig
    checkpoint: Checkpoint
    files: Sequence[Path]
    recipe: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Built:
    model: Any
    execution: str
    calibration: Mapping[str, Any] | None = None
    bad: tuple[str, ...] = ()


def build(
    config: VamcConfig,
    folder: Path | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    resume: bool = False,
) -> BuildReport:
    """Build the network of a build file and write its folder.

    folder: where to, in place of the file's own. threads: for calibration; None: every processor. progress: called with
    (calibration files done, in all).
    resume: a model that is there whole and was made from the same network, settings and pictures is kept, and a
    calibration that was stopped goes on; what it had counted lies beside the folder until the model is there.
    The built network is run once before it is written. The same input gives the same bytes.
    Errors: DataError, also where another build writes the same folder, and OSError, in one line; no model is written or
    changed then.
    """
    start = time.perf_counter()
    folder = config.folder if folder is None else folder
    with lock_file(folder):
        mend_model(folder)
        check_target(folder)
        source = _read_source(config)
        state = CalibrationState(beside(folder.resolve(), "calibration"), source.recipe)
        manifest = find_built(folder, source.recipe) if resume else None
        if kept := manifest is not None:
            bad = _left_out(config, manifest)
        else:
            if not resume:
                state.remove()
            try:
                manifest, bad = _build_anew(source, folder, state, threads, progress)
            except DataError:  # it will not become better
                state.remove()
                raise
        state.remove()
        size = (folder / ONNX_NAME).stat().st_size
    return BuildReport(
        folder=folder,
        manifest=manifest,
        model_bytes=size,
        seconds=time.perf_counter() - start,
        warnings=(*config.warnings, *source.warnings),
        bad=bad,
        kept=kept,
    )


def _read_source(config: VamcConfig) -> _Source:
    """What the build file names, read and checked as far as can be told before the long work."""
    checkpoint = load_checkpoint(config)
    files: Sequence[Path] = ()
    warnings: tuple[str, ...] = ()
    if config.dtype == "int8":
        dataset = config.dataset
        if dataset is None:
            raise DataError(f"{config.file}: no dataset, expected pictures to calibrate int8 with")
        files, wanted = list_calibration_files(dataset), dataset.get_data_num
        if len(files) < wanted:
            warnings = (f"{dataset.path}: {len(files)} files, though dataset.sampler.get_data_num is {wanted}",)
    return _Source(config, checkpoint, files, recipe_of(config, checkpoint, files, _versions()), warnings)


def _left_out(config: VamcConfig, manifest: Manifest) -> tuple[str, ...]:
    """The calibration files that a model that is kept was built without."""
    names = (manifest.calibration or {}).get("left_out", ())
    return tuple(
        f"{config.dataset.path / name}: of no use when the model was built" for name in names if config.dataset
    )


def _build_anew(
    source: _Source, folder: Path, state: CalibrationState, threads: int | None, progress: Progress | None
) -> tuple[Manifest, tuple[str, ...]]:
    """Returns the manifest and a line for each calibration file that could not be used."""
    config, checkpoint = source.config, source.checkpoint
    if config.dtype == "int8":
        built = _int8(source, state, threads, progress)
    elif config.dtype == "fp16":
        built = _Built(half.to_half(simplify(checkpoint.model, config.checkpoint)), half.EXECUTION)
    else:
        built = _Built(checkpoint.model, _FP32)
    onnx = built.model.SerializeToString(deterministic=True)
    inputs, outputs = _try(onnx, checkpoint, config.checkpoint)
    manifest = Manifest(
        name=config.name,
        backend=BACKEND,
        dtype=config.dtype,
        execution=built.execution,
        inputs=inputs,
        outputs=outputs,
        source={"file": config.checkpoint.name, "sha256": checkpoint.sha256, KEY: source.recipe},
        sha256=hashlib.sha256(onnx).hexdigest(),
        versions=_versions(),
        calibration=built.calibration,
        settings=config.settings,
        unknown=config.unknown,
    )
    write_model(folder, onnx, manifest)
    return manifest, built.bad


def _int8(source: _Source, state: CalibrationState, threads: int | None, progress: Progress | None) -> _Built:
    config, checkpoint, how = source.config, source.checkpoint, source.config.quantization
    assert config.dataset is not None
    with _naming(config.file):
        feeds = make_feeds(config.dataset, checkpoint.shapes)
    _refuse_quantised(checkpoint.model, config.checkpoint)
    with _naming(config.file):
        skipped = layers_to_skip(checkpoint.model, how)
    simple = simplify(checkpoint.model, config.checkpoint)
    chosen = plan(simple, skipped)
    if not chosen.nodes:
        raise DataError(f"{config.checkpoint}: no layer to quantise, expected convolutions that are not all left out")
    extent_only = how.calibrate_mode == "max"
    found = calibrate(simple, chosen.watched, source.files, feeds, extent_only, state, threads, progress)
    ranges = {
        name: find_range(histogram, how.calibrate_mode, how.percentile) for name, histogram in found.histograms.items()
    }
    return _Built(
        model=quantize(simple, chosen, ranges, how.per_channel),
        execution=_INT8,
        calibration=_describe(config, chosen, found),
        bad=found.bad,
    )


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Puts the build file's path before the errors of the block, which name its keys alone."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{file}: {error}") from None


def _describe(config: VamcConfig, chosen: Plan, found: CalibrationResult) -> dict[str, Any]:
    """How the ranges came about, for the manifest."""
    how = config.quantization
    percentile = (
        (PERCENTILE if how.percentile is None else how.percentile) if how.calibrate_mode == "percentile" else None
    )
    return {
        "mode": how.calibrate_mode,
        "percentile": percentile,
        "per_channel": how.per_channel,
        "pictures": found.pictures,
        "left_out": list(found.left_out),
        "quantized_nodes": len(chosen.nodes),
        "float_nodes": list(chosen.kept),
    }


def _refuse_quantised(model: Any, path: Path) -> None:
    if any(node.op_type in ("QuantizeLinear", "QLinearConv", "DynamicQuantizeLinear") for node in model.graph.node):
        raise DataError(f"{path}: quantised already, expected a float32 network to build int8 from")


def _try(onnx: bytes, checkpoint: Checkpoint, path: Path) -> tuple[tuple[TensorInfo, ...], tuple[TensorInfo, ...]]:
    """Inputs and outputs of the built network, from running it once on zeros."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    feeds = {name: np.zeros(shape, np.float32) for name, shape in checkpoint.shapes.items()}
    with runtime_errors(path):
        session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        values = session.run(None, feeds)
    names = [value.name for value in session.get_outputs()]
    return (
        tuple(TensorInfo(name, array.shape, str(array.dtype)) for name, array in feeds.items()),
        tuple(TensorInfo(name, array.shape, str(array.dtype)) for name, array in zip(names, values, strict=True)),
    )


def _versions() -> dict[str, str]:
    import onnx
    import onnxruntime

    from hrnetae import __version__

    return {"hrnetae": __version__, "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}
