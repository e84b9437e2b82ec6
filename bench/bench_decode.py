"""Decoding one image, beside a copy of its inputs; all of it in code that is warm and on data that are not."""

from __future__ import annotations

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.scenes import Inputs, Setting, arrays_of, copier, crowd, draw, input_bytes, real_scenes, ring_of
from bench.timing import beside
from hrnetae import DecodeParams, reference

COPY = "cold copy of the inputs"
SETTINGS = {
    **{crowd(people): Setting(people=people) for people in (0, 1, 5, 10, 30)},
    "1920 x 1080": Setting(image_size=(1920, 1080)),
    "1920 x 1080, 30 people": Setting(people=30, image_size=(1920, 1080)),
    "333 x 500": Setting(image_size=(333, 500)),
    "float32": Setting(dtype="float32"),
    "no flip": Setting(flip=False),
    "two stages": Setting(stages=2),
    "clean maps": Setting(noise=0),
    "noise everywhere": Setting(noise=None),
    "UDP": Setting(params=DecodeParams(use_udp=True, align_corners=True)),
    "not projected": Setting(params=DecodeParams(project2image=False)),
    "mode mmpose1": Setting(params=DecodeParams(mode="mmpose1")),
}


def time_decode(benchmark: BenchmarkFixture, title: str, setting: Setting, scenes: list[Inputs]) -> None:
    ring, decode = ring_of(scenes), setting.decoder()
    persons = [len(decode(scene)) for scene in scenes[:2]]
    beside(
        benchmark,
        title,
        ring,
        decode,
        [arrays_of(scene) for scene in ring],
        copier(ring[0]),
        COPY,
        fewest=3,
        bytes=input_bytes(ring[0]),
        ring=len(ring),
        persons=float(np.mean(persons)),
    )


@pytest.mark.parametrize("title", SETTINGS)
@pytest.mark.usefixtures("suite")
def bench_decode(benchmark: BenchmarkFixture, title: str) -> None:
    time_decode(benchmark, title, SETTINGS[title], draw(SETTINGS[title]))


@pytest.mark.usefixtures("suite")
def bench_real_network(benchmark: BenchmarkFixture) -> None:
    scenes = real_scenes()
    if not scenes:
        pytest.skip("no recorded outputs beside the project")
    time_decode(benchmark, "a real network's outputs", Setting(), scenes)


@pytest.mark.usefixtures("suite")
def bench_copy(benchmark: BenchmarkFixture) -> None:
    """The yardstick beside itself: what the harness makes of two equal calls."""
    ring = [arrays_of(scene) for scene in ring_of(draw(Setting()))]
    copy = copier(draw(Setting(), 1)[0])
    beside(benchmark, "no decode, a copy", ring, copy, ring, copy, COPY)


@pytest.mark.parametrize("people", [1, 10])
@pytest.mark.usefixtures("suite")
def bench_reference(benchmark: BenchmarkFixture, people: int) -> None:
    setting = Setting(people=people)
    scenes, decode = draw(setting, 4), setting.decoder()

    def decode_slowly(scene: Inputs) -> reference.Decoded:
        return reference.decode(scene.output, scene.flipped, scene.image_size)

    found, expected = decode(scenes[0]), decode_slowly(scenes[0])
    for name in ("keypoints", "scores", "tags"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    beside(
        benchmark,
        f"{crowd(people)}, beside NumPy",
        scenes,
        decode,
        scenes,
        decode_slowly,
        "reference.py",
        faster=True,
    )
