"""The kernels against the recorded answers of the reference decoder, and what they make of bad numbers.

`Decoder` takes its own, fused way; the public functions take the dense one. Both must give the recorded people.
"""

from __future__ import annotations

from typing import Any

import golden
import hostile
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

import hrnetae
from hrnetae import DecodeParams, Decoder, Poses, Skeleton, TopK

Floats = NDArray[np.float32]

TWO = Skeleton("two joints", ("a", "b"), flip_pairs=((0, 1),))
BIG = float(np.finfo(np.float32).max)


# ---------------------------------------------------------------------------------------------------- recorded answers


def decode(recorded: golden.Golden) -> Poses:
    inputs = recorded.inputs()
    decoder = Decoder(inputs["params"], inputs["skeleton"])
    return decoder.decode(inputs["output"], inputs["flipped"], image_size=inputs["image_size"], scales=inputs["scales"])


def assert_rows(name: str, found: Floats, recorded: Floats) -> None:
    """Rows of x, y, value, tags: the same persons in the same order, the same joints."""
    assert found.shape == recorded.shape, name
    assert_array_equal(found[..., 2] != 0, recorded[..., 2] != 0, err_msg=f"{name}: joints")
    assert_allclose(found[..., :2], recorded[..., :2], rtol=0, atol=0.01, err_msg=f"{name}: positions")
    assert_allclose(found[..., 2], recorded[..., 2], rtol=0, atol=1e-4, err_msg=f"{name}: values")
    assert_allclose(found[..., 3:], recorded[..., 3:], rtol=1e-6, atol=1e-4, err_msg=f"{name}: tags")


def assert_finite(poses: Poses) -> None:
    for array in (poses.keypoints, poses.scores, poses.tags):
        assert array.dtype == np.float32
        assert np.isfinite(array).all()


