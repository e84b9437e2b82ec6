"""The drop-ins give the recorded answers of what they stand in for, stage by stage, and refuse what does not fit."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import golden
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

import hrnetae
from hrnetae import DecodeParams, reference
from hrnetae.compat import AssociativeEmbedding, HeatmapParser
from hrnetae.skeleton import default_joint_order

FULL = os.environ.get("HRNETAE_FULL") == "1"
HAS_TORCH = importlib.util.find_spec("torch") is not None
needs_torch = pytest.mark.skipif(not HAS_TORCH, reason="tensors need torch")
CFG: dict[str, Any] = {
    "num_joints": 3,
    "max_num_people": 30,
    "detection_threshold": 0.1,
    "tag_threshold": 1.0,
    "use_detection_val": True,
    "ignore_too_much": False,
    "tag_per_joint": True,
    "nms_kernel": 5,
    "nms_padding": 2,
}
# The rest of a test_cfg of mmpose 0.x, which its detector reads.
DETECTOR = {
    "scale_factor": [1],
    "with_heatmaps": [True],
    "with_ae": [True],
    "project2image": True,
    "align_corners": False,
    "adjust": True,
    "refine": True,
    "flip_test": True,
}


def refused(error: type[Exception], *parts: str) -> Any:
    """Expects the error, and every part in its message in this order."""
    return pytest.raises(error, match=".*".join(re.escape(part) for part in parts))


def as_torch(*arrays: NDArray[Any]) -> list[Any]:
    torch = pytest.importorskip("torch")
    return [torch.from_numpy(np.array(array)) for array in arrays]


# ---------------------------------------------------------------------------------------------------- recorded answers


def maps_of(recorded: golden.Golden) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What the framework hands its parser: heatmaps (K, h, w), tags (K or 1, h, w, L)."""
    inputs = recorded.inputs()
    return hrnetae.project(inputs.pop("output"), inputs.pop("flipped"), **inputs)


def parser_of(recorded: golden.Golden) -> HeatmapParser:
    params = recorded.params
    cfg = {name: getattr(params, name) for name in [*CFG, "use_udp", "score_per_joint"] if hasattr(params, name)}
    padding = (params.nms_kernel - 1) // 2
    return HeatmapParser({**cfg, "num_joints": len(recorded.skeleton), "nms_padding": padding})


def assert_people(name: str, people: NDArray[Any], recorded: NDArray[Any]) -> None:
    assert people.dtype == np.float32 and people.shape == recorded.shape, name
    assert_allclose(people[..., :2], recorded[..., :2], rtol=0, atol=0.01, err_msg=name)
    assert_allclose(people[..., 2], recorded[..., 2], rtol=0, atol=1e-4, err_msg=name)
    assert_allclose(people[..., 3:], recorded[..., 3:], rtol=1e-6, atol=1e-4, err_msg=name)


def assert_candidates(found: dict[str, NDArray[Any]], recorded: golden.Golden) -> None:
    arrays = recorded.arrays
    count = min(arrays["val_k"].shape[1], recorded.params.max_num_people)
    assert {name: array.dtype for name, array in found.items()} == {
        "tag_k": np.float32,
        "loc_k": np.int64,
        "val_k": np.float32,
    }
    assert found["val_k"].shape == (1, len(recorded.skeleton), count)
    above = arrays["val_k"].astype(np.float64) > recorded.params.detection_threshold
    assert_array_equal(found["val_k"][0].astype(np.float64) > recorded.params.detection_threshold, above)
    assert_allclose(found["val_k"][0][above], arrays["val_k"][above], rtol=0, atol=1e-4)
    assert_array_equal(found["loc_k"][0][above], np.stack([arrays["x_k"], arrays["y_k"]], axis=-1)[above])
    assert_allclose(found["tag_k"][0][above], arrays["tag_k"][above], rtol=1e-6, atol=1e-4)


