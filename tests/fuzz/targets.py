"""All targets by name. A target is imported when it is made: not everyone has torch."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from runner import Target

# The module of each and its name there.
_PLACES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "kernels": ("kernels", "KERNELS"),
    }
)


def _make(module: str, name: str) -> Target:
    target: Target = getattr(importlib.import_module(module), name)
    return target


TARGETS: Mapping[str, Callable[[], Target]] = MappingProxyType(
    {name: partial(_make, *place) for name, place in _PLACES.items()}
)
