"""All targets by name. A target is imported when it is made: not everyone has torch."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from runner import Target

# The module of each and its name there.
_OF_READERS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "npz": ("npz_files", "OUTPUTS"),
        "npz_input": ("npz_files", "INPUTS"),
        "checkpoints": ("checkpoint_files", "CHECKPOINTS"),
        "pictures": ("picture_files", "PICTURES"),
        "datalist": ("text_files", "DATALIST"),
        "vamc": ("text_files", "BUILD_FILE"),
        "vdsp": ("json_files", "VDSP"),
        "ground_truth": ("json_files", "TRUTH"),
        "results": ("json_files", "RESULTS"),
        "manifest": ("json_files", "MANIFEST"),
        "run_record": ("json_files", "RECORD"),
        "params": ("json_files", "PARAMS"),
        "model_info": ("json_files", "MODEL_INFO"),
    }
)
_PLACES: Mapping[str, tuple[str, str]] = MappingProxyType({**_OF_READERS, "kernels": ("kernels", "KERNELS")})


def _can_run(name: str) -> bool:
    return name not in _NEEDS or importlib.util.find_spec(_NEEDS[name]) is not None


def _make(module: str, name: str) -> Target:
    target: Target = getattr(importlib.import_module(module), name)
    return target


# What a target needs beside the package's own dependencies.
_NEEDS: Mapping[str, str] = MappingProxyType({"checkpoints": "torch"})

READERS = tuple(name for name in _OF_READERS if _can_run(name))
TARGETS: Mapping[str, Callable[[], Target]] = MappingProxyType(
    {name: partial(_make, *place) for name, place in _PLACES.items() if _can_run(name)}
)
