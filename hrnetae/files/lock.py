"""One run at a time for what it writes: a folder, or a file and what lies about it.

The lock is the system's own (kernel_lock.py) on a hidden file, so it cannot outlive who holds it: after SIGKILL or a
reboot the next run simply has it. What the file says, who began when, is for the message to the others alone. At the
end the file is removed while it is still locked; whoever had opened it before sees that it has lost its name, and
begins anew. So no two runs ever hold the same lock, and nothing is left behind.

A worker process that is sent a `Lock` holds it, too: of a run whose parent was killed, the last worker may be writing
its last output.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from hrnetae.files.atomic import folder_above, remove_leftovers
from hrnetae.files.errors import DataError
from hrnetae.files.kernel_lock import is_at, try_lock, unlink_locked

LOCK_NAME = ".hrnetae.lock"
_PATIENCE = 10.0  # seconds for the workers of a run that is gone
_GLANCE = 0.02
_LONGEST = 200  # bytes of a name; file systems allow 255


@contextmanager
def lock_folder(folder: str | os.PathLike[str]) -> Iterator[Lock]:
    """Keep other runs from writing to a folder while the block runs, and remove what dead ones left half-written.

    The folder is made where it is missing, and removed again where nothing was put into it.
    Errors: DataError where another run has the folder; OSError where nothing can be written.
    """
    what = os.fspath(folder)
    with _naming(what):
        target = Path(folder).resolve()
        if target.exists() and not target.is_dir():
            raise DataError(f"{what}: a file, expected a folder")
    with _held(target / LOCK_NAME, what) as lock:
        yield lock


@contextmanager
def lock_file(path: str | os.PathLike[str]) -> Iterator[Lock]:
    """As `lock_folder` of what is written under one name, a file or a folder that is replaced as a whole.

    Runs that write under other names in the same folder are not kept out. A device or a pipe is not locked.
    """
    what = os.fspath(path)
    with _naming(what):
        target = Path(path).resolve()
        special = target.exists() and not target.is_file() and not target.is_dir()
    if special:
        yield Lock(None)
        return
    with _held(beside(target, "lock"), what) as lock:
        yield lock


def beside(target: Path, role: str) -> Path:
    """A hidden name beside ``target`` that tells whose it is: ``.<name>.<role>``; of long names a digest."""
    name = os.fsencode(target.name)
    short = target.name if len(name) <= _LONGEST else hashlib.sha256(name).hexdigest()
    return target.with_name(f".{short}.{role}")


class Lock:
    """A lock that is held. Sent to a process that is started (spawn), that one holds it until it ends.

    Not so on Windows, where an open file does not travel that way.
    """

    def __init__(self, handle: IO[Any] | None) -> None:
        self._handle = handle

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        if self._handle is None or sys.platform == "win32":
            return Lock, (None,)
        from multiprocessing.reduction import DupFd

        return _received, (DupFd(self._handle.fileno()),)


def _received(copy: Any) -> Lock:
    return Lock(os.fdopen(copy.detach(), "rb"))


@contextmanager
def _held(path: Path, what: str) -> Iterator[Lock]:
    made = _make_folders(path.parent, what)
    try:
        handle = _acquire(path, what)
        try:
            _sign(handle)
            remove_leftovers(path.parent)
            yield Lock(handle)
        finally:
            with suppress(OSError):  # it goes by itself where the whole folder went
                unlink_locked(path, handle)
    finally:
        for folder in made:
            with suppress(OSError):  # something was put into it, then
                folder.rmdir()


@contextmanager
def _naming(what: str) -> Iterator[None]:
    """An OSError of the block names what was asked for."""
    try:
        yield
    except OSError as error:
        raise type(error)(error.errno, error.strerror, what) from None


def _make_folders(folder: Path, what: str) -> list[Path]:
    """Make what is missing. Returns it, the lowest first."""
    with _naming(what):
        folder_above(what)
        missing = [one for one in (folder, *folder.parents) if not one.exists()]
        folder.mkdir(parents=True, exist_ok=True)
    return missing


def _acquire(path: Path, what: str) -> IO[bytes]:
    """The lock's file, open and locked. Waits a little for the workers of a run that has ended itself."""
    until = time.monotonic() + _PATIENCE
    while True:
        handle = _open(path, what)
        got = try_lock(handle)
        if got is None or (got and is_at(handle, path)):
            return handle  # None: nobody can be kept out there
        holder = None if got else _read(handle)
        handle.close()
        if holder is not None and (holder.may_live or time.monotonic() > until):
            raise DataError(f"{what}: another run writes there ({holder}), expected to be the only one")
        if time.monotonic() > until:
            raise DataError(f"{what}: another run writes there, expected to be the only one")
        time.sleep(_GLANCE)


def _open(path: Path, what: str) -> IO[bytes]:
    """Open it, or make it. A link in its place, which would lead the writing elsewhere, is removed and not followed."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    with _naming(what):
        if path.is_symlink():
            path.unlink(missing_ok=True)
        descriptor = os.open(path, flags, 0o666)  # not inherited by processes that are started, as all in Python
    return os.fdopen(descriptor, "r+b", buffering=0)


# ---------------------------------------------------------------------------------------------------------------------
# Who


@dataclass(frozen=True)
class _Holder:
    pid: int
    host: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"

    @property
    def may_live(self) -> bool:
        """Whether the process may be there still; of another machine nobody knows."""
        if self.host != socket.gethostname() or sys.platform == "win32":
            return True
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:  # somebody else's
            return True
        return True


def _sign(handle: IO[bytes]) -> None:
    """A full disk has no room for it, perhaps; the run will say so of what it writes."""
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since})
    with suppress(OSError):
        handle.truncate(0)
        handle.write(f"{text}\n".encode())


def _read(handle: IO[bytes]) -> _Holder | None:
    """None where nothing was written yet."""
    try:
        data = json.loads(handle.read(4096))
        return _Holder(int(data["pid"]), str(data["host"]), str(data["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