def stages(parser: HeatmapParser, heat: Any, tags: Any, adjust: bool, refine: bool) -> list[NDArray[Any]]:
    """grouped, adjusted, refined: the parser's methods one after another, as mmpose's parse calls them."""
    (grouped,) = parser.match(**parser.top_k(heat, tags))
    adjusted = grouped.copy()
    if adjust and not parser.use_udp:
        (adjusted,) = parser.adjust([adjusted], heat)
    elif adjust:
        adjusted = hrnetae.adjust(adjusted, np.asarray(heat[0]), DecodeParams(use_udp=True))  # mmpose's is a function
    refined = adjusted.copy()
    for person in refined if refine else ():
        assert parser.refine(heat[0], tags[0], person, use_udp=parser.use_udp) is person
    return [grouped, adjusted, refined]


def cases(mmpose1: bool) -> list[Any]:
    """Every case of a mode. Of the shared ones only those of small maps are quick; the project's own stand for all."""
    params = []
    for param in golden.cases():
        name = str(param.id)
        if name.startswith("mmpose1_") != mmpose1:
            continue
        small = "mmpose1_mapsize_" in name or re.search(r"_(128x128|48x48|100x80)$", name)
        slow = param.marks and not small and name != "shared"
        params.append(pytest.param(*param.values, id=name, marks=[*param.marks, *[pytest.mark.slow] * bool(slow)]))
    return params


@pytest.mark.parametrize("case", cases(mmpose1=False))
def test_the_parsers_stages_are_the_recorded_ones(case: golden.Case) -> None:
    recorded = case.load()
    if recorded.status != "ok" or "val_k" not in recorded.arrays:
        pytest.skip(f"nothing recorded: {recorded.status}")
    parser, params = parser_of(recorded), recorded.params
    heat, tags = (maps[None] for maps in maps_of(recorded))
    found = parser.top_k(heat, tags)
    assert_candidates(found, recorded)
    by_stage = stages(parser, heat, tags, params.adjust, params.refine)
    for name, people in zip(("grouped", "adjusted", "refined"), by_stage, strict=True):
        assert_people(name, people, recorded.arrays[name])
    (people,), scores = parser.parse(heat, tags, adjust=params.adjust, refine=params.refine)
    assert_array_equal(people, by_stage[2])
    assert_allclose(np.reshape(scores, recorded.arrays["scores"].shape), recorded.arrays["scores"], rtol=0, atol=1e-4)
    if HAS_TORCH:
        as_tensors = as_torch(heat, tags)
        for key, array in parser.top_k(*as_tensors).items():
            assert_array_equal(array, found[key])
        (again,), scores_again = parser.parse(*as_tensors, adjust=params.adjust, refine=params.refine)
        assert_array_equal(again, people)
        assert_array_equal(scores_again, scores)


@pytest.mark.parametrize("case", cases(mmpose1=True))
def test_the_codecs_people_are_the_recorded_ones(case: golden.Case) -> None:
    recorded = case.load()
    params, (width, height) = recorded.params, recorded.image_size
    heat, tags = maps_of(recorded)
    input_size = (4 * recorded.arrays["out"].shape[2], 4 * recorded.arrays["out"].shape[1])
    codec = AssociativeEmbedding(
        input_size=input_size,
        heatmap_size=heat.shape[:0:-1],
        decode_keypoint_order=default_joint_order(17),
        decode_nms_kernel=params.nms_kernel,
        decode_keypoint_thr=params.detection_threshold,
        decode_tag_thr=params.tag_threshold,
        decode_topk=params.max_num_people,
        decode_center_shift=params.center_shift,
        decode_max_instances=params.max_num_people,
        return_instance_scores=True,
    )
    tag_channels = tags.transpose(3, 0, 1, 2).reshape(-1, *heat.shape[1:])
    ways = [codec.batch_decode(heat[None], tag_channels[None])]
    if HAS_TORCH:
        ways.append(codec.batch_decode(*as_torch(heat[None], tag_channels[None])))
    for (keypoints,), (values,), (scores,) in ways:
        assert keypoints.dtype == values.dtype == scores.dtype == np.float32
        # The codec's pixels are the input's; the recorded ones the picture's, which was letterboxed into it.
        side = max(width, height)
        placed = keypoints / input_size * side + np.array([width, height]) / 2 - side / 2
        assert placed.shape == (*recorded.arrays["preds"].shape[:2], 2)
        assert_allclose(placed, recorded.arrays["preds"][..., :2], rtol=0, atol=0.01)
        assert_allclose(values, recorded.arrays["preds"][..., 2], rtol=0, atol=1e-4)
        assert_allclose(scores, recorded.arrays["scores"], rtol=0, atol=1e-4)


