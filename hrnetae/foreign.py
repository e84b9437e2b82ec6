"""What comes from elsewhere: the bytes of a file, read only where it is one; and words of it in our own messages."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable
from typing import Any

_UNKNOWN_SIZE = 1 << 20  # bytes that a file may have beyond what the system says of it
_LONGEST_LINE, _KEPT_END = 2000, 400  # characters of a message; of these, at its end
# What would move a terminal's cursor or turn the direction of writing, and halves of characters, which cannot be said.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")


def read_file(path: str | os.PathLike[str], most: int) -> bytes:
    """The content of a regular file of up to ``most`` bytes.

    A pipe or a device is not waited for, and no memory is taken for what is too large.
    Errors: OSError, also for a file of another kind and for a larger one; ValueError for a name that none can have.
    """
    with open(path, "rb", opener=open_without_waiting) as file:
        size = size_of_regular(file.fileno(), os.fspath(path))
        if size > most:
            raise OSError(errno.EFBIG, f"{size} bytes, more than {most}", os.fspath(path))
        expected = min(most, max(size, _UNKNOWN_SIZE))
        data = file.read(expected + 1)
    if len(data) > expected:
        raise OSError(errno.EFBIG, f"more than {expected} bytes, and growing", os.fspath(path))
    return data


def open_without_waiting(path: str, flags: int) -> int:
    """An ``opener`` for `open`: a pipe that nobody writes to is open at once."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def size_of_regular(descriptor: int, name: str) -> int:
    """Bytes in an open file. Errors: OSError for a pipe or a device, which has no end."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "a pipe or a device, no regular file", name)
    return status.st_size


def check_regular(path: str | os.PathLike[str]) -> None:
    """Errors: OSError where ``path`` is no regular file, for libraries that open it themselves."""
    with open(path, "rb", opener=open_without_waiting) as file:
        size_of_regular(file.fileno(), os.fspath(path))


def one_line(message: str) -> str:
    """A message as one line of bounded length, whatever words of a file are in it."""
    line = _UNPRINTABLE.sub(_escaped, " ".join(message.splitlines()))
    if len(line) <= _LONGEST_LINE:
        return line
    return f"{line[: _LONGEST_LINE - _KEPT_END]} ... {line[-_KEPT_END:]}"


def shown(value: Any, most: int = 60, write: Callable[[Any], str] = repr) -> str:
    """A value of a file for a message, cut short. write: how; what it cannot write is told by its type."""
    try:
        text = write(value)
    except (RecursionError, ValueError):  # too deep, or a whole number of thousands of digits
        return f"an endless {type(value).__name__}"
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()
