"""The Python API: what it takes, what it says to wrong arguments, and what it returns."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import hrnetae
from hrnetae import COCO17, CROWDPOSE14, DecodeParams, Decoder, Poses, Skeleton

Array = NDArray[Any]
THREE = Skeleton("three", ("a", "b", "c"), flip_pairs=((1, 2),))


def maps(*shape: int, dtype: Any = np.float32) -> Array:
    return np.zeros(shape, dtype)


def drawn(people: int, width: int = 16, height: int = 12) -> Array:
    """COCO-17 output of so many people: a column of pixels each, with a tag of its own."""
    output = np.zeros((34, height, width), np.float32)
    for person in range(people):
        for joint in range(17):
            output[joint, joint * height // 17, 2 + 5 * person] = 0.9
        output[17:, :, 5 * person : 5 * person + 5] = 3 * person + 1
    return output


def refused(error: type[Exception] | tuple[type[Exception], ...], *parts: str) -> Any:
    """Expects the error, and every part in its message in this order."""
    return pytest.raises(error, match=".*".join(re.escape(part) for part in parts))


# ------------------------------------------------------------------------------------------------ arguments of a decode


@pytest.mark.parametrize(
    ("output", "error", "parts"),
    [
        (None, TypeError, ("output", "NoneType", "NumPy array")),
        ("text", TypeError, ("output", "str", "NumPy array")),
        ([[1.0, 2.0]], TypeError, ("output[0]", "list", "NumPy array")),
        ([], ValueError, ("output", "empty", "one array per stage")),
        (maps(6, 4), ValueError, ("output", "(6, 4)", "(channels, height, width)")),
        (maps(4), ValueError, ("output", "(4,)", "(channels, height, width)")),
        (maps(2, 6, 4, 5), ValueError, ("output", "(2, 6, 4, 5)", "(1, channels, height, width)")),
        (maps(1, 1, 6, 4, 5), ValueError, ("output", "(1, 1, 6, 4, 5)", "(channels, height, width)")),
        (maps(5, 4, 5), ValueError, ("output", "5 channels", "6", "3", "three")),
        (maps(34, 4, 5), ValueError, ("output", "34 channels", "6", "3", "three")),
        (maps(3, 4, 5), ValueError, ("output", "no stage has tag maps", "6")),
        (maps(6, 0, 5), ValueError, ("output", "(6, 0, 5)", "(channels, height, width)")),
        (maps(6, 4, 0), ValueError, ("output", "(6, 4, 0)", "(channels, height, width)")),
        (maps(6, 4, 5, dtype=np.float64), TypeError, ("output", "float64", "float32 or float16")),
        (maps(6, 4, 5, dtype=np.int8), TypeError, ("output", "int8", "float32 or float16")),
        (maps(6, 4, 5, dtype=np.uint16), TypeError, ("output", "uint16", "float32 or float16")),
        (maps(6, 4, 5, dtype=np.bool_), TypeError, ("output", "bool", "float32 or float16")),
        (maps(6, 4, 5, dtype=np.complex64), TypeError, ("output", "complex64", "float32 or float16")),
        (maps(6, 4, 5, dtype=object), TypeError, ("output", "object", "float32 or float16")),
        ([maps(6, 4, 5), maps(6, 8, 10)], ValueError, ("output", "tag maps in stages 0 and 1", "one stage")),
        ([maps(6, 4, 5), maps(2, 8, 10)], ValueError, ("output of stage 1", "2 channels", "3")),
        ([maps(6, 4, 5), None], TypeError, ("output[1]", "NoneType", "NumPy array")),
        ([maps(3, 4, 5), maps(3, 8, 10)], ValueError, ("output", "no stage has tag maps")),
    ],
)
def test_wrong_outputs(output: Any, error: type[Exception], parts: tuple[str, ...]) -> None:
    with refused(error, *parts):
        Decoder(skeleton=THREE).decode(output, image_size=(10, 8))
    with refused(error, *parts):
        hrnetae.project(output, image_size=(10, 8), skeleton=THREE)


@pytest.mark.parametrize(
    ("flipped", "error", "parts"),
    [
        (maps(6, 4, 6), ValueError, ("flipped", "(6, 4, 6)", "(6, 4, 5)")),
        (maps(3, 4, 5), ValueError, ("flipped", "(3, 4, 5)", "(6, 4, 5)")),
        ([maps(6, 4, 5), maps(3, 8, 10)], ValueError, ("flipped", "(3, 8, 10)", "(6, 4, 5)")),
        (maps(6, 4, 5, dtype=np.float64), TypeError, ("flipped", "float64", "float32 or float16")),
        (7, TypeError, ("flipped", "int", "NumPy array")),
    ],
)
def test_wrong_flipped(flipped: Any, error: type[Exception], parts: tuple[str, ...]) -> None:
    with refused(error, *parts):
        Decoder(skeleton=THREE).decode(maps(6, 4, 5), flipped, image_size=(10, 8))


@pytest.mark.parametrize(
    ("scales", "output", "error", "parts"),
    [
        ((), [], ValueError, ("scales", "()", "one or more")),
        ((1.0, 1.0), [maps(6, 4, 5)] * 2, ValueError, ("scales", "(1.0, 1.0)", "different")),
        ((0.5, 2.0), [maps(6, 4, 5)] * 2, ValueError, ("scales", "(0.5, 2.0)", "1")),
        ((1.0, -0.5), [maps(6, 4, 5)] * 2, ValueError, ("scales", "-0.5", "positive")),
        ((1.0, float("nan")), [maps(6, 4, 5)] * 2, ValueError, ("scales", "nan", "positive")),
        ((1.0, "half"), [maps(6, 4, 5)] * 2, ValueError, ("scales", "half", "positive")),
        ((1.0, 0.5), [maps(6, 4, 5)], ValueError, ("output", "1", "2 scales")),
        ((1.0, 0.5), maps(6, 4, 5), (TypeError, ValueError), ("output", "ndarray", "2 scales")),
        ((1.0, 0.5), [maps(6, 4, 5), maps(5, 2, 3)], ValueError, ("output", "5 channels", "6")),
        ((1.0, 0.5), [[maps(6, 4, 5), maps(3, 4, 5)], maps(6, 2, 3)], ValueError, ("output", "[2, 1]", "same number")),
    ],
)
def test_wrong_scales(scales: Any, output: Any, error: type[Exception], parts: tuple[str, ...]) -> None:
    with refused(error, *parts):
        Decoder(skeleton=THREE).decode(output, image_size=(10, 8), scales=scales)


def test_tags_are_read_from_the_scale_of_1_alone() -> None:
    """Where only another scale has tag maps, there is nothing to read; where only this one has, all is well."""
    decoder = Decoder(skeleton=THREE)
    with refused(ValueError, "output", "tag maps"):
        decoder.decode([maps(3, 8, 10), maps(6, 4, 5)], image_size=(10, 8), scales=(1.0, 0.5))
    assert len(decoder.decode([maps(6, 8, 10), maps(3, 4, 5)], image_size=(10, 8), scales=(1.0, 0.5))) == 0


def test_scales_of_flipped_are_counted_too() -> None:
    both = [maps(6, 4, 5), maps(6, 2, 3)]
    with refused(ValueError, "flipped", "1", "2 scales"):
        Decoder(skeleton=THREE).decode(both, both[:1], image_size=(10, 8), scales=(1.0, 0.5))
    with refused(ValueError, "flipped", "(6, 2, 3)", "(6, 4, 5)"):
        Decoder(skeleton=THREE).decode(both, both[::-1], image_size=(10, 8), scales=(1.0, 0.5))


@pytest.mark.parametrize(
    ("size", "error", "parts"),
    [
        (None, TypeError, ("image_size", "None", "(width, height)")),
        (640, TypeError, ("image_size", "640", "(width, height)")),
        ((640,), TypeError, ("image_size", "(640,)", "(width, height)")),
        ((640, 480, 3), TypeError, ("image_size", "(640, 480, 3)", "(width, height)")),
        ((640.0, 480.0), TypeError, ("image_size", "640.0", "whole number")),
        (("640", "480"), TypeError, ("image_size", "'640'", "whole number")),
        ((True, 480), TypeError, ("image_size", "True", "whole number")),
        ((0, 480), ValueError, ("image_size", "(0, 480)", "from 1 to")),
        ((640, -1), ValueError, ("image_size", "(640, -1)", "from 1 to")),
        ((640, 1 << 20), ValueError, ("image_size", "1048576", "from 1 to")),
    ],
)
def test_wrong_image_sizes(size: Any, error: type[Exception], parts: tuple[str, ...]) -> None:
    with refused(error, *parts):
        Decoder(skeleton=THREE).decode(maps(6, 4, 5), image_size=size)


def test_image_size_must_be_said() -> None:
    with pytest.raises(TypeError, match="image_size"):
        Decoder().decode(drawn(1))  # type: ignore[call-arg]
    assert len(Decoder().decode(drawn(1), image_size=(np.int64(16), np.uint8(12)))) == 1  # type: ignore[arg-type]


def test_mmpose1_takes_one_stage_of_one_scale() -> None:
    decoder = Decoder(DecodeParams(mode="mmpose1"), THREE)
    with refused(ValueError, "output", "mmpose1"):
        decoder.decode([maps(6, 4, 5), maps(3, 8, 10)], image_size=(10, 8))
    with refused(ValueError, "output", "mmpose1"):
        decoder.decode([maps(6, 4, 5)] * 2, image_size=(10, 8), scales=(1.0, 0.5))


def test_wrong_decoders() -> None:
    with refused(TypeError, "params", "dict", "DecodeParams"):
        Decoder({"refine": False})  # type: ignore[arg-type]
    with refused(TypeError, "skeleton", "str", "Skeleton"):
        Decoder(skeleton="coco")  # type: ignore[arg-type]


# --------------------------------------------------------------------------------------------------------------- steps

HEAT = maps(3, 4, 5)
TAGS = maps(3, 4, 5, 1)
PERSONS = maps(2, 3, 4)


@pytest.mark.parametrize(
    ("heat", "error", "parts"),
    [
        ([[[0.5]]], TypeError, ("heatmaps", "list", "NumPy array")),
        (maps(4, 5), ValueError, ("heatmaps", "(4, 5)", "(K, H, W)")),
        (maps(3, 0, 5), ValueError, ("heatmaps", "(3, 0, 5)", "(K, H, W)")),
        (maps(3, 4, 5, dtype=np.float64), TypeError, ("heatmaps", "float64", "float32 or float16")),
        (maps(3, 4, 5, dtype=np.int32), TypeError, ("heatmaps", "int32", "float32 or float16")),
    ],
)
def test_wrong_heatmaps(heat: Any, error: type[Exception], parts: tuple[str, ...]) -> None:
    for call in (
        lambda: hrnetae.heatmap_nms(heat),
        lambda: hrnetae.top_k(heat, TAGS),
        lambda: hrnetae.adjust(PERSONS, heat),
        lambda: hrnetae.refine(PERSONS, heat, TAGS),
    ):
        with refused(error, *parts):
            call()


@pytest.mark.parametrize(
    ("tags", "error", "parts"),
    [
        (None, TypeError, ("tags", "NoneType", "NumPy array")),
        (maps(3, 4, 5), ValueError, ("tags", "(3, 4, 5)", "(3 or 1, 4, 5, L)")),
        (maps(2, 4, 5, 1), ValueError, ("tags", "(2, 4, 5, 1)", "(3 or 1, 4, 5, L)")),
        (maps(3, 5, 4, 1), ValueError, ("tags", "(3, 5, 4, 1)", "(3 or 1, 4, 5, L)")),
        (maps(3, 4, 5, 0), ValueError, ("tags", "(3, 4, 5, 0)", "(3 or 1, 4, 5, L)")),
        (maps(3, 4, 5, 1, dtype=np.float64), TypeError, ("tags", "float64", "float32 or float16")),
    ],
)
def test_wrong_tags(tags: Any, error: type[Exception], parts: tuple[str, ...]) -> None:
    with refused(error, *parts):
        hrnetae.top_k(HEAT, tags)
    with refused(error, *parts):
        hrnetae.refine(PERSONS, HEAT, tags)


@pytest.mark.parametrize(
    ("persons", "error", "parts"),
    [
        ([], TypeError, ("persons", "list", "NumPy array")),
        (maps(3, 4), ValueError, ("persons", "(3, 4)", "(P, 3, 3 + L)")),
        (maps(2, 4, 4), ValueError, ("persons", "(2, 4, 4)", "(P, 3, 3 + L)")),
        (maps(2, 3, 3), ValueError, ("persons", "(2, 3, 3)", "(P, 3, 3 + L)")),
        (maps(2, 3, 4, dtype=np.int64), TypeError, ("persons", "int64", "float32 or float16")),
    ],
)
def test_wrong_persons(persons: Any, error: type[Exception], parts: tuple[str, ...]) -> None:
    with refused(error, *parts):
        hrnetae.adjust(persons, HEAT)
    with refused(error, *parts):
        hrnetae.refine(persons, HEAT, TAGS)


@pytest.mark.parametrize("kernel", [0, 2, -3, 2.5, True, None, "5"])
def test_wrong_nms_kernels(kernel: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=rf"nms_kernel: .*{kernel}.*expected"):
        hrnetae.heatmap_nms(HEAT, kernel)


@pytest.mark.parametrize("count", [0, -1, 2.5, None])
def test_wrong_counts_of_candidates(count: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=rf"max_num_people: .*{count}.*expected"):
        hrnetae.top_k(HEAT, TAGS, count)


def candidates(**changes: Any) -> dict[str, Any]:
    values = np.array([[0.9, 0.5], [0.8, 0.4], [0.7, 0.3]], np.float32)
    places = np.zeros((3, 2), np.int32)
    return {"values": values, "x": places, "y": places, "tags": maps(3, 2, 1)} | changes


@pytest.mark.parametrize(
    ("change", "error", "parts"),
    [
        ({"values": [[0.5]]}, TypeError, ("values", "list", "NumPy array")),
        ({"values": maps(6)}, ValueError, ("values", "(6,)", "2 dimensions")),
        ({"values": maps(3, 0)}, ValueError, ("values", "(3, 0)", "at least one")),
        ({"values": maps(3, 2, dtype=np.complex64)}, TypeError, ("values", "complex64", "floats")),
        ({"values": np.full((3, 2), np.nan, np.float32)}, ValueError, ("values", "NaN", "finite")),
        ({"values": np.array([[1, 2]] * 3, np.float32)}, ValueError, ("values", "rising", "best candidate first")),
        ({"x": maps(3, 2)}, TypeError, ("x", "float32", "whole numbers")),
        ({"y": maps(2, 2, dtype=np.int32)}, ValueError, ("y", "(2, 2)", "(3, 2)")),
        ({"tags": maps(3, 2)}, ValueError, ("tags", "(3, 2)", "3 dimensions")),
        ({"tags": maps(3, 3, 1)}, ValueError, ("tags", "(3, 3)", "(3, 2)")),
        ({"tags": maps(3, 2, 0)}, ValueError, ("tags", "(3, 2, 0)", "at least one")),
        ({"joint_order": (0, 1)}, ValueError, ("joint_order", "(0, 1)", "0..2")),
        ({"joint_order": (0, 1, 1)}, ValueError, ("joint_order", "(0, 1, 1)", "0..2")),
        ({"joint_order": (0, 1, 3)}, ValueError, ("joint_order", "(0, 1, 3)", "0..2")),
    ],
)
def test_wrong_candidates(change: dict[str, Any], error: type[Exception], parts: tuple[str, ...]) -> None:
    assert hrnetae.group_by_tag(**candidates()).shape == (1, 3, 4)
    with refused(error, *parts):
        hrnetae.group_by_tag(**candidates(**change))


def test_steps_return_new_arrays() -> None:
    persons = PERSONS.copy()
    persons[..., 2] = 0.5
    before = persons.copy()
    for found in (hrnetae.adjust(persons, HEAT), hrnetae.refine(persons, HEAT, TAGS)):
        assert not np.shares_memory(found, persons)
    np.testing.assert_array_equal(persons, before)


# ---------------------------------------------------------------------------------------------------------- parameters

WHOLE = ("max_num_people", "nms_kernel", "tag_window")
REAL = ("detection_threshold", "tag_threshold", "center_shift", "suppress_oks", "filled_floor")
SWITCHES = (
    "use_detection_val",
    "ignore_too_much",
    "tag_per_joint",
    "adjust",
    "refine",
    "project2image",
    "align_corners",
    "use_udp",
    "score_per_joint",
    "restore_heatmap_size",
    "second_pass",
    "exact_geometry",
)


def test_every_parameter_is_tested_here() -> None:
    names = {field.name for field in dataclasses.fields(DecodeParams)}
    assert names == {*WHOLE, *REAL, *SWITCHES, "mode", "input_size", "subpixel", "person_score", "rescoring"}


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("value", [0, -1, 2.0, "3", None, True, 1 << 40])
def test_wrong_whole_numbers(name: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{name}: .*{value}.*expected"):
        DecodeParams(**{name: value})


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("value", ["0.1", None, True, 1j, float("nan"), float("inf")])
def test_wrong_numbers(name: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{name}: .*{value}.*expected"):
        DecodeParams(**{name: value})


@pytest.mark.parametrize("shift", [1e308, -3.5e38, np.nextafter(float(np.finfo(np.float32).max), np.inf)])
def test_shifts_beyond_float32(shift: float) -> None:
    """Found by the fuzzer: joints went to infinity, and the conversion is not defined in C."""
    with refused(ValueError, "center_shift", str(shift), "float32"):
        DecodeParams(mode="mmpose1", center_shift=shift)


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("value", [1, 0, "yes", None, 1.0])
def test_wrong_switches(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"^{name}: .*{value}.*expected True or False"):
        DecodeParams(**{name: value})


@pytest.mark.parametrize("kernel", [2, 4, 100])
def test_even_nms_kernels(kernel: int) -> None:
    with refused(ValueError, "nms_kernel", str(kernel), "odd"):
        DecodeParams(nms_kernel=kernel)


@pytest.mark.parametrize("mode", ["", "mmpose", "Reference", None, 1, ["reference"]])
def test_wrong_modes(mode: Any) -> None:
    with refused((TypeError, ValueError), "mode", repr(mode), "'reference'", "'mmpose1'"):
        DecodeParams(mode=mode)


@pytest.mark.parametrize("size", [512, (512,), (512.0, 512.0), (0, 512), "512x512", (1 << 20, 1)])
def test_wrong_input_sizes(size: Any) -> None:
    with refused((TypeError, ValueError), "input_size", "expected"):
        DecodeParams(mode="mmpose1", input_size=size)


def test_mmpose1_has_no_udp() -> None:
    with refused(ValueError, "use_udp", "True", "mmpose1"):
        DecodeParams(mode="mmpose1", use_udp=True)


def test_defaults_are_the_references() -> None:
    assert DecodeParams().to_dict() == {
        "max_num_people": 30,
        "detection_threshold": 0.1,
        "tag_threshold": 1.0,
        "nms_kernel": 5,
        "use_detection_val": True,
        "ignore_too_much": False,
        "tag_per_joint": True,
        "adjust": True,
        "refine": True,
        "project2image": True,
        "align_corners": False,
        "use_udp": False,
        "score_per_joint": False,
        "mode": "reference",
        "restore_heatmap_size": True,
        "center_shift": 0.5,
        "input_size": None,
        # What the reference does not have is off.
        "tag_window": 1,
        "second_pass": False,
        "subpixel": "quarter",
        "person_score": "mean",
        "suppress_oks": 1.0,
        "filled_floor": 0.0,
        "exact_geometry": False,
        "rescoring": None,
    }


def test_parameters_are_frozen_and_plain() -> None:
    params = DecodeParams(max_num_people=np.int64(5), detection_threshold=np.float32(0.5), refine=np.bool_(False))  # type: ignore[arg-type]
    with pytest.raises(dataclasses.FrozenInstanceError):
        params.refine = True  # type: ignore[misc]
    assert [type(params.to_dict()[name]) for name in ("max_num_people", "detection_threshold", "refine")] == [
        int,
        float,
        bool,
    ]
    assert json.loads(json.dumps(params.to_dict()))["detection_threshold"] == 0.5
    assert hash(params) == hash(params.replace()) and params == params.replace()
    changed = params.replace(input_size=[640, 480], mode="mmpose1")
    assert changed.input_size == (640, 480)
    assert params.input_size is None
    with pytest.raises(TypeError, match="no_such_field"):
        params.replace(no_such_field=1)
    with refused(ValueError, "nms_kernel", "4"):
        params.replace(nms_kernel=4)


# ------------------------------------------------------------------------------------------------------------ skeletons


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ({"joints": ()}, ("joints", "at least one")),
        ({"flip_pairs": ((0, 3),)}, ("flip_pairs", "(0, 3)", "0..2")),
        ({"flip_pairs": ((0, -1),)}, ("flip_pairs", "(0, -1)", "0..2")),
        ({"flip_pairs": ((0, 1), (1, 2))}, ("flip_pairs", "(1, 2)", "disjoint")),
        ({"flip_pairs": ((1, 1),)}, ("flip_pairs", "(1, 1)", "disjoint")),
        ({"joint_order": (0, 1)}, ("joint_order", "(0, 1)", "0..2")),
        ({"joint_order": (0, 1, 1)}, ("joint_order", "(0, 1, 1)", "0..2")),
        ({"limbs": ((0, 3),)}, ("limbs", "(0, 3)", "0..2")),
        ({"sigmas": (0.1, 0.1)}, ("sigmas", "(0.1, 0.1)", "3 positive")),
        ({"sigmas": (0.1, 0.0, 0.1)}, ("sigmas", "0.0", "3 positive")),
        ({"sigmas": (0.1, float("nan"), 0.1)}, ("sigmas", "nan", "3 positive")),
    ],
)
def test_wrong_skeletons(fields: dict[str, Any], parts: tuple[str, ...]) -> None:
    with refused(ValueError, *parts):
        Skeleton(**({"name": "wrong", "joints": ("a", "b", "c")} | fields))


def test_skeletons() -> None:
    assert COCO17.flip_index == (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)
    assert COCO17.joint_order == (0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13, 14, 15, 16)
    assert CROWDPOSE14.flip_index == (1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 12, 13)
    assert CROWDPOSE14.joint_order == tuple(range(14))
    assert (len(COCO17), len(CROWDPOSE14)) == (17, 14)
    assert len(COCO17.sigmas) == 17 and len(CROWDPOSE14.sigmas) == 14
    assert THREE.flip_index == (0, 2, 1) and THREE.joint_order == (0, 1, 2)
    own = Skeleton("own", ["a", "b"], flip_pairs=[[0, 1]], joint_order=[1, 0])  # type: ignore[arg-type]
    assert own == Skeleton("own", ("a", "b"), ((0, 1),), (1, 0)) and hash(own)
    with pytest.raises(dataclasses.FrozenInstanceError):
        own.name = "other"  # type: ignore[misc]


# ---------------------------------------------------------------------------------------------------------------- poses


def test_poses_are_a_sequence() -> None:
    poses = Decoder().decode(drawn(3), image_size=(64, 48))
    assert len(poses) == 3
    assert poses.keypoints.shape == (3, 17, 3) and poses.scores.shape == (3,) and poses.tags.shape == (3, 17, 1)
    for index, one in enumerate(poses):
        assert isinstance(one, Poses) and len(one) == 1
        np.testing.assert_array_equal(one.keypoints, poses[index].keypoints)
        np.testing.assert_array_equal(one.keypoints[0], poses.keypoints[index])
    assert [len(poses[1:]), len(poses[:0]), len(poses[::-1]), len(poses[5:])] == [2, 0, 3, 0]
    np.testing.assert_array_equal(poses[-1].keypoints, poses[2].keypoints)
    np.testing.assert_array_equal(poses[::-1].scores, poses.scores[::-1])
    assert poses[1:].skeleton is poses.skeleton
    for index in (3, -4):
        with pytest.raises(IndexError):
            poses[index]
    with pytest.raises(TypeError):
        poses["first"]  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        poses.scores = poses.scores  # type: ignore[misc]


def test_coco_results_are_plain_numbers() -> None:
    poses = Decoder().decode(drawn(2), drawn(2)[..., ::-1], image_size=(61, 47))
    results = poses.to_coco(139, category_id=1)
    assert json.loads(json.dumps(results)) == results
    assert len(results) == 2
    for person, result in enumerate(results):
        assert list(result) == ["image_id", "category_id", "keypoints", "score", "bbox"]
        assert (result["image_id"], result["category_id"]) == (139, 1)
        assert all(type(number) is float for number in [*result["keypoints"], *result["bbox"], result["score"]])
        points = np.array(result["keypoints"], np.float32).reshape(17, 3)
        np.testing.assert_array_equal(points, poses.keypoints[person])
        x, y, width, height = result["bbox"]
        low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
        np.testing.assert_allclose([x, y, x + width, y + height], [*low, *high], rtol=1e-6, atol=1e-4)
        assert result["score"] == float(poses.scores[person])


@pytest.mark.parametrize("per_joint", [False, True])
def test_nobody(per_joint: bool) -> None:
    decoder = Decoder(DecodeParams(score_per_joint=per_joint))
    poses = decoder.decode(maps(34, 8, 8, dtype=np.float16), maps(34, 8, 8, dtype=np.float16), image_size=(20, 30))
    assert len(poses) == 0
    assert list(poses) == [] and poses.to_coco(1) == []
    assert poses.keypoints.shape == (0, 17, 3) and poses.tags.shape == (0, 17, 2)
    assert poses.scores.shape == ((0, 17) if per_joint else (0,))
    assert poses.person_scores().shape == (0,) and poses.boxes().shape == (0, 4)
    assert len(poses[:]) == 0
    with pytest.raises(IndexError):
        poses[0]


def test_scores_per_joint() -> None:
    poses = Decoder(DecodeParams(score_per_joint=True)).decode(drawn(2), image_size=(16, 12))
    assert poses.scores.shape == (2, 17)
    np.testing.assert_array_equal(poses.scores, poses.keypoints[..., 2])
    assert poses.person_scores().shape == (2,)
    assert [type(result["score"]) for result in poses.to_coco(1)] == [float, float]
    assert poses[1].scores.shape == (1, 17)


def test_results_belong_to_the_caller() -> None:
    decoder, output = Decoder(), drawn(2)
    first = decoder.decode(output, image_size=(16, 12))
    kept = first.keypoints.copy()
    first.keypoints[:] = -1
    np.testing.assert_array_equal(decoder.decode(output, image_size=(16, 12)).keypoints, kept)
    assert first.tags.flags.writeable and not np.shares_memory(first.tags, output)


# ---------------------------------------------------------------------------------------------------------------- batch


@pytest.mark.parametrize("threads", [None, 1, 2, 7, 100])
def test_batches_keep_their_order(threads: int | None) -> None:
    counts = [0, 3, 1, 2, 0, 1, 3, 3, 2]
    outputs = np.stack([drawn(count) for count in counts]).astype(np.float16)
    sizes = [(16 + i, 12) for i in range(len(counts))]
    for flipped in (None, [None if i % 2 else outputs[i][..., ::-1] for i in range(len(counts))]):
        many = Decoder().decode_batch(outputs, flipped, image_sizes=sizes, threads=threads)
        assert isinstance(many, list)
        for i, poses in enumerate(many):
            other = None if flipped is None else flipped[i]
            alone = Decoder().decode(outputs[i], other, image_size=sizes[i])
            np.testing.assert_array_equal(poses.keypoints, alone.keypoints)
            np.testing.assert_array_equal(poses.scores, alone.scores)
            np.testing.assert_array_equal(poses.tags, alone.tags)
        if flipped is None:
            assert [len(poses) for poses in many] == counts


def test_batches_of_nothing() -> None:
    assert Decoder().decode_batch([], image_sizes=[]) == []
    assert Decoder().decode_batch([], [], image_sizes=[], threads=4) == []


def test_batches_of_scales() -> None:
    one = [drawn(2), drawn(2, 8, 6)]
    many = Decoder().decode_batch([one, one], image_sizes=[(16, 12)] * 2, scales=(1.0, 0.5))
    alone = Decoder().decode(one, image_size=(16, 12), scales=(1.0, 0.5))
    for poses in many:
        np.testing.assert_array_equal(poses.keypoints, alone.keypoints)


class MadeWhenAsked(Sequence[Array]):
    """Outputs that nobody else holds; asking for number ``wrong`` raises."""

    def __init__(self, count: int, wrong: int = -1, error: BaseException | None = None) -> None:
        self.count, self.wrong, self.error = count, wrong, error

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: Any) -> Any:
        if i == self.wrong and self.error is not None:
            raise self.error
        return drawn(i % 4)


@pytest.mark.parametrize("threads", [2, 3])
def test_batches_of_many_portions(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    monkeypatch.setattr("hrnetae.batch.PORTION", 2)
    sizes = [(16 + i, 12) for i in range(41)]
    many = Decoder().decode_batch(MadeWhenAsked(41), image_sizes=sizes, threads=threads)
    assert len(many) == 41
    for i, poses in enumerate(many):
        alone = Decoder().decode(drawn(i % 4), image_size=sizes[i])
        np.testing.assert_array_equal(poses.keypoints, alone.keypoints)
        np.testing.assert_array_equal(poses.tags, alone.tags)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_batch_names_its_wrong_image(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    monkeypatch.setattr("hrnetae.batch.PORTION", 2)
    sizes: list[Any] = [(16, 12)] * 20
    sizes[17] = (16, 0)
    with refused(ValueError, "image 17 of the batch", "image_size"):
        Decoder().decode_batch(MadeWhenAsked(20), image_sizes=sizes, threads=threads)
    with refused(TypeError, "image 9 of the batch", "no such thing"):
        outputs = MadeWhenAsked(20, 9, TypeError("no such thing"))
        Decoder().decode_batch(outputs, image_sizes=[(16, 12)] * 20, threads=threads)


def test_a_batch_names_the_image_without_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hrnetae.batch.PORTION", 2)
    real = hrnetae._kernels.people_of_batch
    portions = []

    def second_fails(batch: Any) -> list[Any]:
        portions.append(batch)
        people: list[Any] = real(batch)
        return [people[0], None, *people[2:]] if len(portions) == 2 else people

    monkeypatch.setattr("hrnetae._kernels.people_of_batch", second_fails)
    with pytest.raises(MemoryError, match="image 5 of the batch"):
        Decoder().decode_batch(MadeWhenAsked(20), image_sizes=[(16, 12)] * 20, threads=2)


def test_an_interrupt_stops_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hrnetae.batch.PORTION", 2)
    stopped = []
    real = hrnetae._kernels.stop_batch

    def stop(batch: Any) -> None:
        stopped.append(batch)
        real(batch)

    monkeypatch.setattr("hrnetae._kernels.stop_batch", stop)
    with pytest.raises(KeyboardInterrupt):
        outputs = MadeWhenAsked(20, 11, KeyboardInterrupt())
        Decoder().decode_batch(outputs, image_sizes=[(16, 12)] * 20, threads=2)
    assert len(stopped) == 1  # of two under way, the older one had been finished to make room


def test_wrong_batches() -> None:
    decoder, two = Decoder(), [drawn(1), drawn(2)]
    with refused(ValueError, "image_sizes", "1", "2 outputs"):
        decoder.decode_batch(two, image_sizes=[(16, 12)])
    with refused(ValueError, "flipped", "3", "2 outputs"):
        decoder.decode_batch(two, [None] * 3, image_sizes=[(16, 12)] * 2)
    with refused(ValueError, "output", "3 channels"):
        decoder.decode_batch([drawn(1), maps(3, 4, 5)], image_sizes=[(16, 12)] * 2, threads=2)
    for threads in (0, -1):
        with refused(ValueError, "threads", str(threads), "1 or more"):
            decoder.decode_batch(two, image_sizes=[(16, 12)] * 2, threads=threads)
    for wrong in (1.5, "2", True):
        with refused(TypeError, "threads", repr(wrong), "whole number"):
            decoder.decode_batch(two, image_sizes=[(16, 12)] * 2, threads=wrong)  # type: ignore[arg-type]


# --------------------------------------------------------------------------------------------------------------- import


def test_import_is_light() -> None:
    heavy = (
        "cv2",
        "onnxruntime",
        "onnx",
        "torch",
        "pycocotools",
        "PIL",
        "tqdm",
        "matplotlib",
        "yaml",
        "hrnetae.reference",
    )
    script = f"import hrnetae, sys; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names() -> None:
    assert sorted(hrnetae.__all__) == sorted(set(hrnetae.__all__))
    for name in hrnetae.__all__:
        assert hasattr(hrnetae, name)
