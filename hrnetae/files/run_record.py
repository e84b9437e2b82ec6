"""Beside a folder of network outputs: what made them, so that a later run can tell whether they are its own.

``run.json`` in the folder names the backend, the model and the preprocessing. A run that goes on where another one
stopped may keep what is there only if these are the same.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hrnetae.files.atomic import atomic_write
from hrnetae.files.errors import DataError

RECORD_NAME = "run.json"
FORMAT = "hrnetae run 1"


@dataclass(frozen=True)
class RunRecord:
    """What the bytes of a folder's outputs depend on.

    verb: which driver (vamp, runstream). backend: what ran the network, in words. dtype: of the outputs.
    model, vdsp_params, inputs: sha256 of the ONNX file, of the preprocessing's file and of the inputs' names in their
    order (None where the outputs go by name).
    """

    verb: str
    backend: str
    dtype: str
    model: str
    vdsp_params: str
    inputs: str | None = None


def write_record(folder: Path, record: RunRecord) -> None:
    """Write run.json; the folder is made if need be. Errors: OSError."""
    text = json.dumps({"format": FORMAT, **vars(record)}, indent=1, ensure_ascii=False) + "\n"
    with atomic_write(folder / RECORD_NAME) as handle:
        handle.write(text.encode())


def check_record(folder: Path, record: RunRecord) -> None:
    """Make sure that what is in the folder is of a run like ``record``; a folder without outputs is.

    Errors: DataError that names what differs.
    """
    path = folder / RECORD_NAME
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        if folder.is_dir() and any(entry.suffix == ".npz" for entry in folder.iterdir()):
            raise DataError(f"{folder}: outputs without {RECORD_NAME}, expected those of an earlier run") from None
        return
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}, expected a readable record of the earlier run") from None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise DataError(f"{path}: not what a run leaves there, expected the record of the earlier run")
    for field in fields(record):
        was, will_be = found.get(field.name), getattr(record, field.name)
        if was != will_be:
            raise DataError(
                f"{path}: the outputs there are of another run, {field.name} {_short(was)}, expected {_short(will_be)} "
                "(without --resume all are made anew)"
            )


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
    text = str(value)
    return text if len(text) < 64 else text[:12]
