"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from hrnetae.files.errors import DataError


@contextmanager
def atomic_write(path: str | os.PathLike[str], *, sync: bool = False) -> Iterator[BinaryIO]:
    """A binary file to write to, which takes the name ``path`` when the block ends without an error.

    Until then it has a temporary name in the same folder; an error removes it and leaves what ``path`` held before.
    Missing folders above ``path`` are made. A link is followed. Something that is no regular file (a device, a pipe)
    cannot be replaced and is written to directly.

    sync: wait until the bytes are on the disk before the file takes its name.
    Errors: OSError, as ``open`` raises it.
    """
    target = Path(path).resolve()
    if target.exists() and not target.is_file():
        with target.open("wb") as handle:
            yield handle
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        handle = temporary.open("xb")
    except OSError as error:  # name the file that was asked for
        raise type(error)(error.errno, error.strerror, str(path)) from None
    try:
        with handle:
            yield handle
            handle.flush()
            if sync:
                os.fsync(handle.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)  # gone already where all went well


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise now what `atomic_write` would raise after long work, as far as can be told beforehand.

    Nothing is left behind, and no folder made.
    Errors: DataError for a folder, and for a path through a file; OSError where nothing can be written.
    """
    target = Path(path).resolve()
    if target.is_dir():
        raise DataError(f"{os.fspath(path)}: a folder, expected the name of a file to write")
    if target.exists() and not target.is_file():
        return
    folder = folder_above(path)
    probe = folder / f".{uuid.uuid4().hex}.tmp"
    try:
        probe.open("xb").close()
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from None
    probe.unlink()


def folder_above(path: str | os.PathLike[str]) -> Path:
    """The nearest folder above ``path`` that is there. Errors: DataError where a file is in its place."""
    nearest = next(parent for parent in Path(path).resolve().parents if parent.exists())
    if not nearest.is_dir():
        raise DataError(f"{os.fspath(path)}: {nearest.name} above it is a file, expected a folder")
    return nearest
