"""All targets by name. A target is imported when it is made: not everyone has torch."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from runner import Target

# The module of each, which has it as TARGET.
_MODULES: Mapping[str, str] = MappingProxyType({})


def _make(module: str) -> Target:
    target: Target = importlib.import_module(module).TARGET
    return target


TARGETS: Mapping[str, Callable[[], Target]] = MappingProxyType(
    {name: partial(_make, module) for name, module in _MODULES.items()}
)
