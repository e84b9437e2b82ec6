"""Work handed to an executor: what comes back is in order, and few pieces are under way at a time.

An executor is whatever has the ``submit`` of concurrent.futures: its own pools of threads and processes, loky's, Dask's
``Client.get_executor()``, mpi4py's. Without one, a pool of threads is made for the work and ended with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")

# Pieces for each worker: one being done and one waiting. Memory is bounded by this, not by how much there is to do.
_IN_FLIGHT = 2
_AT_ONCE = 16  # in a piece


class Pending(Protocol):
    """Work that was handed over, as `concurrent.futures.Future` has it; where there is ``cancel``, it is used."""

    def result(self) -> Any:
        """What came of it, once it is done; raises what it raised."""


class Executor(Protocol):
    """Does work elsewhere."""

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Any:
        """Have ``fn(*args)`` done; returns a `Pending`."""


class WorkerLostError(RuntimeError):
    """The executor gave up work that it had taken: a worker of it was killed, or it was shut down."""


def ordered_map(
    function: Callable[[T], R], items: Iterable[T], workers: int, executor: Executor | None = None
) -> Generator[R, None, None]:
    """``map``, in order, with few items in work. The first error, in order, ends it.

    workers: threads or, with an executor, how many workers that has; twice as many items are under way.
    executor: function, items and what comes back travel to it and from it.
    At an error what has not begun is called off, and what has is waited for.
    Errors: those of the function; WorkerLostError.
    """
    pending: deque[Pending] = deque()
    with _pool(workers, executor) as pool:
        try:
            for item in items:
                pending.append(_submit(pool, function, item))
                if len(pending) >= workers * _IN_FLIGHT:
                    yield _first_result(pending)
            while pending:
                yield _first_result(pending)
        finally:
            _call_off(pending)


def in_pieces(items: Sequence[T], workers: int) -> Iterator[Sequence[T]]:
    """Items, a few at a time, so that handing them over costs little; where there are few, all workers get some."""
    if workers < 1:
        raise ValueError(f"workers: {workers}, expected at least 1")
    size = max(1, min(_AT_ONCE, len(items) // (workers * _IN_FLIGHT)))
    for start in range(0, len(items), size):
        yield items[start : start + size]


@contextmanager
def _pool(workers: int, executor: Executor | None) -> Iterator[Executor]:
    if executor is not None:
        yield executor
        return
    with ThreadPoolExecutor(workers) as own:
        yield own


def _submit(pool: Executor, function: Callable[[T], R], item: T) -> Pending:
    try:
        handed: Pending = pool.submit(function, item)
    except BrokenExecutor as error:
        raise _lost(error) from error
    return handed


def _first_result(pending: deque[Pending]) -> Any:
    """Until it is there the piece stays among those that an error calls off or waits for."""
    found = _result(pending[0])
    pending.popleft()
    return found


def _result(pending: Pending) -> Any:
    try:
        return pending.result()
    except (BrokenExecutor, CancelledError) as error:
        raise _lost(error) from error


def _lost(error: BaseException) -> WorkerLostError:
    return WorkerLostError(f"a worker was lost: {error or type(error).__name__}")


def _call_off(pending: Iterable[Pending]) -> None:
    begun = [one for one in pending if not _is_cancelled(one)]
    for one in begun:
        with suppress(Exception):  # an earlier error is the one to tell
            one.result()


def _is_cancelled(pending: Pending) -> bool:
    """Whether it will not be done: too late once it has begun, and not every executor can."""
    cancel = getattr(pending, "cancel", None)
    return cancel is not None and bool(cancel())