# ------------------------------------------------------------------------------------------------ any maps, many shapes


def draw_maps(seed: int) -> tuple[dict[str, Any], NDArray[np.float32], NDArray[np.float32]]:
    """cfg and maps (1, K, h, w), (1, K or 1, h, w, L) with plateaus, ties and equal tags."""
    rng = np.random.default_rng(seed)
    joints, length = int(rng.choice([1, 2, 3, 17])), int(rng.integers(1, 4))
    height, width = (int(side) for side in rng.integers(1, 90 if rng.random() < 0.2 else 14, 2))
    kernel = int(rng.choice([1, 3, 5, 7]))
    cfg = {
        **CFG,
        "num_joints": joints,
        "max_num_people": int(rng.integers(1, 12)),
        "detection_threshold": float(rng.choice([-0.2, 0.0, 0.1, 0.5])),
        "ignore_too_much": bool(rng.random() < 0.3),
        "use_detection_val": bool(rng.random() < 0.8),
        "tag_per_joint": bool(rng.random() < 0.7),
        "nms_kernel": kernel,
        "nms_padding": kernel // 2,
        # In maps of one line the DARK step divides what rounding leaves by what rounding leaves.
        "use_udp": bool(rng.random() < 0.2) and min(height, width) > 2,
        "score_per_joint": bool(rng.random() < 0.2),
    }
    # Mean -0.5 leaves few pixels above the threshold, mean 0 many: parse has a way for each.
    heat = rng.normal(rng.choice([-0.5, 0.0]), 0.3, (1, joints, height, width)).astype(np.float32)
    tags = rng.normal(0, 2, (1, joints if cfg["tag_per_joint"] else 1, height, width, length)).astype(np.float32)
    if rng.random() < 0.5:
        heat, tags = np.round(heat * 8) / np.float32(8), np.round(tags)
    if rng.random() < 0.2:
        heat = np.minimum(heat, np.float32(0.1))
    return cfg, heat, tags


@settings(max_examples=500 if FULL else 60)
@given(st.integers(0, 2**32 - 1))
def test_parse_is_the_reference_step_by_step(seed: int) -> None:
    cfg, heat, tags = draw_maps(seed)
    parser = HeatmapParser(cfg)
    adjust, refine = seed % 5 != 0, seed % 7 != 0
    params = parser.params
    found = reference.top_k(reference.heatmap_nms(heat[0], params.nms_kernel), tags[0], params.max_num_people)
    grouped = reference.group_by_tag(*found, params)
    adjusted = reference.adjust(grouped, heat[0], params) if adjust else grouped
    refined = reference.refine(adjusted, heat[0], tags[0], params) if refine else adjusted
    (people,), scores = parser.parse(heat, tags, adjust, refine)
    assert people.dtype == np.float32 and people.shape == (len(grouped), cfg["num_joints"], 3 + tags.shape[-1])
    assert isinstance(scores, list) and len(scores) == len(people)
    # C's logarithm and NumPy's differ in the last bit, which the DARK step passes on.
    assert_allclose(people, refined, rtol=1e-4 if params.use_udp else 0, atol=1e-3 if params.use_udp else 0)
    expected = refined[..., 2] if params.score_per_joint else reference.person_scores(grouped)
    assert_allclose(np.reshape(scores, expected.shape), expected, rtol=1e-5 if params.use_udp else 0)
    assert_array_equal(parser.nms(heat), reference.heatmap_nms(heat[0], params.nms_kernel)[None])
    if not params.use_udp:
        assert_array_equal(stages(parser, heat, tags, adjust, refine)[2], people)


