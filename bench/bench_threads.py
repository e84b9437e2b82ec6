"""decode_batch on one thread beside a copy, and on two threads beside one."""

from __future__ import annotations

import time

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import hrnetae
from bench.scenes import Inputs, Setting, arrays_of, copier, draw, ring_of
from bench.timing import beside
from hrnetae.decoder import available_processors

PEOPLE = (5, 30)


def batch(scenes: list[Inputs], threads: int) -> list[hrnetae.Poses]:
    return hrnetae.Decoder().decode_batch(
        [scene.output for scene in scenes],
        [scene.flipped for scene in scenes],
        image_sizes=[scene.image_size for scene in scenes],
        threads=threads,
    )


def images_of(people: int) -> list[Inputs]:
    """A ring of images, or as many of it as are decoded in half a second."""
    setting = Setting(people=people)
    ring, decode = ring_of(draw(setting)), setting.decoder()
    start = time.perf_counter()
    decode(ring[0])
    return ring[: max(4, int(0.5 / (time.perf_counter() - start)))]


@pytest.mark.parametrize("people", PEOPLE)
@pytest.mark.usefixtures("suite")
def bench_one_thread(benchmark: BenchmarkFixture, people: int) -> None:
    scenes = images_of(people)
    arrays, copy = [arrays_of(scene) for scene in scenes], copier(scenes[0])
    beside(
        benchmark,
        f"{people} people, one thread",
        [scenes],
        lambda scenes: batch(scenes, 1),
        [arrays],
        lambda arrays: [copy(one) for one in arrays],
        "cold copy of the inputs",
        images=len(scenes),
    )


@pytest.mark.parametrize("people", PEOPLE)
@pytest.mark.usefixtures("suite")
def bench_two_threads(benchmark: BenchmarkFixture, people: int) -> None:
    if available_processors() < 2:
        pytest.skip("one processor alone")
    scenes = images_of(people)
    for one, two in zip(batch(scenes[:4], 1), batch(scenes[:4], 2), strict=True):
        np.testing.assert_array_equal(one.keypoints, two.keypoints)
    beside(
        benchmark,
        f"{people} people, two threads",
        [scenes],
        lambda scenes: batch(scenes, 2),
        [scenes],
        lambda scenes: batch(scenes, 1),
        "one thread",
        images=len(scenes),
        faster=True,
    )
