"""Built networks on disk: a folder with mod.onnx and mod.json, its manifest; and finding one by a prefix.

The vendor's model suite is mod.so, mod.json and mod.params, and its tools take the common prefix of the three
(``deploy_weights/hrnet/mod``). The same prefixes name our folders; our mod.json says what it is by its first key.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hrnetae.files.errors import DataError, first_names
from hrnetae.files.lock import beside
from hrnetae.foreign import read_file, shown

FORMAT = "hrnetae model 1"
ONNX_NAME = "mod.onnx"
MANIFEST_NAME = "mod.json"
_STAGED, _ASIDE = "new", "old"  # beside a folder while it is replaced
_LARGEST_MANIFEST = 1 << 28  # bytes; the vendor's graph goes by the same name
_LARGEST_SIDE = 1 << 31
_VENDOR_SUFFIXES = (".so", ".params")


@dataclass(frozen=True)
class TensorInfo:
    """An input or output: name, shape with the batch axis, element type in NumPy's words (``float32``)."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Manifest:
    """What mod.json says of the network beside it.

    name: the network's, from the build file. backend: which one runs it (``onnxruntime``). dtype: what it was built
    as, ``fp32``, ``fp16`` or ``int8``. execution: in one line, how numbers are held and computed.
    source: file name and sha256 of the ONNX file that it was built from. calibration: how int8 ranges were found, else
    None. settings: keys of the build file that have no meaning for this backend, kept as they stood. unknown: those
    that nobody knows, as dotted keys. versions: of hrnetae, onnx and onnxruntime. sha256: of mod.onnx.
    """

    name: str
    backend: str
    dtype: str
    execution: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    source: Mapping[str, str]
    sha256: str
    versions: Mapping[str, str]
    calibration: Mapping[str, Any] | None = None
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    unknown: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def to_dict(self) -> dict[str, Any]:
        """The content of mod.json: the format's name first, then the fields in their order."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        fields["inputs"] = [asdict(info) for info in self.inputs]
        fields["outputs"] = [asdict(info) for info in self.outputs]
        return {"format": FORMAT} | {
            name: dict(value) if isinstance(value, Mapping) else value for name, value in fields.items()
        }


@dataclass(frozen=True)
class ModelFiles:
    """A network that was found: its ONNX file, and its manifest unless it is a bare ONNX file."""

    onnx: Path
    manifest: Manifest | None


def find_model(prefix: str | os.PathLike[str]) -> ModelFiles:
    """The network that ``prefix`` names.

    Prefixes, the first that fits: an ``.onnx`` file; that without its extension (``folder/mod``); a folder with
    mod.onnx in it, or with one ONNX file alone; ``folder/NAME`` where folder/mod.onnx was built under that NAME or the
    folder's name is NAME or begins with it and a dash (the vendor's older pages).
    Errors: DataError for a prefix that names none, for several to choose from, for a folder with the vendor's model
    alone, and for a broken manifest.
    """
    path = Path(prefix)
    onnx = _onnx_file(path)
    if onnx is None:
        raise DataError(_not_found(path))
    return ModelFiles(onnx, read_manifest(onnx.with_suffix(".json")))


def read_manifest(path: Path) -> Manifest | None:
    """The manifest in a file; None where there is no file, or JSON of another make (the vendor's graph).

    Errors: DataError for a file that cannot be read, is no JSON, or is a manifest with a field missing or of the wrong
    kind.
    """
    try:
        data = json.loads(read_file(path, _LARGEST_MANIFEST))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}, expected a readable manifest") from None
    except (ValueError, RecursionError):
        raise DataError(f"{path}: no JSON, expected a manifest written by vamc") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        return None
    try:
        return _manifest(data)
    except (KeyError, TypeError, ValueError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(f"{path}: {what}, expected a manifest written by vamc") from None


def check_target(folder: Path) -> None:
    """Raise now what `write_model` would raise after the long work.

    Errors: DataError for a folder with other content, which would be lost.
    """
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder}: a file, expected a folder to write the model to")
    if folder.is_dir():
        strange = sorted(path.name for path in folder.iterdir() if path.name not in (ONNX_NAME, MANIFEST_NAME))
        manifest = folder / MANIFEST_NAME
        if not strange and manifest.exists() and not _ours(manifest):
            strange = [MANIFEST_NAME]
        if strange:
            raise DataError(
                f"{folder}: holds {first_names(strange)}, expected a new or empty folder, or one that vamc made"
            )


def mend_model(folder: Path) -> None:
    """Finish what a killed `write_model` began: an earlier model that stepped aside comes back if nothing replaced it.

    The caller holds the lock of ``folder`` (`lock_file`), so that nobody is at work there. Errors: OSError.
    """
    target = folder.resolve()
    staged, aside = beside(target, _STAGED), beside(target, _ASIDE)
    if aside.exists() and not target.exists():
        aside.rename(target)
    for left in (staged, aside):
        if left.exists():
            shutil.rmtree(left)


def write_model(folder: Path, onnx: bytes, manifest: Manifest) -> None:
    """Write mod.onnx and mod.json into a folder that appears under its name when both are whole.

    An earlier model in the folder is replaced; an error leaves it as it was. The caller holds the folder's lock.
    Errors: DataError as `check_target`; OSError.
    """
    mend_model(folder)
    check_target(folder)
    target = folder.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = beside(target, _STAGED)
    try:
        staged.mkdir()
        (staged / ONNX_NAME).write_bytes(onnx)
        text = json.dumps(manifest.to_dict(), indent=1, ensure_ascii=False) + "\n"
        (staged / MANIFEST_NAME).write_text(text, encoding="utf-8")
        _swap(staged, target)
    except OSError as error:  # not all of Python's name the file
        raise type(error)(error.errno, error.strerror, str(folder)) from None
    finally:
        shutil.rmtree(staged, ignore_errors=True)  # gone already where all went well


def _swap(staged: Path, target: Path) -> None:
    """Give ``staged`` the name ``target``. A folder cannot be renamed over a full one, so an old one steps aside."""
    if not target.exists():
        staged.rename(target)
        return
    aside = beside(target, _ASIDE)
    target.rename(aside)
    try:
        staged.rename(target)
    except BaseException:
        if not target.exists():
            aside.rename(target)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _ours(manifest: Path) -> bool:
    try:
        data = json.loads(read_file(manifest, _LARGEST_MANIFEST))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(data, dict) and data.get("format") == FORMAT


def _onnx_file(path: Path) -> Path | None:
    if path.is_file():
        if path.suffix == ".onnx":
            return path
        raise DataError(f"{path}: a {path.suffix or 'strange'} file, expected an ONNX file, a model folder or a prefix")
    if path.is_dir():
        return _in_folder(path)
    beside = path.with_name(f"{path.name}.onnx")
    if beside.is_file():
        return beside
    inside = path.parent / ONNX_NAME
    if inside.is_file() and _goes_by(path.name, path.parent):
        return inside
    return None


def _in_folder(folder: Path) -> Path | None:
    if (folder / ONNX_NAME).is_file():
        return folder / ONNX_NAME
    found = sorted(folder.glob("*.onnx"))
    if len(found) > 1:
        raise DataError(
            f"{folder}: holds {first_names([p.name for p in found])}, expected one ONNX file or {ONNX_NAME}"
        )
    return found[0] if found else None


def _goes_by(name: str, folder: Path) -> bool:
    manifest = read_manifest(folder / MANIFEST_NAME)
    named = folder.resolve().name
    return (manifest is not None and manifest.name == name) or named == name or named.startswith(f"{name}-")


def _not_found(path: Path) -> str:
    folder, stem = (path, "mod") if path.is_dir() else (path.parent, path.name)
    expected = f"expected {path}.onnx or a folder with {ONNX_NAME}"
    for suffix in _VENDOR_SUFFIXES:
        for vendor in (folder / f"{stem}{suffix}", folder / f"mod{suffix}"):
            if vendor.is_file():
                return f"{path}: only the vendor's model ({vendor.name}), which its own tools run; {expected}"
    if path.is_dir():
        return f"{path}: no ONNX file in the folder, {expected}"
    return f"{path}: no such model, {expected}"


def _manifest(data: dict[str, Any]) -> Manifest:
    texts = {name: _of_kind(data[name], str, name) for name in ("name", "backend", "dtype", "execution", "sha256")}
    tables = {name: _of_kind(data[name], dict, name) for name in ("source", "versions", "settings", "unknown")}
    calibration = data["calibration"]
    return Manifest(
        **texts,
        **tables,
        calibration=None if calibration is None else _of_kind(calibration, dict, "calibration"),
        inputs=_tensors(data["inputs"], "inputs"),
        outputs=_tensors(data["outputs"], "outputs"),
    )


def _tensors(value: Any, name: str) -> tuple[TensorInfo, ...]:
    found = []
    for one in _of_kind(value, list, name):
        shape = _of_kind(_of_kind(one, dict, name)["shape"], list, name)
        sizes = tuple(_of_kind(size, int, name) for size in shape)
        if not all(type(size) is int and 0 <= size < _LARGEST_SIDE for size in sizes):
            raise ValueError(f"{name} with shape {shown(shape)}")
        found.append(TensorInfo(_of_kind(one["name"], str, name), sizes, _of_kind(one["dtype"], str, name)))
    return tuple(found)


def _of_kind(value: Any, kind: type, name: str) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{name} is {type(value).__name__}")
    return value
