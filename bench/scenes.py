"""Seeded inputs of the benchmarks, and rings of them that no cache can hold."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hrnetae
from bench.machine import last_level_cache
from hrnetae.evaluation.ground_truth import load_ground_truth
from hrnetae.evaluation.synthetic import draw_scene
from hrnetae.files import find_outputs, read_outputs

SEED = 20260101
DRAWN = 16  # different scenes in a ring; the others are copies of them at other addresses
RING_CACHES = 4  # a ring is that many times as large as the last-level cache


@dataclass(frozen=True)
class Inputs:
    """What one call of ``decode`` takes: output and flipped are an array, a tuple of stages, or (flipped) None."""

    output: Any
    flipped: Any
    image_size: tuple[int, int]


@dataclass(frozen=True)
class Setting:
    """What is decoded. noise: as for ``draw_scene``; None: all cells are above the threshold, each with its own tag."""

    people: int = 10
    image_size: tuple[int, int] = (640, 480)
    dtype: str = "float16"
    flip: bool = True
    stages: int = 1
    noise: float | None = 1.0
    params: hrnetae.DecodeParams = field(default_factory=hrnetae.DecodeParams)

    def decoder(self) -> Callable[[Inputs], hrnetae.Poses]:
        decode = hrnetae.Decoder(self.params).decode
        return lambda scene: decode(scene.output, scene.flipped, image_size=scene.image_size)


def crowd(people: int) -> str:
    return "1 person" if people == 1 else f"{people} people"


def draw(setting: Setting, count: int = DRAWN) -> list[Inputs]:
    """``count`` different scenes, the same in every run."""
    rng = np.random.default_rng(SEED)
    scenes = []
    for _ in range(count):
        if setting.noise is None:
            scene = _noise_everywhere(rng, setting.image_size)
        else:
            drawn = draw_scene(rng, setting.people, setting.image_size, stages=setting.stages, noise=setting.noise)
            scene = Inputs(drawn.output, drawn.flipped, drawn.image_size)
        scenes.append(_map_arrays(scene, lambda maps: maps.astype(setting.dtype)))
    return scenes if setting.flip else [replace(scene, flipped=None) for scene in scenes]


def ring_of(scenes: Sequence[Inputs]) -> list[Inputs]:
    """The scenes again and again, each time in memory of its own, until the last-level cache is far too small."""
    size = max(input_bytes(scene) for scene in scenes)
    count = max(len(scenes), -(-RING_CACHES * last_level_cache() // size))
    return [_map_arrays(scene, np.copy) for scene in itertools.islice(itertools.cycle(scenes), count)]


def real_scenes() -> list[Inputs]:
    """Recorded outputs of a small real network, which lie beside the project; none where they are absent."""
    shared = Path(os.environ.get("HRNETAE_SHARED") or Path(__file__).resolve().parents[2] / "shared")
    sample, truth = shared / "realnet" / "sample", shared / "coco" / "person_keypoints_val2017.json"
    if not (sample.is_dir() and truth.is_file()):
        return []
    pictures = load_ground_truth(truth, None)
    scenes = []
    for found in find_outputs(sample, sample / "datalist.txt").samples:
        (output,), (flipped,) = read_outputs(found.output), read_outputs(found.flipped or found.output)
        scenes.append(Inputs(output, flipped, pictures.picture(found.stem).size))
    return scenes


def arrays_of(scene: Inputs) -> list[NDArray[Any]]:
    """All maps that belong to one image."""
    arrays: list[NDArray[Any]] = []
    for output in (scene.output, scene.flipped):
        if output is not None:
            arrays += output if isinstance(output, tuple) else (output,)
    return arrays


def input_bytes(scene: Inputs) -> int:
    return sum(maps.nbytes for maps in arrays_of(scene))


def copier(scene: Inputs) -> Callable[[list[NDArray[Any]]], None]:
    """The yardstick: a function that copies such arrays as this scene's into one buffer, always the same."""
    buffer = np.zeros(input_bytes(scene), np.uint8)
    views, start = [], 0
    for maps in arrays_of(scene):
        views.append(buffer[start : start + maps.nbytes].view(maps.dtype).reshape(maps.shape))
        start += maps.nbytes

    def copy_arrays(arrays: list[NDArray[Any]]) -> None:
        for view, maps in zip(views, arrays, strict=True):
            np.copyto(view, maps)

    return copy_arrays


def _noise_everywhere(rng: np.random.Generator, image_size: tuple[int, int]) -> Inputs:
    def maps() -> NDArray[np.float16]:
        heat, tags = rng.uniform(0.15, 1, (17, 128, 128)), rng.normal(0, 30, (17, 128, 128))
        return np.concatenate([heat, tags]).astype(np.float16)

    return Inputs(maps(), maps(), image_size)


def _map_arrays(scene: Inputs, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Inputs:
    def each(output: Any) -> Any:
        if output is None:
            return None
        return tuple(map(change, output)) if isinstance(output, tuple) else change(output)

    return replace(scene, output=each(scene.output), flipped=each(scene.flipped))
