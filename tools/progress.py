"""Progress bars of the drivers: on stderr, and only where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """Called with (done, in all, or None where nobody knows)."""

    def __call__(self, done: int, total: int | None, /) -> None: ...


@contextmanager
def progress_bar(unit: str) -> Iterator[Progress | None]:
    """A bar that counts ``unit``s while the block runs; None where stderr is a file or a pipe."""
    if not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    with tqdm(unit=unit, file=sys.stderr, leave=False) as bar:

        def show(done: int, total: int | None, /) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show