@settings(max_examples=500 if FULL else 40)
@given(st.integers(0, 2**32 - 1))
def test_any_layout_in_memory_gives_the_same(seed: int) -> None:
    cfg, heat, tags = draw_maps(seed)
    parser = HeatmapParser(cfg)
    (people,), scores = parser.parse(heat, tags)
    fortran, plain_first = np.asfortranarray(heat), np.ascontiguousarray(np.moveaxis(tags, -1, 1))
    strided = np.repeat(heat, 2, axis=3)[..., ::2]
    read_only = tags.copy()
    read_only.flags.writeable = False
    for other_heat, other_tags in ((fortran, np.moveaxis(plain_first, 1, -1)), (strided, read_only)):
        (again,), scores_again = parser.parse(other_heat, other_tags)
        assert_array_equal(again, people)
        assert_array_equal(scores_again, scores)


@settings(max_examples=500 if FULL else 40)
@given(st.integers(0, 2**32 - 1))
def test_the_codec_is_the_reference_step_by_step(seed: int) -> None:
    cfg, heat, tags = draw_maps(seed)
    if not cfg["tag_per_joint"]:
        tags = np.repeat(tags, cfg["num_joints"], axis=1)
    most = None if seed % 3 == 0 else 1 + seed % 4
    params = DecodeParams(mode="mmpose1", max_num_people=cfg["max_num_people"], center_shift=0.5)
    codec = AssociativeEmbedding(
        (512, 256), (64, 128), decode_topk=cfg["max_num_people"], decode_center_shift=0.5, decode_max_instances=most
    )
    found = reference.top_k(reference.heatmap_nms(heat[0], 5), tags[0], params.max_num_people)
    grouped = reference.group_by_tag(*found)[:most]  # as many as are founded; the first of them
    expected = reference.refine(reference.adjust(grouped, heat[0], params), heat[0], tags[0], params)
    tag_channels = np.moveaxis(tags, -1, 1).reshape(1, -1, *heat.shape[2:])
    batch_heat, batch_tags = np.repeat(heat, 2, axis=0), np.repeat(tag_channels, 2, axis=0)
    keypoints, values = codec.batch_decode(batch_heat, batch_tags)
    assert isinstance(keypoints, list) and isinstance(values, list) and len(keypoints) == len(values) == 2
    for i in range(2):
        assert_array_equal(keypoints[i], expected[..., :2] * np.array([8, 2], np.float32))
        assert_array_equal(values[i], expected[..., 2])
    one_keypoints, one_values = codec.decode(heat[0], tag_channels[0])
    assert_array_equal(one_keypoints, keypoints[0])
    assert_array_equal(one_values, values[0])


def test_nobody_has_the_shapes_of_somebody() -> None:
    heat, tags = np.zeros((1, 3, 8, 9), np.float32), np.zeros((1, 3, 8, 9, 2), np.float32)
    parser = HeatmapParser(CFG)
    (people,), scores = parser.parse(heat, tags)
    assert people.shape == (0, 3, 5) and people.dtype == np.float32 and scores == []
    assert parser.match(**parser.top_k(heat, tags))[0].shape == (0, 3, 5)
    keypoints, values = AssociativeEmbedding((36, 32), (9, 8)).batch_decode(heat, heat)
    assert keypoints[0].shape == (0, 3, 2) and values[0].shape == (0, 3)
    assert AssociativeEmbedding((36, 32), (9, 8)).batch_decode(heat[:0], heat[:0]) == ([], [])


