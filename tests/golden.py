"""The golden cases: raw network outputs with the reference decoder's recorded answers, step by step.

A few of them are part of the project (tests/data/golden); the whole collection is looked for in the folder that the
environment variable HRNETAE_SHARED names, or else in `shared` beside the project's own folder.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hrnetae.params import DecodeParams
from hrnetae.skeleton import COCO17, CROWDPOSE14, Skeleton

_PROJECT = Path(__file__).resolve().parents[1]
_SKELETONS = {17: COCO17, 14: CROWDPOSE14}
NOT_SETTINGS = {"flip", "num_joints", "note"}  # the other keys of a case's params


def _find_shared() -> Path | None:
    folder = Path(os.environ.get("HRNETAE_SHARED") or _PROJECT.parent / "shared")
    return folder if (folder / "golden" / "index.json").is_file() else None


SHARED: Path | None = _find_shared()


@dataclass(frozen=True)
class Case:
    """One golden file. Arrays are read when they are asked for."""

    name: str
    path: Path
    shared: bool

    def load(self) -> Golden:
        with np.load(self.path) as file:
            return Golden(self.name, {key: file[key] for key in file.files})


@dataclass(frozen=True)
class Golden:
    """A golden case in memory: `inputs()` are the arguments of `decode`, ``arrays`` the recorded steps."""

    name: str
    arrays: dict[str, NDArray[Any]]

    @property
    def status(self) -> str:
        return str(self.arrays["status"])

    @property
    def settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = json.loads(str(self.arrays["params"]))
        return settings

    @property
    def params(self) -> DecodeParams:
        settings = {name: value for name, value in self.settings.items() if name not in NOT_SETTINGS}
        return DecodeParams(**settings)

    @property
    def skeleton(self) -> Skeleton:
        return _SKELETONS[self.settings.get("num_joints", 17)]

    @property
    def image_size(self) -> tuple[int, int]:
        return int(self.arrays["w"]), int(self.arrays["h"])

    def inputs(self) -> dict[str, Any]:
        """output, flipped, image_size, params, skeleton, scales: by keyword for `decode`."""
        scales: tuple[float, ...] | None = None
        output, flipped = self._stages(""), self._stages("_flip")
        if "out" not in self.arrays:
            prefix = "out_x"
            labels = [key[len(prefix) :] for key in self.arrays if key.startswith(prefix) and not key.endswith("_flip")]
            scales = tuple(float(label) for label in labels)
            output = [self.arrays[prefix + label] for label in labels]
            flipped = [self.arrays[f"{prefix}{label}_flip"] for label in labels]
        return {
            "output": output,
            "flipped": flipped if self.settings["flip"] else None,
            "image_size": self.image_size,
            "params": self.params,
            "skeleton": self.skeleton,
            "scales": scales,
        }

    def _stages(self, suffix: str) -> Any:
        stages = [self.arrays[key] for key in (f"out{suffix}", f"out1{suffix}") if key in self.arrays]
        return stages[0] if len(stages) == 1 else stages


def own_cases() -> list[Case]:
    """The cases that are part of the project."""
    return [Case(path.stem, path, False) for path in sorted((_PROJECT / "tests" / "data" / "golden").glob("*.npz"))]


def shared_cases() -> list[Case]:
    """Every case of the whole collection; none where it is absent."""
    if SHARED is None:
        return []
    # index.json leaves out the cases of mmpose1/.
    return [Case(path.stem, path, True) for path in sorted((SHARED / "golden").rglob("*.npz"))]


def kind_of(case: Case) -> str:
    """Its name without people and size, and without a scene's number."""
    return re.sub(r"(?<=scene)_\d+|_\d+p(?=_|$)|_\d+x\d+$", "", case.name)


def cases(bad: bool = False, one_of_a_kind: bool = False) -> list[Any]:
    """For pytest's parametrize: own cases always; those of the shared folder where it is there.

    bad: the cases of bad numbers, else all others. one_of_a_kind: the rest of a kind with HRNETAE_FULL=1 alone.
    """
    own = own_cases()
    shared = [case for case in shared_cases() if case.name not in {mine.name for mine in own}]
    params, kinds = [], set()
    for case in [*own, *shared]:
        if case.name.startswith("bad_") != bad:
            continue
        marks = [pytest.mark.shared] if case.shared else []
        if one_of_a_kind and case.shared and kind_of(case) in kinds:
            marks.append(pytest.mark.slow)
        kinds.add(kind_of(case))
        params.append(pytest.param(case, id=case.name, marks=marks))
    if not shared:
        absent = pytest.mark.skip(reason="the recorded cases in shared/golden are absent")
        params.append(pytest.param(None, id="shared", marks=[pytest.mark.shared, absent]))
    return params
