"""The one error for data that is not what it should be."""

from __future__ import annotations

from collections.abc import Sequence

from hrnetae.foreign import one_line


class DataError(ValueError):
    """Bad data on disk. The message is one line: the file, what was found, what was expected.

    Control characters and the like in it, which a file may hold, are written as escapes.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


def first_names(names: Sequence[str], most: int = 3) -> str:
    """The first ``most`` of ``names`` for a message: ``a, b, c ...``."""
    return ", ".join(names[:most]) + (" ..." if len(names) > most else "")
