"""The folder of a report: one page, and its numbers beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from hrnetae.files.atomic import atomic_write, check_writable
from hrnetae.files.errors import DataError

INDEX = "index.html"


def check_folder(folder: Path, names: Iterable[str]) -> None:
    """Say before the work what would hinder `write_files` of these names. Errors: DataError, OSError."""
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder}: a file, expected a folder for the report")
    for name in names:
        if (folder / name).is_dir():
            raise DataError(f"{folder / name}: a folder, expected nothing or an earlier report's file there")
        check_writable(folder / name)


def write_files(folder: Path, texts: Mapping[str, str]) -> None:
    """Write each text under its name, in this order, whole or not at all. Errors: OSError."""
    for name, text in texts.items():
        with atomic_write(folder / name) as stream:
            stream.write(text.encode())
