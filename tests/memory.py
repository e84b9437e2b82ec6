"""How much memory this process has, and whether it grows: what the soak and the long evaluation are judged by.

Two measures. What the system has given to the process counts in the end, but it wavers by megabytes with what lies
where. What is in use, in the C library's heap and as Python's objects, is exact once the threads have ended.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MIB = float(1 << 20)

_STATM = Path("/proc/self/statm")
_LIBC = ctypes.CDLL(None)
CAN_MEASURE = _STATM.is_file() and hasattr(_LIBC, "mallinfo2")  # Linux with glibc


class _Mallinfo2(ctypes.Structure):
    """What glibc says of its heaps, all of them together."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "top",
        )
    )


@dataclass(frozen=True)
class InUse:
    """heap: bytes that malloc has given out. blocks: of Python's own allocator."""

    heap: int
    blocks: int

    def __sub__(self, earlier: InUse) -> InUse:
        return InUse(self.heap - earlier.heap, self.blocks - earlier.blocks)


@dataclass(frozen=True)
class Growth:
    """Of samples, in MiB. slope: of a straight line through them, over their whole time. step: the median of the last
    fifth of them above that of the first fifth."""

    slope: float
    step: float


def resident() -> float:
    """MiB of memory that this process has now."""
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB


def peak() -> float:
    """MiB of memory that this process ever had at once."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def settled() -> float:
    """`resident` once what is free has been given back to the system, as far as the C library can."""
    gc.collect()
    _LIBC.malloc_trim(0)
    return resident()


def in_use() -> InUse:
    """Now, without what waits for the garbage collection."""
    gc.collect()
    _LIBC.mallinfo2.restype = _Mallinfo2
    heap = _LIBC.mallinfo2()
    return InUse(heap.uordblks + heap.hblkhd, sys.getallocatedblocks())


def growth(samples: Sequence[tuple[float, float]]) -> Growth:
    """samples: (seconds, MiB) in their order, 10 or more."""
    if len(samples) < 10:
        raise ValueError(f"samples: {len(samples)}, expected 10 or more")
    seconds, sizes = np.array(samples).T
    slope = np.polyfit(seconds - seconds[0], sizes, 1)[0] * (seconds[-1] - seconds[0])
    fifth = len(sizes) // 5
    return Growth(float(slope), float(np.median(sizes[-fifth:]) - np.median(sizes[:fifth])))
