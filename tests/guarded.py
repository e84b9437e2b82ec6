"""Arrays next to memory that cannot be touched: reading or writing beyond them ends the process."""

from __future__ import annotations

import ctypes
import mmap
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

AVAILABLE = sys.platform == "linux"
_PAGE = mmap.PAGESIZE
_PROT_NONE = 0


class Guarded:
    """Room for arrays, used again and again; an array that was put there is good until `clear`."""

    def __init__(self) -> None:
        self._rooms: list[Array] = []
        self._used = 0

    def clear(self) -> None:
        """Forgets all arrays, keeps the memory."""
        self._used = 0

    def put(self, array: Array, at_end: bool, shift: int = 0) -> Array:
        """A read-only copy without gaps that ends where the memory does, or begins there.

        shift: bytes from that edge; an odd number makes the array unaligned. Where the guard is not available it is
        a plain copy.
        """
        room = self._room(array.nbytes + shift)
        start = len(room) - array.nbytes - shift if at_end else shift
        copy = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
        copy[...] = array
        copy.flags.writeable = False
        return copy

    def _room(self, size: int) -> Array:
        if self._used == len(self._rooms):
            self._rooms.append(_make_room(size))
        elif len(self._rooms[self._used]) < size:
            self._rooms[self._used] = _make_room(2 * size)
        self._used += 1
        return self._rooms[self._used - 1]


def _make_room(size: int) -> Array:
    """At least ``size`` bytes, whole pages, with a page before and after that cannot be touched."""
    pages = max(1, -(-size // _PAGE))
    if not AVAILABLE:
        return np.zeros(pages * _PAGE, np.uint8)
    memory = np.frombuffer(mmap.mmap(-1, (pages + 2) * _PAGE), np.uint8)
    libc = ctypes.CDLL(None, use_errno=True)
    for page in (0, pages + 1):
        if libc.mprotect(ctypes.c_void_p(memory.ctypes.data + page * _PAGE), ctypes.c_size_t(_PAGE), _PROT_NONE):
            raise OSError(ctypes.get_errno(), "mprotect")
    return memory[_PAGE:-_PAGE]
