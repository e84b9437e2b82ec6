"""``--dask ADDRESS``: the workers of a running Dask cluster as an executor."""

from __future__ import annotations

import argparse
import gc
import importlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrnetae import __version__
from hrnetae.files.errors import DataError, first_names
from hrnetae.work import Executor, WorkerLostError

_PATIENCE = 10  # seconds for the scheduler to answer, and for a first worker
_NO_WORKER = 60  # seconds without any worker, which is then not waited for any longer
_GLANCE = 1.0
_GONE = "its workers are gone"


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
def workers_of(
    address: str | None, threads: int, seen: Sequence[Path], modules: Sequence[str] = ()
) -> Iterator[Workers]:
    """The workers of the cluster at this address, or without one so many threads here.

    seen: files and folders that the workers must see as this process does. modules: what decides the bytes of their
    work beside hrnetae itself, and so must be of the same version there.
    Errors: DataError where there is no such cluster or it does not fit, also while the block runs; WorkerLostError.
    """
    if address is None:
        yield Workers(None, threads)
        return
    distributed = _import_distributed()
    client = _connect(distributed, address)
    try:
        count = _check_workers(client, address, seen, ("hrnetae", *modules))
        yield Workers(_Cluster(distributed, client, address), count)
    finally:
        client.close(timeout=_PATIENCE)


class _Cluster:
    """An executor. (Dask's own, Client.get_executor, waits for ever for a scheduler that is gone.)"""

    def __init__(self, distributed: Any, client: Any, address: str) -> None:
        self._distributed = distributed
        self._client = client
        self._address = address

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> _Handed:
        """Nothing is taken from an earlier call that looks the same."""
        return _Handed(self, self._client.submit(fn, *args, pure=False))

    def result(self, future: Any, done: threading.Event) -> Any:
        """What came of it. A worker's death is the scheduler's business: it has the piece done by another."""
        try:
            while True:
                self._wait(done)
                # Not to be called off soon: what a worker that has just died held is looked for there first.
                try:
                    return future.result(timeout=_NO_WORKER)
                except TimeoutError:
                    if future.status == "error":  # it is the work's own
                        raise
                    if not self._threads():
                        raise self._lost(_GONE) from None
        except self._distributed.KilledWorker as error:
            raise self._lost(f"workers died again and again at the same piece of work ({error})") from None
        except (CancelledError, self._distributed.comm.CommClosedError) as error:
            raise self._lost(f"its scheduler is gone ({error})") from None

    def _wait(self, done: threading.Event) -> None:
        """Errors: WorkerLostError where there is nobody to do it."""
        without = time.monotonic()
        while not done.wait(_GLANCE):
            if self._threads():
                without = time.monotonic()
            elif time.monotonic() - without > _NO_WORKER:
                raise self._lost(_GONE)

    def _threads(self) -> Any:
        try:
            return self._client.nthreads()
        except (OSError, TimeoutError) as error:
            raise self._lost(f"its scheduler is gone ({error})") from None

    def _lost(self, what: str) -> WorkerLostError:
        return WorkerLostError(f"{self._address}: {what}")


class _Handed:
    """Work that was handed to a cluster."""

    def __init__(self, cluster: _Cluster, future: Any) -> None:
        self._cluster = cluster
        self._future = future
        self._done = threading.Event()
        future.add_done_callback(lambda _: self._done.set())

    def result(self) -> Any:
        """What came of it."""
        return self._cluster.result(self._future, self._done)

    def cancel(self) -> bool:
        """Always: what a worker returns of it still is dropped (files that it writes stay)."""
        with suppress(OSError, TimeoutError):  # the scheduler is gone, and the work with it
            self._future.cancel()
        return True


def _import_distributed() -> Any:
    try:
        import distributed
    except ImportError:
        raise DataError(
            "--dask: distributed is not installed, expected the extra: pip install 'hrnetae[dask]'"
        ) from None
    for name in list(logging.root.manager.loggerDict):  # what goes wrong is told once, in our words
        if name.split(".")[0] in ("asyncio", "distributed", "tornado"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    return distributed


def _connect(distributed: Any, address: str) -> Any:
    try:
        return distributed.Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        reason = str(error)
    # A client that its own constructor gave up ends itself when the garbage collector comes upon it, and takes a lock
    # for that. In the start of another client, which holds the lock, that would wait for ever: so it is collected now.
    gc.collect()
    raise DataError(f"{address}: no Dask scheduler there ({reason}), expected its address, such as tcp://host:8786")


def _check_workers(client: Any, address: str, seen: Sequence[Path], modules: Sequence[str]) -> int:
    """Their threads. Errors: DataError for none, for another version of a module, or for other files."""
    try:
        client.wait_for_workers(1, timeout=_PATIENCE)
    except TimeoutError:
        raise DataError(f"{address}: no worker after {_PATIENCE} s, expected at least one") from None
    # Links stay as they are; what is missing here, too, is told later.
    paths = [os.path.abspath(path) for path in seen if path.exists()]  # noqa: PTH100
    try:
        found = client.run(look, paths, modules)
    except Exception as error:  # whatever a worker without our package makes of the question
        raise DataError(f"{address}: a worker cannot do it ({error}), expected hrnetae {__version__} on all") from None
    here = _versions(modules)
    for worker, (host, versions, absent) in sorted(found.items()):
        for name, version in here.items():
            if versions[name] != version:
                raise DataError(
                    f"{address}: {worker} on {host} has {name} {versions[name]}, expected {version} as here"
                )
        if absent:
            raise DataError(
                f"{address}: {worker} on {host} does not see {first_names(absent)}, expected the same files as here "
                "under the same paths"
            )
    return sum(client.nthreads().values())


def look(paths: Sequence[str], modules: Sequence[str]) -> tuple[str, dict[str, str], list[str]]:
    """In a worker: its machine, its versions of these modules, and which of the paths are not there."""
    absent = [path for path in paths if not os.path.exists(path)]  # noqa: PTH110
    return socket.gethostname(), _versions(modules), absent


def _versions(modules: Sequence[str]) -> dict[str, str]:
    return {name: str(importlib.import_module(name).__version__) for name in modules}
