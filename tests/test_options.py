"""The options beyond the reference: every level of the kernels against the NumPy versions, and off by default."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import campaign
import hostile
import numpy as np
import pytest

import hrnetae
from hrnetae import COCO17, DecodeParams, Decoder, reference
from hrnetae.evaluation.synthetic import Scene, draw_scene
from hrnetae.geometry import Letterbox
from hrnetae.reference_options import person_features
from hrnetae.rescoring import FEATURES, Rescoring

RESCORING = Rescoring(-0.3, tuple(float(w) for w in np.random.default_rng(5).normal(0, 0.3, len(FEATURES))))
OPTIONS: tuple[dict[str, Any], ...] = (
    {"tag_window": 5},
    {"tag_window": 15},
    {"tag_window": 7, "project2image": False},
    {"second_pass": True},
    {"second_pass": True, "tag_window": 3, "detection_threshold": 0.2},
    {"second_pass": True, "ignore_too_much": True, "max_num_people": 4},
    {"subpixel": "fit"},
    {"subpixel": "fit", "refine": False},
    {"person_score": "found"},
    {"person_score": "geometric"},
    {"suppress_oks": 0.4},
    {"filled_floor": 0.05},
    {"exact_geometry": True},
    {"rescoring": RESCORING},
    {"rescoring": RESCORING, "suppress_oks": 0.5, "subpixel": "fit", "second_pass": True, "exact_geometry": True},
)


def scenes() -> list[Scene]:
    rng = np.random.default_rng(11)
    shapes = ((4, (181, 147), 1, 1.5), (6, (120, 193), 2, 1.0), (0, (160, 160), 1, 0.0), (9, (127, 195), 1, 2.5))
    return [
        draw_scene(rng, people, size, map_size=(64, 64), stages=stages, noise=noise)
        for people, size, stages, noise in shapes
    ]


SCENES = scenes()


def inputs_of(scene: Scene, options: dict[str, Any], flip: bool) -> hostile.Inputs:
    return {
        "output": scene.output,
        "flipped": scene.flipped if flip else None,
        "image_size": scene.image_size,
        "params": DecodeParams(**options),
        "skeleton": COCO17,
        "scales": None,
    }


@pytest.mark.parametrize("flip", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["flip", "plain"])
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options))
def test_every_level_and_the_numpy_version_agree(options: dict[str, Any], flip: bool) -> None:
    for scene in SCENES:
        inputs = inputs_of(scene, options, flip)
        persons, differs = campaign.check(inputs, campaign.sparse_levels())
        assert not differs
        expected = reference.decode(
            scene.output, scene.flipped if flip else None, scene.image_size, inputs["params"], COCO17
        )
        (_, found), *_ = campaign.answers(inputs, ["dense"])
        assert persons == len(expected.scores)
        # log, exp and sqrt may differ in their last bits; everything else is the same arithmetic.
        np.testing.assert_allclose(found[0], expected.keypoints, rtol=1e-5, atol=2e-4)
        np.testing.assert_allclose(found[1], expected.scores, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found[2], expected.tags, rtol=0, atol=0)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options))
def test_the_options_change_something(options: dict[str, Any]) -> None:
    """Else the comparison above would compare nothing."""
    changed = False
    for scene in SCENES:
        default = Decoder().decode(scene.output, scene.flipped, image_size=scene.image_size)
        with_option = Decoder(DecodeParams(**options)).decode(scene.output, scene.flipped, image_size=scene.image_size)
        changed |= len(default) != len(with_option) or any(
            getattr(default, name).tobytes() != getattr(with_option, name).tobytes()
            for name in ("keypoints", "scores", "tags")
        )
    assert changed


def test_options_on_hostile_inputs() -> None:
    """Any bits in the maps: the levels agree, and everything stays finite."""
    for number in range(150):
        inputs = hostile.random_case(np.random.default_rng((77, number)), longest=24)
        params = inputs["params"]
        options = dict(OPTIONS[number % len(OPTIONS)])
        options.pop("refine", None)
        try:
            inputs["params"] = dataclasses.replace(params, score_per_joint=False, **options)
        except ValueError:
            continue
        _, differs = campaign.check(inputs, campaign.sparse_levels())
        assert not differs, (number, differs)


def test_one_by_one_and_in_a_batch() -> None:
    decoder = Decoder(DecodeParams(**OPTIONS[-1]))
    alone = [decoder.decode(s.output, s.flipped, image_size=s.image_size) for s in SCENES]
    together = decoder.decode_batch(
        [s.output for s in SCENES], [s.flipped for s in SCENES], image_sizes=[s.image_size for s in SCENES], threads=3
    )
    for one, other in zip(alone, together, strict=True):
        assert one.keypoints.tobytes() == other.keypoints.tobytes() and one.scores.tobytes() == other.scores.tobytes()


def gaussian(width: int, height: int, x: float, y: float, sigma: float = 2.0) -> np.ndarray[Any, Any]:
    """Heat of a joint at (x, y) cells from the corner."""
    across, down = np.arange(width) + 0.5 - x, np.arange(height)[:, None] + 0.5 - y
    return 0.9 * np.exp(-(across**2 + down**2) / (2 * sigma**2))


def one_joint(x: float, y: float) -> np.ndarray[Any, Any]:
    output = np.zeros((34, 64, 64), np.float32)
    for joint in range(17):
        output[joint] = gaussian(64, 64, x, y)
    return output


def test_fit_and_exact_geometry_find_a_gaussian_where_it_is() -> None:
    """The logarithm of a Gaussian is a parabola, and a letterbox undone exactly leaves no error but rounding."""
    size = (251, 187)  # both sides odd: the reference is half a pixel off
    box = Letterbox.fit(size, (256, 256))
    params = DecodeParams(subpixel="fit", exact_geometry=True)
    for x, y in ((100.3, 70.9), (31.7, 150.2), (180.0, 94.5)):
        at = box.to_input(np.array([[x, y]]))[0] / 4
        poses = Decoder(params).decode(one_joint(*at), None, image_size=size)
        assert len(poses) == 1
        np.testing.assert_allclose(poses.keypoints[0, :, :2], np.tile([x, y], (17, 1)), atol=0.01)
        plain = Decoder().decode(one_joint(*at), None, image_size=size)
        assert np.abs(plain.keypoints[0, 0, :2] - (x, y)).max() > 0.1


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
def test_a_fit_at_the_edge_stays_in_the_map(side: str) -> None:
    """The joint is found by both stages' mean; the finer map's top, where the fit looks, is a cell along the edge."""
    x, y = {"left": (0.5, 31.5), "right": (63.5, 31.5), "top": (31.5, 0.5), "bottom": (31.5, 63.5)}[side]
    along = (1.0, 0.0) if side in ("top", "bottom") else (0.0, 1.0)
    coarse = np.zeros((34, 32, 32), np.float32)
    coarse[:17] = gaussian(32, 32, x / 2, y / 2)
    finer = np.tile(gaussian(64, 64, x - along[0], y - along[1]) * 0.02, (17, 1, 1)).astype(np.float32)
    params = DecodeParams(subpixel="fit", refine=False)
    poses = Decoder(params).decode([coarse, finer], None, image_size=(256, 256))
    at = 4 * np.array([x - along[0], y - along[1]])  # 64 cells show 256 pixels
    axis = 0 if along[0] else 1
    np.testing.assert_allclose(poses.keypoints[0, :, axis], np.full(17, at[axis]), atol=0.01)
    # Across the edge nothing is known of the other side: the joint is in the edge's cell.
    assert (np.abs(poses.keypoints[0, :, 1 - axis] - at[1 - axis]) <= 2.001).all()


def test_scores_by_their_formulas() -> None:
    scene = SCENES[0]
    found = reference.decode_steps(scene.output, scene.flipped, scene.image_size, DecodeParams(), COCO17).adjusted
    for person, rows in enumerate(found[:, :, 2].astype(float)):
        over_all, over_found = rows.sum() / 17, rows[rows > 0].mean()
        for formula, expected in (("found", over_found), ("geometric", math.sqrt(over_all * over_found))):
            decoder = Decoder(DecodeParams(person_score=formula))
            poses = decoder.decode(scene.output, scene.flipped, image_size=scene.image_size)
            assert poses.scores[person] == pytest.approx(expected, rel=1e-6)


def test_suppressed_persons_are_like_a_better_one() -> None:
    doubled = SCENES[0]
    poses = Decoder().decode(doubled.output, doubled.flipped, image_size=doubled.image_size)
    kept = Decoder(DecodeParams(suppress_oks=0.0)).decode(
        doubled.output, doubled.flipped, image_size=doubled.image_size
    )
    assert len(poses) > len(kept) >= 1
    assert kept.scores.max() == poses.scores.max()


def test_filled_floor() -> None:
    scene = SCENES[3]
    floor = 0.2
    poses = Decoder().decode(scene.output, scene.flipped, image_size=scene.image_size)
    cut = Decoder(DecodeParams(filled_floor=floor)).decode(scene.output, scene.flipped, image_size=scene.image_size)
    values, before = cut.keypoints[:, :, 2], poses.keypoints[:, :, 2]
    filled = (np.abs(poses.tags).sum(axis=-1) == 0) & (before > 0)
    assert (filled & (before <= floor)).any() and (filled & (before > floor)).any()
    assert (values[filled & (before <= floor)] == 0).all()
    np.testing.assert_array_equal(values[filled & (before > floor)], before[filled & (before > floor)])


def test_a_rescoring_is_a_logistic_of_the_features() -> None:
    for scene in SCENES:
        size = scene.image_size
        _, features = Decoder().decode_features(scene.output, scene.flipped, image_size=size)
        poses = Decoder(DecodeParams(rescoring=RESCORING)).decode(scene.output, scene.flipped, image_size=size)
        expected = 1 / (1 + np.exp(-(RESCORING.bias + features @ np.array(RESCORING.weights))))
        np.testing.assert_allclose(poses.scores, expected, rtol=1e-6)
        assert features.shape == (len(poses), len(FEATURES)) and np.isfinite(features).all()


@pytest.mark.parametrize("flip", [True, False], ids=["flip", "plain"])
def test_features_are_those_of_the_numpy_version(flip: bool) -> None:
    params = DecodeParams(second_pass=True, detection_threshold=0.15)
    for scene in SCENES:
        outputs = (scene.output, scene.flipped if flip else None)
        steps = reference.decode_steps(*outputs, scene.image_size, params, COCO17)
        expected = reference.results(steps, scene.image_size, params)
        found = steps.adjusted[..., 2] > 0
        wanted = person_features(expected.keypoints, expected.tags, found, scene.image_size, COCO17)
        poses, features = Decoder(params).decode_features(*outputs, image_size=scene.image_size)
        assert features.shape == (len(poses), len(FEATURES))
        for name, one, other in zip(FEATURES, features.T, wanted.T, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=2e-5, err_msg=name)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"tag_window": 2}, ("tag_window", "2", "odd")),
        ({"tag_window": 17}, ("tag_window", "17", "15")),
        ({"subpixel": "cubic"}, ("subpixel", "cubic", "fit")),
        ({"person_score": "max"}, ("person_score", "max", "geometric")),
        ({"suppress_oks": 1.5}, ("suppress_oks", "1.5")),
        ({"filled_floor": -1.0}, ("filled_floor", "-1")),
        ({"subpixel": "fit", "use_udp": True}, ("subpixel", "quarter")),
        ({"exact_geometry": True, "mode": "mmpose1"}, ("exact_geometry", "mmpose1")),
        ({"rescoring": RESCORING, "score_per_joint": True}, ("rescoring", "score_per_joint")),
    ],
)
def test_wrong_options(values: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(ValueError) as caught:
        DecodeParams(**values)
    assert all(word in str(caught.value) for word in words)
    with pytest.raises(TypeError, match="rescoring"):
        DecodeParams(rescoring={"bias": 1.0})  # type: ignore[arg-type]


def test_parameters_to_a_file_and_back(tmp_path: Path) -> None:
    params = DecodeParams(detection_threshold=0.2, input_size=(640, 512), **OPTIONS[-1])
    path = tmp_path / "params.json"
    path.write_text(params.to_json(tuning={"AP": 0.5}))
    assert DecodeParams.from_json(path) == params
    assert hash(DecodeParams.from_json(path)) == hash(params)
    assert hrnetae.DecodeParams.from_dict({}) == DecodeParams()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", ("not JSON",)),
        ("[]", ("hrnetae params",)),
        (json.dumps({"format": "hrnetae params", "version": 2, "params": {}}), ("version 2", "1")),
        (json.dumps({"format": "hrnetae params", "version": 1, "params": {"tag": 1}}), ("tag: unknown",)),
        (json.dumps({"format": "hrnetae params", "version": 1, "params": {"tag_window": 4}}), ("tag_window", "odd")),
        (json.dumps({"format": "hrnetae params", "version": 1, "params": {"rescoring": {"bias": 1}}}), ("missing",)),
        (json.dumps({"format": "hrnetae params", "version": 1, "params": {"tag_threshold": 10**400}}), ("401 digits",)),
    ],
)
def test_wrong_files(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    path = tmp_path / "params.json"
    path.write_text(text)
    with pytest.raises(ValueError) as caught:
        DecodeParams.from_json(path)
    assert str(caught.value).startswith(str(path)) and all(word in str(caught.value) for word in words)


def test_whole_weights_beyond_float_s_reach_are_floats_at_once() -> None:
    """Found by the fuzzer (params, seed 0, case 727): parameters were not the same after to_dict and from_dict."""
    weights = (9223372036854775807, *(0.25,) * (len(FEATURES) - 1))
    params = DecodeParams(rescoring=Rescoring(1, weights))
    assert DecodeParams.from_dict(params.to_dict()) == params