def test_one_tag_value_needs_no_axis() -> None:
    cfg, heat, tags = draw_maps(3)
    parser = HeatmapParser(cfg)
    (people,), _ = parser.parse(heat, tags[..., :1])
    assert len(people) > 0
    assert_array_equal(parser.parse(heat, tags[..., 0])[0][0], people)
    assert_array_equal(parser.refine(heat[0], tags[0, ..., 0], people[0].copy()), people[0])


def test_adjust_and_refine_write_into_what_they_are_given() -> None:
    heat, tags = np.zeros((1, 3, 8, 9), np.float32), np.zeros((1, 3, 8, 9, 1), np.float32)
    heat[0, 0, 4, 5] = heat[0, 1, 2, 2] = 0.9
    heat[0, 2, 6, 1] = 0.05
    parser = HeatmapParser(CFG)
    ans = parser.match(**parser.top_k(heat, tags))
    people = ans[0]
    assert parser.adjust(ans, heat) is ans and ans[0] is people
    assert_array_equal(people[0, :, :3], np.array([[5.25, 4.25, 0.9], [2.25, 2.25, 0.9], [0, 0, 0]], np.float32))
    assert parser.refine(heat[0], tags[0], people[0]) is not None
    assert_array_equal(people[0, 2, :3], np.array([1.25, 6.25, 0.05], np.float32))


# --------------------------------------------------------------------------------------------------------- the settings


class Config:
    """What mmcv's Config offers: entries and attributes of a dict, without being a mapping."""

    def __init__(self, entries: dict[str, Any]) -> None:
        self._entries = entries

    def __getattr__(self, name: str) -> Any:
        return getattr(self._entries, name) if hasattr(self._entries, name) else self._entries[name]

    def __getitem__(self, name: str) -> Any:
        return self._entries[name]


