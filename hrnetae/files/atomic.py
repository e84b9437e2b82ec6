"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from hrnetae.files.errors import DataError
from hrnetae.files.kernel_lock import is_at, try_lock, unlink_locked

_TEMPORARY = re.compile(r"\.[0-9a-f]{32}\.(tmp|avi|mkv|mov|mp4)")  # of atomic_write, and of the videos that are written


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
        with target.open("wb") as device:
            yield device
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        temporary, handle = open_temporary(target)
    except OSError as error:  # name the file that was asked for
        raise type(error)(error.errno, error.strerror, str(path)) from None
    try:
        with naming(path), handle:
            yield handle
            handle.flush()
            if sync:
                os.fsync(handle.fileno())
            if os.name != "nt":  # locked until it has its name: unlocked it would be taken for a leftover
                temporary.replace(target)
        if os.name == "nt":  # where no open file can be renamed
            temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)  # gone already where all went well


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Errors in the block that name no file, such as that of a full disk, are told of this one."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = os.fspath(path)
        raise


def open_temporary(target: Path, suffix: str = ".tmp") -> tuple[Path, BinaryIO]:
    """A new hidden file beside ``target``, open and locked, so that `remove_leftovers` sees that it is worked on."""
    while True:
        temporary = temporary_name(target, suffix)
        handle: BinaryIO = temporary.open("xb")
        got = try_lock(handle)
        if got is None or (got and is_at(handle, temporary)):
            return temporary, handle
        handle.close()  # taken for a leftover before it was locked


def temporary_name(target: Path, suffix: str = ".tmp") -> Path:
    """A hidden name beside ``target`` that nothing has yet."""
    return target.with_name(f".{uuid.uuid4().hex}{suffix}")


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder; those that are being written stay.

    Where that cannot be told, as the file system knows no locks, they all stay.
    """
    for path in [path for path in folder.iterdir() if _TEMPORARY.fullmatch(path.name)]:
        with suppress(OSError), path.open("r+b") as handle:  # an error: gone meanwhile, or somebody else's, and stays
            if try_lock(handle):
                unlink_locked(path, handle)


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
    probe = temporary_name(folder / target.name)
    try:
        probe.open("xb").close()
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from None
    probe.unlink(missing_ok=True)


def folder_above(path: str | os.PathLike[str]) -> Path:
    """The nearest folder above ``path`` that is there. Errors: DataError where a file is in its place."""
    nearest = next(parent for parent in Path(path).resolve().parents if parent.exists())
    if not nearest.is_dir():
        raise DataError(f"{os.fspath(path)}: {nearest.name} above it is a file, expected a folder")
    return nearest
