"""The system's own lock on an open file: it ends with whoever holds it, however that ends."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import IO, Any

_HELD = frozenset({errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK})
_FAR = 1 << 30  # Windows keeps others from reading the byte that is locked: one that no file here has


def try_lock(handle: IO[Any]) -> bool | None:
    """Lock an open file if nobody has it: whether that went well; None where the file system knows no locks.

    handle: open for writing, which NFS asks for. The lock ends when the last copy of the handle is closed, be it in a
    child process, or all who have one are gone.
    """
    try:
        _lock(handle.fileno())
    except OSError as error:
        return False if error.errno in _HELD else None
    return True


def is_at(handle: IO[Any], path: Path) -> bool:
    """Whether ``path`` is still the name of the open file, and not of another one, or none."""
    try:
        return os.path.samestat(os.fstat(handle.fileno()), path.lstat())
    except OSError:
        return False


def unlink_locked(path: Path, handle: IO[Any]) -> None:
    """Remove a file that is locked, and close it; ``path`` stays where others have it open (Windows). Errors: OSError.

    Whoever opened it meanwhile gets the lock now, and finds with `is_at` that it is worth nothing.
    """
    try:
        if sys.platform == "win32":
            handle.close()  # an open file cannot be removed there, not even by who holds it
        path.unlink()
    finally:
        handle.close()


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        before = os.lseek(descriptor, 0, os.SEEK_CUR)
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(descriptor, before, os.SEEK_SET)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        # flock, not lockf: that one lets a process lock twice, and loses a lock when any handle of the file is closed.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