class Node(dict):  # type: ignore[type-arg]
    """What yacs' CfgNode offers: a dict with attributes."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def higherhrnet_cfg(**changes: Any) -> Node:
    sections = {
        "DATASET": Node(NUM_JOINTS=17, MAX_NUM_PEOPLE=30, WITH_CENTER=False, INPUT_SIZE=512),
        "TEST": Node(
            DETECTION_THRESHOLD=0.2,
            TAG_THRESHOLD=1.0,
            USE_DETECTION_VAL=True,
            IGNORE_TOO_MUCH=False,
            NMS_KERNEL=5,
            NMS_PADDING=2,
            IGNORE_CENTER=True,
        ),
        "MODEL": Node(TAG_PER_JOINT=True, NAME="pose_higher_hrnet"),
        "GPUS": (0,),
    }
    for name, value in changes.items():
        section, _, key = name.partition("__")
        sections[section][key] = value
    return Node(sections)


@pytest.mark.parametrize("kind", [dict, Node, Config, lambda entries: SimpleNamespace(**entries)])
def test_a_configuration_of_any_kind(kind: Any) -> None:
    parser = HeatmapParser(kind(CFG | DETECTOR | {"tag_threshold": 2, "nms_kernel": 3, "nms_padding": 1}))
    assert parser.num_joints == 3
    assert parser.params == DecodeParams(tag_threshold=2.0, nms_kernel=3)


def test_a_configuration_of_attributes_alone() -> None:
    kind = type("Settings", (), CFG)
    assert HeatmapParser(kind()).params == DecodeParams()


def test_the_configuration_of_higherhrnet() -> None:
    parser = HeatmapParser(higherhrnet_cfg())
    assert parser.num_joints == 17 and parser.params == DecodeParams(detection_threshold=0.2)
    assert HeatmapParser(higherhrnet_cfg(DATASET__NUM_JOINTS=18, DATASET__WITH_CENTER=True)).num_joints == 17
    with refused(ValueError, "cfg.TEST.IGNORE_CENTER", "False", "True"):
        HeatmapParser(higherhrnet_cfg(DATASET__WITH_CENTER=True, TEST__IGNORE_CENTER=False))
    cfg = higherhrnet_cfg()
    del cfg["MODEL"]["TAG_PER_JOINT"]
    with refused(ValueError, "cfg.MODEL.TAG_PER_JOINT", "missing"):
        HeatmapParser(cfg)


@pytest.mark.parametrize("key", CFG)
def test_every_key_must_be_there(key: str) -> None:
    with refused(ValueError, f"cfg.{key}", "missing"):
        HeatmapParser({name: value for name, value in CFG.items() if name != key})


@pytest.mark.parametrize(
    ("changes", "error", "parts"),
    [
        ({"nms_treshold": 1}, ValueError, ("cfg.nms_treshold", "unknown", "nms_kernel")),
        ({"num_joints": 0}, ValueError, ("cfg.num_joints", "0", "1 or more")),
        ({"num_joints": 3.0}, TypeError, ("cfg.num_joints", "3.0", "whole number")),
        ({"max_num_people": 0}, ValueError, ("cfg.max_num_people", "0", "1 or more")),
        ({"detection_threshold": "0.1"}, TypeError, ("cfg.detection_threshold", "'0.1'", "number")),
        ({"tag_threshold": float("nan")}, ValueError, ("cfg.tag_threshold", "nan", "finite")),
        ({"use_detection_val": 1}, TypeError, ("cfg.use_detection_val", "1", "True or False")),
        ({"nms_kernel": 4}, ValueError, ("cfg.nms_kernel", "4", "odd")),
        ({"nms_padding": 1}, ValueError, ("cfg.nms_padding", "1", "(nms_kernel - 1) / 2 = 2")),
        ({"nms_padding": None}, TypeError, ("cfg.nms_padding", "None", "whole number")),
    ],
)
def test_impossible_settings_are_named(changes: dict[str, Any], error: type[Exception], parts: tuple[str, ...]) -> None:
    with refused(error, *parts):
        HeatmapParser(CFG | changes)


@pytest.mark.parametrize("cfg", [None, "cfg.py", [1], 3])
def test_what_is_no_configuration(cfg: Any) -> None:
    with refused(TypeError, "cfg", type(cfg).__name__, "mapping"):
        HeatmapParser(cfg)


@pytest.mark.parametrize(
    ("changes", "error", "parts"),
    [
        ({"input_size": 512}, TypeError, ("input_size", "512", "(width, height)")),
        ({"heatmap_size": (0, 8)}, ValueError, ("heatmap_size", "(0, 8)")),
        ({"use_udp": True}, ValueError, ("use_udp", "True", "False")),
        ({"decode_nms_kernel": 2}, ValueError, ("decode_nms_kernel", "2", "odd")),
        ({"decode_keypoint_thr": -0.1}, ValueError, ("decode_keypoint_thr", "-0.1", "0 or more")),
        ({"decode_tag_thr": None}, TypeError, ("decode_tag_thr", "None", "number")),
        ({"decode_topk": 0}, ValueError, ("decode_topk", "0", "1 or more")),
        ({"decode_center_shift": "half"}, TypeError, ("decode_center_shift", "'half'", "number")),
        ({"decode_max_instances": 0}, ValueError, ("decode_max_instances", "0", "1 or more")),
        ({"decode_keypoint_order": [0, 2]}, ValueError, ("decode_keypoint_order", "[0, 2]", "every index of 0..1")),
        ({"decode_keypoint_order": 3}, TypeError, ("decode_keypoint_order", "3", "sequence")),
    ],
)
def test_impossible_parameters_of_the_codec(
    changes: dict[str, Any], error: type[Exception], parts: tuple[str, ...]
) -> None:
    with refused(error, *parts):
        AssociativeEmbedding(**({"input_size": (32, 32), "heatmap_size": (8, 8)} | changes))


def test_parameters_that_do_not_matter_are_taken() -> None:
    codec = AssociativeEmbedding((32, 32), (8, 8), sigma=2, decode_gaussian_kernel=3, decode_keypoint_order=(1, 0, 2))
    assert codec.support_batch_decoding
    with refused(ValueError, "heatmaps", "2 maps", "3", "decode_keypoint_order"):
        codec.decode(np.zeros((2, 8, 8), np.float32), np.zeros((2, 8, 8), np.float32))


# ---------------------------------------------------------------------------------------------------------- the tensors

HEAT, TAGS = np.zeros((1, 3, 8, 9), np.float32), np.zeros((1, 3, 8, 9, 2), np.float32)


@pytest.mark.parametrize(
    ("heat", "tags", "error", "parts"),
    [
        (np.zeros((2, 3, 8, 9), np.float32), TAGS, ValueError, ("heatmaps", "(2, 3, 8, 9)", "batch of 1")),
        (HEAT, np.zeros((2, 3, 8, 9, 2), np.float32), ValueError, ("tags", "(2, 3, 8, 9, 2)", "batch of 1")),
        (HEAT[0], TAGS, ValueError, ("heatmaps", "(3, 8, 9)", "4 dimensions")),
        (HEAT[:, :2], TAGS, ValueError, ("heatmaps", "(1, 2, 8, 9)", "(1, 3, h, w)")),
        (HEAT, TAGS[:, :1], ValueError, ("tags", "(1, 1, 8, 9, 2)", "(1, 3, h, w, L)")),
        (HEAT, TAGS[:, :, :4], ValueError, ("tags", "(3, 4, 9, 2)", "8, 9")),
        (HEAT.astype(np.float64), TAGS, TypeError, ("heatmaps", "float64", "float32")),
        (HEAT, TAGS.astype(np.int32), TypeError, ("tags", "int32", "float32")),
        (None, TAGS, TypeError, ("heatmaps", "NoneType", "NumPy array")),
        (HEAT, TAGS.tolist(), TypeError, ("tags", "list", "NumPy array")),
    ],
)
def test_maps_that_do_not_fit(heat: Any, tags: Any, error: type[Exception], parts: tuple[str, ...]) -> None:
    with refused(error, *parts):
        HeatmapParser(CFG).parse(heat, tags)
    with refused(error, *parts):
        HeatmapParser(CFG).top_k(heat, tags)


def test_candidates_and_people_that_do_not_fit() -> None:
    parser = HeatmapParser(CFG)
    found = parser.top_k(HEAT, TAGS)
    for key, array, parts in (
        ("val_k", found["val_k"][:, :2], ("val_k", "(1, 3, M)")),
        ("tag_k", found["tag_k"][:, :, :5], ("tag_k", "(1, 3, 5, 2)", "(1, 3, 30)")),
        ("loc_k", found["loc_k"][..., :1], ("loc_k", "(1, 3, 30, 1)", "(1, 3, 30, 2)")),
        ("loc_k", np.repeat(found["loc_k"], 2, axis=0), ("loc_k", "(2, 3, 30, 2)", "batch of 1")),
    ):
        with refused(ValueError, *parts):
            parser.match(**(found | {key: array}))
    person = np.zeros((1, 3, 5), np.float32)
    with refused(ValueError, "ans", "2 entries", "batch of 1"):
        parser.adjust([person, person], HEAT)
    with refused(TypeError, "ans", "ndarray", "list"):
        parser.adjust(person, HEAT)
    with refused(TypeError, "ans[0]", "list", "NumPy array"):
        parser.adjust([person.tolist()], HEAT)
    with refused(ValueError, "keypoints", "(3, 4)", "(3, 5)"):
        parser.refine(HEAT[0], TAGS[0], person[0, :, :4])


def test_batches_of_the_codec_that_do_not_fit() -> None:
    codec = AssociativeEmbedding((36, 32), (9, 8))
    with refused(ValueError, "batch_tags", "(2, 3, 8, 9)", "batch of 1"):
        codec.batch_decode(HEAT, np.repeat(HEAT, 2, axis=0))
    with refused(ValueError, "batch_tags", "4 maps", "L x 3 maps of (8, 9)"):
        codec.batch_decode(HEAT, np.zeros((1, 4, 8, 9), np.float32))
    with refused(TypeError, "batch_heatmaps", "float64", "float32"):
        codec.batch_decode(HEAT.astype(float), HEAT)


class OnAnotherDevice:
    """As much of a CUDA tensor as can be had without one: DLPack's device type 2."""

    device = "cuda:0"
    ndim = 4

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0

    def __dlpack__(self, **_: Any) -> Any:
        raise AssertionError("asked for, though it cannot be read here")

    def numpy(self) -> Any:
        raise AssertionError("asked for, though it cannot be read here")


