"""What the fuzzers of readers share: a file is drawn, written to memory and read; its error or its answer looked at."""

from __future__ import annotations

import os
import tempfile
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mutate import Rng, seeded

from hrnetae.files.errors import DataError

_IN_MEMORY = Path("/dev/shm")
_LONGEST_MESSAGE = 4000
_NO_TEXT = ("Cc", "Cs", "Zl", "Zp")  # control characters, surrogates, ends of lines and paragraphs


class FileTarget:
    """A reader of files.

    draw: the content of a file. read: reads it, and raises ``errors`` where it is not as it should be. check: of what
    was read; empty, or what is wrong with it. file_name: of the file, in a folder of its own.
    """

    def __init__(
        self,
        name: str,
        draw: Callable[[Rng], bytes],
        read: Callable[[Path, Rng], Any],
        check: Callable[[Any, bytes], str],
        file_name: str = "file",
        errors: tuple[type[Exception], ...] = (DataError,),
    ) -> None:
        self.name, self._draw, self._read, self._check = name, draw, read, check
        self._file_name, self._errors = file_name, errors
        self._folder = tempfile.TemporaryDirectory(prefix="fuzz-", dir=_IN_MEMORY if _IN_MEMORY.is_dir() else None)
        self.accepted = 0  # files that were read

    def content(self, seed: int, number: int) -> bytes:
        """The file of a case."""
        return self._draw(seeded(self.name, seed, number))

    def run(self, seed: int, number: int) -> str:
        rng = seeded(self.name, seed, number)
        data = self._draw(rng)
        path = self._path()
        path.write_bytes(data)
        try:
            found = self._read(path, rng)
        except self._errors as error:
            return _complaint(error, path)
        self.accepted += 1
        return self._check(found, data)

    def _path(self) -> Path:
        folder = Path(self._folder.name) / str(os.getpid())  # each worker its own
        folder.mkdir(exist_ok=True)
        return folder / self._file_name


def _complaint(error: Exception, path: Path) -> str:
    """What is wrong with an error's message: it is one line of a sane length that names the file."""
    message = str(error)
    if str(path) not in message and str(path.parent) not in message:
        return f"an error that names no file: {message[:200]!r}"
    if any(unicodedata.category(letter) in _NO_TEXT for letter in message):
        return f"an error that is no line of text: {message[:200]!r}"
    return "" if len(message) <= _LONGEST_MESSAGE else f"an error of {len(message)} characters: {message[:200]!r}"
