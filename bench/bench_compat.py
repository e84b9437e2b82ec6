"""The drop-ins beside the NumPy reference on the same maps, and beside `Decoder` on the network's own.

640 x 480 pixels for the parser, 512 x 512 for the codec; the maps are there already, as a framework hands them over.
Equal results are asserted before anything is timed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

import hrnetae
from bench.scenes import Inputs, Setting, crowd, draw
from bench.timing import beside
from hrnetae import DecodeParams, reference
from hrnetae.compat import AssociativeEmbedding, HeatmapParser

PEOPLE = (1, 10)
MMPOSE1 = DecodeParams(mode="mmpose1")
CFG = {
    "num_joints": 17,
    "max_num_people": 30,
    "detection_threshold": 0.1,
    "tag_threshold": 1.0,
    "use_detection_val": True,
    "ignore_too_much": False,
    "tag_per_joint": True,
    "nms_kernel": 5,
    "nms_padding": 2,
}
PARSER = HeatmapParser(CFG)
CODEC = AssociativeEmbedding((512, 512), (512, 512), decode_center_shift=0.5, decode_max_instances=30)


@dataclass(frozen=True)
class Maps:
    """A scene, and its maps at the size that is decoded: heat (K, h, w), tags (K, h, w, L) and (L K, h, w)."""

    scene: Inputs
    heat: NDArray[np.float32]
    tags: NDArray[np.float32]
    channels: NDArray[np.float32]


@lru_cache(maxsize=1)
def maps_of(people: int, params: DecodeParams) -> list[Maps]:
    found = []
    for scene in draw(Setting(people=people), 2):
        heat, tags = hrnetae.project(scene.output, scene.flipped, image_size=scene.image_size, params=params)
        channels = tags.transpose(3, 0, 1, 2).reshape(-1, *heat.shape[1:])
        # mmpose 0.x puts the two outputs' tags side by side in a last axis, 1.x one map after another.
        tags = np.ascontiguousarray(tags) if params.mode == "reference" else tags
        found.append(Maps(scene, heat, tags, channels))
    return found


def parse(maps: Maps) -> Any:
    return PARSER.parse(maps.heat[None], maps.tags[None])


def parse_slowly(maps: Maps, params: DecodeParams = PARSER.params) -> NDArray[np.float32]:
    found = reference.top_k(reference.heatmap_nms(maps.heat), maps.tags, params.max_num_people)
    adjusted = reference.adjust(reference.group_by_tag(*found, params), maps.heat, params)
    return reference.refine(adjusted, maps.heat, maps.tags, params)


def batch_decode(maps: Maps) -> Any:
    return CODEC.batch_decode(maps.heat[None], maps.channels[None])


def decode(maps: Maps) -> hrnetae.Poses:
    return hrnetae.Decoder().decode(maps.scene.output, maps.scene.flipped, image_size=maps.scene.image_size)


@pytest.mark.parametrize("people", PEOPLE)
@pytest.mark.usefixtures("suite")
def bench_parse(benchmark: BenchmarkFixture, people: int) -> None:
    items = maps_of(people, PARSER.params)
    for maps in items:
        assert np.array_equal(parse(maps)[0][0], parse_slowly(maps))
    title = f"HeatmapParser.parse, {crowd(people)}"
    beside(benchmark, title, items, parse, items, parse_slowly, "reference.py", faster=True)


@pytest.mark.parametrize("people", PEOPLE)
@pytest.mark.usefixtures("suite")
def bench_batch_decode(benchmark: BenchmarkFixture, people: int) -> None:
    items = maps_of(people, MMPOSE1)

    def slowly(maps: Maps) -> NDArray[np.float32]:
        return parse_slowly(maps, MMPOSE1)

    for maps in items:
        (keypoints,), (values,) = batch_decode(maps)
        expected = slowly(maps)
        assert np.array_equal(keypoints, expected[..., :2]) and np.array_equal(values, expected[..., 2])
    title = f"AssociativeEmbedding.batch_decode, {crowd(people)}"
    beside(benchmark, title, items, batch_decode, items, slowly, "reference.py", faster=True)


@pytest.mark.parametrize("people", PEOPLE)
@pytest.mark.usefixtures("suite")
def bench_decoder(benchmark: BenchmarkFixture, people: int) -> None:
    """The faster road: the network's own maps in, resizing included."""
    items = maps_of(people, PARSER.params)
    for maps in items:
        (ours,), _ = parse(maps)
        assert np.array_equal(decode(maps).keypoints[..., 2], ours[..., 2])
        assert np.array_equal(decode(maps).tags, ours[..., 3:])
    against = "HeatmapParser.parse"
    beside(benchmark, f"Decoder.decode, {crowd(people)}", items, decode, items, parse, against, faster=True)
