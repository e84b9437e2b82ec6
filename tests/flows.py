"""A model folder, its preprocessing, inputs and their list: what `hrnetae vamp` needs, made by the tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from small_networks import SIDE, write_network, write_vdsp

from hrnetae.files.npz import write_arrays
from hrnetae.tools import vamp as tool

COUNT = 7


@dataclasses.dataclass(frozen=True)
class Flow:
    """A model, its preprocessing, inputs and their list."""

    root: Path
    pictures: tuple[NDArray[np.uint8], ...]

    @property
    def model(self) -> Path:
        return self.root / "deploy_weights" / "small" / "mod"

    @property
    def vdsp(self) -> Path:
        return self.root / "vdsp.json"

    @property
    def datalist(self) -> Path:
        return self.root / "datalist.txt"

    def words(self, *more: object) -> list[str]:
        return ["-m", str(self.model), "--vdsp_params", str(self.vdsp), *map(str, more)]

    def listed(self, out: Path, *more: object) -> list[str]:
        return self.words("--datalist", self.datalist, "--path_output", out, *more)


def make_flow(root: Path, count: int = COUNT, side: int = SIDE, **network: object) -> Flow:
    rng = np.random.default_rng(3)
    pictures = tuple(rng.integers(0, 256, (3, side, side), np.uint8) for _ in range(count))
    flow = Flow(root, pictures)
    write_network(flow.model.with_suffix(".onnx"), side=side, **network)  # type: ignore[arg-type]
    write_vdsp(flow.vdsp, side=side)
    lines = []
    for number, picture in enumerate(pictures):
        path = root / "in" / f"picture {number}.npz"
        write_arrays(path, {"input_0": picture})
        lines.append(f"{path}\n")
    flow.datalist.write_text("".join(lines))
    return flow


def outputs_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.npz"))}


def names(count: int) -> list[str]:
    return [f"output_{line:06d}.npz" for line in range(count)]


def vamp(words: Sequence[str]) -> int:
    return tool.main(list(words))
