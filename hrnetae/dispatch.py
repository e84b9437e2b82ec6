"""Which instructions the kernels use: the best that the processor has, or what HRNETAE_LEVEL names.

The answers do not depend on it, only the time. "dense" stands for the plain way over image-sized maps, the one to
compare with.
"""

from __future__ import annotations

import os

from hrnetae import _kernels

VARIABLE = "HRNETAE_LEVEL"
LEVELS = {"dense": -1, "baseline": 0, "avx2": 1}


def available_levels() -> tuple[str, ...]:
    """The names of the levels that this processor has, the slowest first."""
    return tuple(name for name, level in LEVELS.items() if level < 0 or _kernels.has_level(level))


def choose_level(wanted: str | None) -> str:
    """The level to use: ``wanted``, or the best one. ValueError for one that does not exist or that is not here."""
    available = available_levels()
    if not wanted:
        return available[-1]
    if wanted not in available:
        raise ValueError(f"{VARIABLE}: {wanted!r}, expected one of {', '.join(available)} on this processor")
    return wanted


LEVEL = choose_level(os.environ.get(VARIABLE))