@pytest.mark.parametrize("case", golden.cases())
def test_decoder_gives_the_recorded_people(case: golden.Case) -> None:
    recorded = case.load()
    poses = decode(recorded)
    assert_finite(poses)
    if recorded.status != "ok":
        return  # the reference gave no answer
    arrays = recorded.arrays
    assert_rows("poses", poses.keypoints, arrays["preds"])
    assert_allclose(poses.scores, arrays["scores"], rtol=0, atol=1e-4)
    if "tags" in arrays:
        assert_allclose(poses.tags, arrays["tags"], rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("case", golden.cases(one_of_a_kind=True))
def test_steps_give_what_was_recorded_after_each(case: golden.Case) -> None:
    recorded = case.load()
    arrays, params, inputs = recorded.arrays, recorded.params, recorded.inputs()
    if recorded.status != "ok" or "val_k" not in arrays:
        return  # mmpose 1.x: nothing was recorded but the people
    heat, tags = hrnetae.project(**inputs)
    candidates = hrnetae.top_k(hrnetae.heatmap_nms(heat, params.nms_kernel), tags, params.max_num_people)

    there = arrays["val_k"].astype(np.float64) > params.detection_threshold
    assert_array_equal(candidates.values.astype(np.float64) > params.detection_threshold, there)
    assert_allclose(candidates.values[there], arrays["val_k"][there], rtol=0, atol=1e-4)
    assert_array_equal(candidates.x[there], arrays["x_k"][there])
    assert_array_equal(candidates.y[there], arrays["y_k"][there])
    assert_allclose(candidates.tags[there], arrays["tag_k"][there], rtol=1e-6, atol=1e-4)

    grouped = hrnetae.group_by_tag(*candidates, params, recorded.skeleton.joint_order)
    assert_rows("grouped", grouped, arrays["grouped"])
    adjusted = hrnetae.adjust(grouped, heat, params) if params.adjust else grouped
    assert_rows("adjusted", adjusted, arrays["adjusted"])
    refined = hrnetae.refine(adjusted, heat, tags, params) if params.refine else adjusted
    assert_rows("refined", refined, arrays["refined"])


def test_the_own_cases_hold_the_hard_ones() -> None:
    recorded = [case.load() for case in golden.own_cases()]
    assert {one.status for one in recorded} == {"ok"}
    assert len(recorded) >= 10
    names = " ".join(one.name for one in recorded)
    for kind in ("equal_tags", "quantised", "borders", "checkerboard", "udp", "multiscale", "higherhrnet", "mmpose1"):
        assert kind in names


# ---------------------------------------------------------------------------------------------------------- bad numbers


@pytest.mark.parametrize("case", golden.cases(bad=True))
def test_bad_numbers_give_a_finite_answer(case: golden.Case) -> None:
    recorded = case.load()
    poses = decode(recorded)
    assert_finite(poses)
    assert_array_equal(poses.keypoints, decode(recorded).keypoints)


def scene(tags: list[list[float]], side: int = 9) -> Floats:
    """Two joints; joint k has a lone pixel per tag, left to right and falling in heat, where its tag map says so."""
    maps = np.zeros((4, side, side), np.float32)
    for joint, values in enumerate(tags):
        for place, tag in enumerate(values):
            maps[joint, 4, 1 + 3 * place] = 0.9 - 0.1 * place
            maps[2 + joint, :, 3 * place : 3 * place + 3] = tag
    return maps


def people(maps: Floats, **settings: Any) -> list[list[float]]:
    """The joint values of every person found, rounded, without sub-pixel step and filling in."""
    params = DecodeParams(adjust=False, refine=False, **settings)
    poses = Decoder(params, TWO).decode(maps, image_size=maps.shape[:0:-1])
    assert_finite(poses)
    found: list[list[float]] = np.round(poses.keypoints[..., 2].astype(np.float64), 3).tolist()
    return found


def test_the_scene_is_read_as_drawn() -> None:
    assert people(scene([[1, 5], [5, 1]])) == [[0.9, 0.8], [0.8, 0.9]]


@pytest.mark.parametrize("bad", hostile.BAD)
def test_a_bad_tag_matches_nobody(bad: float) -> None:
    # The bad candidate of joint 1 founds a person in its place in the order; the other one still finds its own.
    assert people(scene([[1, 5], [bad, 5]])) == [[0.9, 0], [0.8, 0.8], [0, 0.9]]
    assert people(scene([[1, 5], [5, bad]])) == [[0.9, 0], [0.8, 0.9], [0, 0.8]]
    assert people(scene([[bad, 5], [5, 1]])) == [[0.9, 0], [0.8, 0.9], [0, 0.8]]
    assert people(scene([[bad, 5], [bad, bad]])) == [[0.9, 0], [0.8, 0], [0, 0.9], [0, 0.8]]


@pytest.mark.parametrize("bad", hostile.BAD)
def test_persons_of_bad_tags_never_share_a_key(bad: float) -> None:
    assert people(scene([[bad, bad], []])) == [[0.9, 0], [0.8, 0]]
    assert people(scene([[5, 5], []])) == [[0.8, 0]]  # while equal keys are one person, taken over


def test_a_bad_tag_is_written_as_zero() -> None:
    params = DecodeParams(refine=False)
    poses = Decoder(params, TWO).decode(scene([[np.nan], []]), scene([[], []]), image_size=(9, 9))
    assert poses.tags.tolist() == [[[0, 0], [0, 0]]]
    rows = hrnetae.group_by_tag(
        *TopK(
            np.ones((1, 1), np.float32),
            np.ones((1, 1), np.int32),
            np.ones((1, 1), np.int32),
            np.array([[[np.inf, 2.5]]], np.float32),
        )
    )
    assert rows.tolist() == [[[1, 1, 1, 0, 2.5]]]


def test_a_mean_tag_that_overflows_matches_nobody() -> None:
    three = Skeleton("three joints", ("a", "b", "c"))
    maps = np.zeros((6, 3, 3), np.float32)
    maps[:3, 1, 1] = 0.9
    maps[3:] = BIG
    params = DecodeParams(adjust=False, refine=False, tag_threshold=1e9)
    poses = Decoder(params, three).decode(maps, image_size=(3, 3))
    # Two tags of that size have no finite mean. The third candidate founds, and its key is the person's: it takes over.
    assert np.round(poses.keypoints[..., 2], 3).tolist() == [[np.float32(0.9)] * 3]
    maps[5] = 1
    poses = Decoder(params, three).decode(maps, image_size=(3, 3))
    assert (poses.keypoints[..., 2] > 0).tolist() == [[True, True, False], [False, False, True]]


@pytest.mark.parametrize("bad", hostile.BAD)
def test_a_bad_heat_is_never_a_peak_and_hides_none(bad: float) -> None:
    maps = scene([[1, 5], [5, 1]])
    maps[0, 0, 8] = maps[1, 4, 2] = bad
    assert people(maps) == [[0.9, 0.8], [0.8, 0.9]]
    assert people(np.full((4, 5, 5), bad, np.float32)) == []
    peaks = hrnetae.heatmap_nms(maps[:2])
    assert np.isfinite(peaks).all()
    assert peaks[0, 0, 8] == peaks[1, 4, 2] == 0


@pytest.mark.parametrize("bad", hostile.BAD)
def test_refine_passes_over_bad_numbers(bad: float) -> None:
    maps = scene([[1], []])
    maps[1], maps[2:] = 0.05, 1
    maps[1, 4, 5], maps[1, 6, 7] = 0.08, 0.07
    decoder = Decoder(DecodeParams(adjust=False), TWO)

    def found() -> float:
        poses = decoder.decode(maps, image_size=(9, 9))
        assert_finite(poses)
        return round(float(poses.keypoints[0, 1, 2]), 3)

    maps[1, 0, 0] = maps[3, 8, 8] = bad
    assert found() == 0.08
    maps[3, 4, 5] = bad
    assert found() == 0.07
    maps[1, 6, 7] = bad
    assert found() == 0.05
    maps[3] = bad
    assert found() == 0


@pytest.mark.parametrize("bad", hostile.BAD)
@pytest.mark.parametrize("mode", ["reference", "mmpose1"])
def test_a_person_without_a_usable_tag_is_not_filled_in(bad: float, mode: str) -> None:
    params = DecodeParams(mode=mode, restore_heatmap_size=False)
    maps = scene([[bad], []])
    maps[2] = bad
    maps[1] = 0.05  # below the threshold, but enough to fill in
    poses = Decoder(params, TWO).decode(maps, image_size=(9, 9))
    assert poses.keypoints[..., 2].tolist() == [[np.float32(0.9), 0]]
    maps[2] = 1
    poses = Decoder(params, TWO).decode(maps, image_size=(9, 9))
    assert poses.keypoints[..., 2].tolist() == [[np.float32(0.9), np.float32(0.05)]]


def test_dark_step_on_level_ground_stays() -> None:
    maps = np.full((4, 6, 6), 0.5, np.float32)
    maps[2:] = np.arange(36, dtype=np.float32).reshape(6, 6)
    params = DecodeParams(use_udp=True, refine=False)
    heat, tags = hrnetae.project(maps, image_size=(6, 6), params=params, skeleton=TWO)
    grouped = hrnetae.group_by_tag(*hrnetae.top_k(heat, tags), params)
    assert len(grouped)
    assert_array_equal(hrnetae.adjust(grouped, heat, params), grouped)
    for bad in hostile.BAD:
        assert_array_equal(hrnetae.adjust(grouped, np.full_like(heat, bad), params), grouped)


@pytest.mark.parametrize("per_joint", [False, True])
def test_scores_and_positions_do_not_overflow(per_joint: bool) -> None:
    maps = scene([[1], [1]])
    maps[:2] *= BIG
    params = DecodeParams(score_per_joint=per_joint)
    poses = Decoder(params, TWO).decode(maps, image_size=(9, 9))
    assert_finite(poses)
    assert len(poses) == 1
    shifted = DecodeParams(mode="mmpose1", center_shift=3e38)
    assert_finite(Decoder(shifted, TWO).decode(maps, image_size=(32768, 3)))


# -------------------------------------------------------------------------------------------------------- exact choices


def test_the_threshold_is_strict_and_a_double() -> None:
    maps = scene([[1], []])
    for value, there in (
        (np.float32(0.1), True),
        (np.float16(0.1), False),
        (np.nextafter(*np.float32((0.1, 0))), False),
    ):
        maps[0, 4, 1] = value
        assert bool(people(maps)) == there
    assert people(scene([[1], [2]]), tag_threshold=1.0) == [[0.9, 0], [0, 0.9]]  # a distance of 1.0 is too far


def test_equal_values_are_ranked_by_row_then_column() -> None:
    heat = np.zeros((1, 4, 5), np.float32)
    heat[0, [2, 1, 1, 3], [0, 4, 2, 1]] = [0.5, 0.5, 0.5, 0.75]
    found = hrnetae.top_k(heat, np.arange(20, dtype=np.float32).reshape(1, 4, 5, 1), 6)
    assert list(zip(found.y[0], found.x[0], strict=True)) == [(3, 1), (1, 2), (1, 4), (2, 0), (0, 0), (0, 1)]
    assert found.tags[0, :4, 0].tolist() == [16, 7, 9, 10]


def test_every_pixel_of_a_plateau_is_a_peak() -> None:
    heat = np.zeros((1, 5, 6), np.float32)
    heat[0, 1:3, 2:5] = 0.5
    assert_array_equal(hrnetae.heatmap_nms(heat), heat)
    assert (hrnetae.heatmap_nms(np.full((2, 3, 4), -0.5, np.float32)) == -0.5).all()


def test_refine_takes_the_first_of_equal_pixels() -> None:
    heat = np.full((2, 4, 5), 0.25, np.float32)
    heat[1, [1, 2], [3, 1]] = 0.5
    persons = np.zeros((1, 2, 4), np.float32)
    persons[0, 0] = 1, 1, 0.9, 0
    filled = hrnetae.refine(persons, heat, np.zeros((2, 4, 5, 1), np.float32))
    assert filled[0, 1, :3].tolist() == [3.25, 1.25, 0.5]  # x 3, y 1, the centre, and a quarter down on level ground


def test_more_candidates_than_places() -> None:
    maps = np.zeros((4, 40, 40), np.float32)
    maps[0, ::5, ::5] = 0.5
    maps[2] = np.arange(1600).reshape(40, 40)
    params = {"nms_kernel": 3}
    assert len(people(maps, **params)) == 30
    assert len(people(maps, max_num_people=64, **params)) == 64
    assert len(people(maps, max_num_people=200, **params)) == 64


def test_one_pixel() -> None:
    maps = np.array([0.5, 0.75, 1, 1.25], np.float16).reshape(4, 1, 1)
    for size in ((1, 1), (1, 7), (640, 480)):
        poses = Decoder(skeleton=TWO).decode(maps, maps, image_size=size)
        assert_finite(poses)
        assert len(poses) >= 1
    assert len(Decoder(skeleton=TWO).decode(maps * 0, maps * 0, image_size=(5, 5))) == 0
