"""int8 calibration: which ranges the activations of a network take on pictures like those it will see."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.decoder import available_processors
from hrnetae.files.errors import DataError
from hrnetae.files.npz import check_claims
from hrnetae.files.vamc_config import Dataset
from hrnetae.foreign import check_regular
from hrnetae.runtime.calibration_state import CalibrationState
from hrnetae.runtime.checkpoint import runtime_errors
from hrnetae.runtime.histograms import Histogram
from hrnetae.runtime.process_ops import ProcessOps

Progress = Callable[[int, int], None]  # pictures done, pictures in all
Feed = Mapping[str, NDArray[np.float32]]
_NPZ = "npz"


@dataclass(frozen=True)
class CalibrationResult:
    """What the pictures gave.

    histograms: tensor name -> its histogram. pictures: how many took part. bad: one line for each that could not be
    read, which left it out; left_out: their file names.
    """

    histograms: Mapping[str, Histogram]
    pictures: int
    bad: tuple[str, ...]
    left_out: tuple[str, ...]


def list_calibration_files(dataset: Dataset) -> list[Path]:
    """The first ``get_data_num`` files of the folder with the suffix (in any case), sorted by name.

    Errors: DataError for a folder that is missing, is none, or holds no such file.
    """
    folder = dataset.path
    if not folder.is_dir():
        found = "a file" if folder.exists() else "no such folder"
        raise DataError(f"{folder}: {found}, expected the folder of calibration files (dataset.path)")
    ending = f".{dataset.suffix}"
    files = (entry for entry in folder.iterdir() if entry.name.lower().endswith(ending) and entry.is_file())
    chosen = sorted((entry for entry in files if not entry.name.startswith(".")), key=lambda entry: entry.name)
    if not chosen:
        raise DataError(f"{folder}: no {ending} files, expected pictures to calibrate with (dataset.sampler.suffix)")
    return chosen[: dataset.get_data_num]


def calibrate(
    model: Any,
    tensors: Sequence[str],
    files: Sequence[Path],
    feeds: Callable[[Path], Feed],
    extent_only: bool,
    state: CalibrationState,
    threads: int | None = None,
    progress: Progress | None = None,
) -> CalibrationResult:
    """Run a network on one file after the other and count the values of some of its tensors.

    model: onnx.ModelProto, float32. tensors: names of activations. feeds: a file -> the network's inputs, or DataError.
    extent_only: least and largest values are enough. Only one file's activations are in memory at a time.
    state: what it holds is not counted again, and it is kept up to date.
    Errors: DataError where no file can be read, and for activations that are not finite; OSError where the state cannot
    be written.
    """
    counted = state.load(tensors)
    session = _open(_with_outputs(model, tensors), threads)
    for file in files[counted.done :]:
        try:
            inputs = feeds(file)
        except DataError as error:
            counted.bad.append(str(error))
            counted.left_out.append(file.name)
        else:
            _count(_run(session, tensors, inputs, file), counted.histograms, extent_only, file)
        counted.done += 1
        state.keep(counted)
        if progress is not None:
            progress(counted.done, len(files))
    if len(counted.bad) == len(files):
        raise DataError(f"{counted.bad[0]} (none of {len(files)} calibration files can be used)")
    used = len(files) - len(counted.bad)
    return CalibrationResult(counted.histograms, used, tuple(counted.bad), tuple(counted.left_out))


def make_feeds(dataset: Dataset, shapes: Mapping[str, tuple[int, ...]]) -> Callable[[Path], Feed]:
    """The function that makes a network's inputs of a calibration file.

    Pictures go through process_ops. Files with the suffix npz hold the inputs themselves, by the inputs' names, or in
    the inputs' order where the names are others; a missing batch axis is added.
    shapes: input name -> shape. Errors: DataError for unknown operations, and for pictures where there are several
    inputs.
    """
    if dataset.suffix == _NPZ:
        return lambda file: _fit_all(_read_npz(file, shapes), shapes, file)
    if len(shapes) != 1:
        raise DataError(f"dataset.sampler.suffix {dataset.suffix}: {len(shapes)} inputs, expected npz files for these")
    operations = ProcessOps(dataset.process_ops)
    (name,) = shapes
    return lambda file: _fit_all({name: operations(file)}, shapes, file)


def _read_npz(file: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[Any]]:
    try:
        check_regular(file)
        with zipfile.ZipFile(file) as archive:
            check_claims(str(file), archive)
        with np.load(file, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
    except DataError:
        raise
    except Exception as error:  # zipfile, zlib, NumPy and the system raise what they like for a broken file
        raise DataError(f"{file}: {error}, expected an npz file of network inputs") from None
    if len(arrays) < len(shapes):
        raise DataError(f"{file}: {len(arrays)} arrays, expected {len(shapes)}, one for each input")
    if set(shapes) <= set(arrays):
        return {name: arrays[name] for name in shapes}
    return dict(zip(shapes, arrays.values(), strict=False))


def _fit_all(arrays: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]], file: Path) -> Feed:
    return {name: _fit(arrays[name], shape, name, file) for name, shape in shapes.items()}


def _fit(array: NDArray[Any], shape: tuple[int, ...], name: str, file: Path) -> NDArray[np.float32]:
    if array.dtype.kind not in "fiub":
        raise DataError(f"{file}: {array.dtype} for the input {name}, expected numbers")
    array = array[np.newaxis] if array.ndim == len(shape) - 1 else array
    if array.ndim == len(shape) and len(array) == 1 < shape[0]:
        array = np.repeat(array, shape[0], axis=0)  # a fixed batch; the same picture again changes no range
    if array.shape != shape:
        raise DataError(
            f"{file}: becomes {list(array.shape)}, expected {list(shape)}, the shape of the input {name} (see "
            "dataset.process_ops)"
        )
    return np.ascontiguousarray(array, np.float32)


def _with_outputs(model: Any, tensors: Sequence[str]) -> Any:
    """A copy of the network that puts out these tensors, too. ONNX Runtime finds their types by itself."""
    import onnx

    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    there = {value.name for value in (*watched.graph.output, *watched.graph.input)}
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors if name not in there)
    return watched


def _open(model: Any, threads: int | None) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or available_processors()
    options.log_severity_level = 3
    # Every activation leaves the session here. Its own pool would keep a second set of them for the next picture.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    with runtime_errors(Path("calibration")):
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _count(
    values: Iterator[tuple[str, NDArray[np.float32]]],
    histograms: Mapping[str, Histogram],
    extent_only: bool,
    file: Path,
) -> None:
    for name, array in values:
        try:
            histograms[name].add(array, extent_only)
        except ValueError as error:
            raise DataError(f"{file}: gives {error} in {name}, expected finite activations") from None


def _run(session: Any, tensors: Sequence[str], inputs: Feed, file: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """(name, values) of each tensor; those that are inputs are not computed."""
    computed = [name for name in tensors if name not in inputs]
    with runtime_errors(file):
        values = session.run(computed, dict(inputs))
    yield from ((name, inputs[name]) for name in tensors if name in inputs)
    values.reverse()
    for name in computed:
        yield name, values.pop()  # one by one, so that each is freed when it was counted
