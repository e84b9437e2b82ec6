"""Beside a folder of network outputs: what made them, so that a later run can tell whether they are its own.

``run.json`` in the folder names the backend, the model and the preprocessing, and for every output the input that it
was made from. A run that goes on where another one stopped may keep an output only if all of these are the same.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hrnetae.files.atomic import atomic_write
from hrnetae.files.errors import DataError
from hrnetae.foreign import read_file, shown

RECORD_NAME = "run.json"
FORMAT = "hrnetae run 2"
_SUFFIX = ".npz"
_LARGEST = 1 << 30  # bytes


@dataclass(frozen=True)
class RunRecord:
    """What the bytes of a folder's outputs depend on, all of them alike.

    verb: which driver (convert-image, vamp, runstream). backend: what did the work, in words. dtype: of the outputs.
    model, vdsp_params, inputs: sha256 of the ONNX file, of the preprocessing's file and of the inputs' names in their
    order (None where the outputs go by name; convert-image has neither model nor preprocessing).
    """

    verb: str
    backend: str
    dtype: str
    model: str | None = None
    vdsp_params: str | None = None
    inputs: str | None = None


def write_record(folder: Path, record: RunRecord, outputs: Mapping[str, str]) -> None:
    """Write run.json; the folder is made if need be.

    outputs: by their file names, the inputs that they are made from, see ``input_identity``; "" for those that are
    going to be removed. Errors: OSError.
    """
    content = {"format": FORMAT, **vars(record), "outputs": dict(outputs)}
    with atomic_write(folder / RECORD_NAME) as handle:
        handle.write(f"{json.dumps(content, indent=1)}\n".encode())


def check_record(folder: Path, record: RunRecord) -> None:
    """Make sure that what is in the folder is of a run like ``record``; a folder without outputs is.

    Errors: DataError that names what differs.
    """
    path = folder / RECORD_NAME
    try:
        found = json.loads(read_file(path, _LARGEST))
    except FileNotFoundError:
        if folder.is_dir() and any(entry.suffix == _SUFFIX for entry in folder.iterdir()):
            raise DataError(f"{folder}: outputs without {RECORD_NAME}, expected those of an earlier run") from None
        return
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}, expected a readable record of the earlier run") from None
    except (ValueError, RecursionError):
        found = None
    if not _is_record(found):
        raise DataError(f"{path}: not what a run leaves there, expected the record of the earlier run")
    difference = _first_difference(found, record)
    if difference is not None:
        was, will_be = found.get(difference), getattr(record, difference)
        raise DataError(
            f"{path}: the outputs there are of another run, {difference} {_short(was)}, expected {_short(will_be)} "
            "(without --resume all are made anew)"
        )


def check_verb(folder: Path, verb: str) -> None:
    """Make sure that the folder's outputs, if it has any, are not those of another driver: perhaps this one's inputs.

    Errors: DataError.
    """
    found = _found(folder)
    if found is not None and found.get("verb") != verb:
        raise DataError(f"{folder / RECORD_NAME}: made by {_short(found.get('verb'))}, expected a folder for {verb}")


def is_record_of(folder: Path, record: RunRecord) -> bool:
    """Whether the folder has a record, and of a run like ``record``."""
    found = _found(folder)
    return found is not None and _first_difference(found, record) is None


def recorded_outputs(folder: Path) -> dict[str, str]:
    """The outputs that the folder's record tells of, and what each was made from; none without a record of ours.

    Names that lead out of the folder are left out: the files may be removed by what is said here.
    """
    found = _found(folder)
    outputs = {} if found is None else found["outputs"]
    return {name: shown(made_from, 1 << 16, str) for name, made_from in outputs.items() if _is_plain(name)}


def input_identity(path: Path) -> str | None:
    """What tells an input from every other one and from itself before a change; None where there is no such file.

    Its path without links, size and times in nanoseconds (content, and where the system has it, status): for ten
    thousand inputs that takes a second, where to read them all would take as long as to run them. A file that was only
    copied or touched counts as another one, so that the worst mistake is an output that is made twice.
    """
    try:
        real = path.resolve()
    except (OSError, RuntimeError, ValueError):  # RuntimeError: a ring of links; ValueError: a NUL in the name
        return None
    status = file_status(real)
    return None if status is None else f"{real} {' '.join(map(str, status))}"


def file_status(path: str | os.PathLike[str]) -> tuple[int, int, int] | None:
    """Size and times (content, status) in nanoseconds of a file; None where there is no such file."""
    try:
        status = os.stat(path)  # noqa: PTH116 - a Path would cost as much again
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Of a file's bytes, in hexadecimal. Errors: DataError where it cannot be read."""
    try:
        with Path(path).open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{os.fspath(path)}: {error.strerror or error}, expected a readable file") from None


def sha256_of_names(names: tuple[str, ...]) -> str:
    """Of names in their order, in hexadecimal."""
    return hashlib.sha256("\n".join(names).encode("utf-8", "surrogateescape")).hexdigest()


def _short(value: Any) -> str:
    text = shown(value, 64, str)
    return text if len(text) < 64 else text[:12]


def read_record(folder: Path) -> dict[str, Any] | None:
    """What a folder's run.json says, whoever wrote it; None where there is none that can be read."""
    try:
        found = json.loads(read_file(folder / RECORD_NAME, _LARGEST))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _found(folder: Path) -> dict[str, Any] | None:
    found = read_record(folder)
    return found if _is_record(found) else None


def _is_record(found: Any) -> bool:
    return isinstance(found, dict) and found.get("format") == FORMAT and isinstance(found.get("outputs"), dict)


def _first_difference(found: Mapping[str, Any], record: RunRecord) -> str | None:
    names = [field.name for field in fields(record)]
    return next((name for name in names if found.get(name) != getattr(record, name)), None)


def _is_plain(name: str) -> bool:
    return name.endswith(_SUFFIX) and not any(mark in name for mark in "/\\:\0")
