"""The one error for data that is not what it should be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hrnetae.foreign import one_line


class DataError(ValueError):
    """Bad data on disk. The message is one line: the file, what was found, what was expected.

    Control characters and the like in it, which a file may hold, are written as escapes.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class AbsentError(DataError):
    """A file that is not there. path: which."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


def not_for_workers(error: AbsentError) -> DataError:
    """The same error or, where the file is there for this process, one that says so: a worker elsewhere met it."""
    if not Path(error.path).exists():
        return error
    return DataError(f"{error.path}: not there for a worker, but here, expected files that all workers see")


def first_names(names: Sequence[str], most: int = 3) -> str:
    """The first ``most`` of ``names`` for a message: ``a, b, c ...``."""
    return ", ".join(names[:most]) + (" ..." if len(names) > most else "")


def some_names(names: Sequence[str], most: int = 10) -> str:
    """As `first_names`, and how many are left out: ``a, b, c ... and 4 more``."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" ... and {more:,} more" if more > 0 else "")
