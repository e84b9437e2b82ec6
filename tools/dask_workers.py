"""``--dask ADDRESS``: the workers of a running Dask cluster as an executor."""

from __future__ import annotations

import argparse
import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrnetae import __version__
from hrnetae.files.errors import DataError, first_names
from hrnetae.work import Executor, WorkerLostError

_PATIENCE = 10  # seconds for the scheduler to answer, and for a first worker


@dataclass(frozen=True)
class Workers:
    """Where the work is done. executor: None for threads of this process. count: how many pieces at once."""

    executor: Executor | None
    count: int

    def __str__(self) -> str:
        noun = "thread" if self.executor is None else "worker"
        return f"{self.count} {noun}{'' if self.count == 1 else 's'}"


def add_dask_option(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """The option ``--dask``."""
    parser.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="do the work on the Dask cluster with this scheduler (tcp://host:8786), whose workers see the same files "
        "under the same paths; the threads here stand idle then (extra: hrnetae[dask])",
    )


@contextmanager
def workers_of(address: str | None, threads: int, seen: Sequence[Path]) -> Iterator[Workers]:
    """The workers of the cluster at this address, or without one so many threads here.

    seen: files and folders that the workers must see as this process does.
    Errors: DataError where there is no such cluster or it does not fit, also while the block runs; WorkerLostError.
    """
    if address is None:
        yield Workers(None, threads)
        return
    distributed = _import_distributed()
    client = _connect(distributed, address)
    try:
        count = _check_workers(client, address, seen)
        yield Workers(client.get_executor(pure=False), count)
    except distributed.KilledWorker as error:
        raise WorkerLostError(f"{address}: workers died again and again at the same piece of work ({error})") from None
    finally:
        client.close(timeout=_PATIENCE)


def _import_distributed() -> Any:
    try:
        import distributed
    except ImportError:
        raise DataError(
            "--dask: distributed is not installed, expected the extra: pip install 'hrnetae[dask]'"
        ) from None
    # What goes wrong is told once, in our words.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    return distributed


def _connect(distributed: Any, address: str) -> Any:
    try:
        return distributed.Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        reason = f"{address}: no Dask scheduler there ({error}), expected its address, such as tcp://host:8786"
        raise DataError(reason) from None


def _check_workers(client: Any, address: str, seen: Sequence[Path]) -> int:
    """Their threads. Errors: DataError for none, for another hrnetae, or for other files."""
    try:
        client.wait_for_workers(1, timeout=_PATIENCE)
    except TimeoutError:
        raise DataError(f"{address}: no worker after {_PATIENCE} s, expected at least one") from None
    # Links stay as they are; what is missing here, too, is told later.
    paths = [os.path.abspath(path) for path in seen if path.exists()]  # noqa: PTH100
    try:
        found = client.run(look, paths)
    except Exception as error:  # whatever a worker without our package makes of the question
        raise DataError(f"{address}: a worker cannot do it ({error}), expected hrnetae {__version__} on all") from None
    for worker, (host, version, absent) in sorted(found.items()):
        if version != __version__:
            raise DataError(f"{address}: {worker} on {host} has hrnetae {version}, expected {__version__} as here")
        if absent:
            raise DataError(
                f"{address}: {worker} on {host} does not see {first_names(absent)}, expected the same files as here "
                "under the same paths"
            )
    return sum(client.nthreads().values())


def look(paths: Sequence[str]) -> tuple[str, str, list[str]]:
    """In a worker: its machine, its version of this package, and which of the paths are not there."""
    return socket.gethostname(), __version__, [path for path in paths if not os.path.exists(path)]  # noqa: PTH110
