"""Each step of the decoder beside its NumPy reference, on the dense maps of one image of 640 x 480 with 10 people.

Equal results, to the bit where no logarithm is taken, are asserted before anything is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

import hrnetae
from bench.scenes import SEED, Setting, draw
from bench.timing import beside
from hrnetae import COCO17, DecodeParams, _kernels, reference

Step = tuple[Callable[..., Any], Callable[..., Any], list[tuple[Any, ...]]]  # kernel, reference, arguments in turn

DEFAULTS = DecodeParams()
TOLERANCE = {"adjust, DARK": 1e-6}  # C's logarithm and NumPy's differ in the last bit
UDP = DecodeParams(use_udp=True)
STEPS = ("project", "heatmap_nms", "top_k", "group_by_tag", "assign", "adjust", "adjust, DARK", "refine")


@lru_cache(maxsize=1)
def steps() -> dict[str, Step]:
    (scene,) = draw(Setting(), 1)
    heat, tags = hrnetae.project(scene.output, scene.flipped, image_size=scene.image_size)
    peaks = hrnetae.heatmap_nms(heat)
    found = hrnetae.top_k(peaks, tags)
    grouped = hrnetae.group_by_tag(*found)
    adjusted = hrnetae.adjust(grouped, heat)

    def project(*inputs: Any) -> Any:
        return hrnetae.project(*inputs[:2], image_size=inputs[2])

    return {
        "project": (project, reference.project, [(scene.output, scene.flipped, scene.image_size, DEFAULTS, COCO17)]),
        "heatmap_nms": (hrnetae.heatmap_nms, reference.heatmap_nms, [(heat,)]),
        "top_k": (hrnetae.top_k, reference.top_k, [(peaks, tags)]),
        "group_by_tag": (hrnetae.group_by_tag, reference.group_by_tag, [tuple(found)]),
        "assign": (assign, assign_slowly, [(cost,) for cost in costs()]),
        "adjust": (hrnetae.adjust, reference.adjust, [(grouped, heat)]),
        "adjust, DARK": (hrnetae.adjust, reference.adjust, [(grouped, heat, UDP)]),
        "refine": (hrnetae.refine, reference.refine, [(adjusted, heat, tags)]),
    }


def costs() -> list[NDArray[np.float64]]:
    """Matrices such as grouping makes of 1 to 30 people: rounded tag distances less heats, rows shuffled."""
    rng = np.random.default_rng(SEED)
    matrices = []
    for people in range(1, 31):
        tags = rng.permutation(people) * 1.6 + rng.normal(0, 0.2, people)
        distance = np.abs(tags[:, None] - np.sort(tags) + rng.normal(0, 0.1, (people, people)))
        matrices.append(np.rint(distance) * 100 - rng.uniform(0.1, 1, (people, 1)))
    return matrices


def assign(cost: NDArray[np.float64]) -> NDArray[np.int32]:
    columns = np.empty(len(cost), np.int32)
    _kernels.assign(cost, columns)
    return columns


def assign_slowly(cost: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.array([column for _, column in reference.assign(cost)], np.int32)


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.usefixtures("suite")
def bench_step(benchmark: BenchmarkFixture, name: str) -> None:
    kernel, slow, inputs = steps()[name]
    for arguments in inputs:
        found, expected = kernel(*arguments), slow(*arguments)
        many = isinstance(found, tuple)
        for ours, theirs in zip(found if many else (found,), expected if many else (expected,), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=TOLERANCE.get(name, 0))
    beside(
        benchmark,
        name,
        inputs,
        lambda arguments: kernel(*arguments),
        inputs,
        lambda arguments: slow(*arguments),
        "reference.py",
        faster=True,
    )