class ThroughDlpack:
    """A tensor of a framework without numpy(): JAX's and CuPy's have DLPack alone."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._array = array
        self.ndim = array.ndim

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)


def test_tensors_on_another_device_are_refused() -> None:
    with refused(TypeError, "heatmaps", "OnAnotherDevice", "cuda:0", ".cpu()"):
        HeatmapParser(CFG).parse(OnAnotherDevice(), TAGS)
    with refused(TypeError, "batch_tags", "OnAnotherDevice", "cuda:0", ".cpu()"):
        AssociativeEmbedding((36, 32), (9, 8)).batch_decode(HEAT, OnAnotherDevice())


def test_tensors_come_in_through_dlpack() -> None:
    cfg, heat, tags = draw_maps(3)
    (people,), _ = HeatmapParser(cfg).parse(heat, tags)
    assert len(people) > 0
    assert_array_equal(HeatmapParser(cfg).parse(ThroughDlpack(heat), ThroughDlpack(tags))[0][0], people)


@needs_torch
def test_tensors_that_numpy_cannot_have_are_refused() -> None:
    heat, tags = as_torch(HEAT, TAGS)
    parser = HeatmapParser(CFG)
    with refused(TypeError, "heatmaps", "torch.Tensor", "gradient", ".detach()"):
        parser.parse(heat.clone().requires_grad_(), tags)
    with refused(TypeError, "tags", "torch.Tensor", "BFloat16"):
        parser.parse(heat, tags.bfloat16())
    with refused(TypeError, "heatmaps", "torch.Tensor", "meta", ".cpu()"):
        parser.parse(heat.to("meta"), tags)


@needs_torch
def test_tensors_are_not_copied_nor_changed() -> None:
    cfg, heat, tags = draw_maps(3)
    tensors = as_torch(heat, tags)
    (people,), _ = HeatmapParser(cfg).parse(*tensors)
    assert isinstance(people, np.ndarray)
    assert_array_equal(tensors[0].numpy(), heat)
    assert_array_equal(tensors[1].numpy(), tags)
    # A view that is not contiguous, as slicing a network's output gives.
    (again,), _ = HeatmapParser(cfg).parse(tensors[0].repeat(1, 2, 1, 1)[:, : cfg["num_joints"]], tensors[1])
    assert_array_equal(again, people)


def test_no_framework_is_imported() -> None:
    code = (
        "import sys, numpy as np, hrnetae.compat as c\n"
        "c.AssociativeEmbedding((32, 32), (8, 8)).decode(*(np.zeros((2, 8, 8), np.float32),) * 2)\n"
        "print(sorted({'torch', 'cupy', 'jax', 'tensorflow', 'mmcv', 'mmpose', 'cv2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


PAGE = Path(__file__).resolve().parents[1] / "docs" / "compat.md"


@pytest.mark.skipif(not PAGE.is_file(), reason="the documentation is not here")
def test_the_pages_examples_print_what_they_say(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), {})
    assert capsys.readouterr().out.splitlines() == ["(0, 17, 5)", "2 (0, 17, 2) (0, 17)"]
