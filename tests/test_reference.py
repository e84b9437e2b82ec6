"""The NumPy reference against recorded answers of mmpose, and each of its steps against what the text asks for."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import golden
import numpy as np
import pytest
from munkres import Munkres
from numpy.typing import NDArray

from hrnetae import reference
from hrnetae.params import DecodeParams
from hrnetae.skeleton import COCO17, Skeleton

NAN, INF = np.float32(np.nan), np.float32(np.inf)


# ------------------------------------------------------------------------------------------------- recorded answers


def _golden_params() -> list[Any]:
    """Own cases; the shared ones, for which the reference's pure Python takes seconds each, with HRNETAE_FULL=1."""
    own = golden.own_cases()
    params = [pytest.param(case, id=f"own-{case.name}") for case in own]
    shared = [case for case in golden.shared_cases() if case.name not in {mine.name for mine in own}]
    params += [pytest.param(case, id=case.name, marks=[pytest.mark.shared, pytest.mark.slow]) for case in shared]
    if not shared:
        missing = pytest.mark.skip(reason="the recorded cases in shared/golden are absent")
        params.append(pytest.param(None, id="shared", marks=[pytest.mark.shared, missing]))
    return params


def _assert_close(name: str, ours: NDArray[Any], recorded: NDArray[Any], atol: float, rtol: float = 0) -> None:
    assert ours.shape == recorded.shape, name
    assert ours.dtype == recorded.dtype, name
    np.testing.assert_allclose(ours, recorded, rtol=rtol, atol=atol, err_msg=name)


@pytest.mark.parametrize("case", _golden_params())
def test_golden(case: golden.Case) -> None:
    recorded = case.load()
    arguments = recorded.inputs()
    params = recorded.params
    steps = reference.decode_steps(**arguments)
    decoded = reference.results(steps, recorded.image_size, params)
    for field in decoded:
        assert field.dtype == np.float32
        assert np.isfinite(field).all()
    if recorded.status != "ok" or case.name.startswith("bad_"):
        return  # what the reference does with those is not what a decoder ought to do
    arrays = recorded.arrays
    if "val_k" in arrays:
        found = arrays["val_k"].astype(np.float64) > params.detection_threshold
        assert np.array_equal(steps.candidates.values.astype(np.float64) > params.detection_threshold, found)
        _assert_close("val_k", steps.candidates.values[found], arrays["val_k"][found], 1e-4)
        assert np.array_equal(steps.candidates.x[found], arrays["x_k"][found])
        assert np.array_equal(steps.candidates.y[found], arrays["y_k"][found])
        _assert_close("tag_k", steps.candidates.tags[found], arrays["tag_k"][found], 1e-4, 1e-6)
        for name in ("grouped", "adjusted", "refined"):
            ours, theirs = getattr(steps, name), arrays[name]
            _assert_close(f"{name}: positions", ours[..., :2], theirs[..., :2], 0.01)
            _assert_close(f"{name}: values", ours[..., 2], theirs[..., 2], 1e-4)
            _assert_close(f"{name}: tags", ours[..., 3:], theirs[..., 3:], 1e-4, 1e-6)
        _assert_close("tags", decoded.tags, arrays["tags"], 1e-4, 1e-6)
    _assert_close("positions", decoded.keypoints[..., :2], arrays["preds"][..., :2], 0.01)
    _assert_close("values", decoded.keypoints[..., 2], arrays["preds"][..., 2], 1e-4)
    _assert_close("scores", decoded.scores, arrays["scores"], 1e-4)


def test_decode_is_its_steps() -> None:
    recorded = golden.own_cases()[0].load()
    arguments = recorded.inputs()
    steps = reference.results(reference.decode_steps(**arguments), recorded.image_size, recorded.params)
    for whole, pieces in zip(reference.decode(**arguments), steps, strict=True):
        assert np.array_equal(whole, pieces)


# --------------------------------------------------------------------------------------------------- steps 0 to 2


def _round_to_float32(exact: Fraction) -> np.float32:
    near = np.float32(float(exact))
    options = [near, np.nextafter(near, INF), np.nextafter(near, -INF)]
    return min(options, key=lambda v: (abs(Fraction(float(v)) - exact), int(v.view(np.int32)) & 1))


def test_fma_rounds_once() -> None:
    rng = np.random.default_rng(5)
    a = rng.integers(1 << 23, 1 << 24, 4000).astype(np.float32)
    b = rng.integers(1 << 23, 1 << 24, 4000).astype(np.float32) * rng.choice([-1, 1], 4000).astype(np.float32)
    # Addends of every relative size: far below, about, and far above the product's last bits.
    c = (rng.standard_normal(4000) * 2.0 ** rng.integers(-30, 60, 4000)).astype(np.float32)
    # Ties of the float32 rounding that only a tiny addend decides: the case that float64 arithmetic gets wrong.
    a[:500], b[:500] = 31, 1082401  # 2^25 - 1, halfway between two float32
    c[:500] = np.float32(2.0**-40) * rng.choice([-1, 1], 500).astype(np.float32)
    expected = [
        _round_to_float32(Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z)))
        for x, y, z in zip(a, b, c, strict=True)
    ]
    assert np.array_equal(reference.fma(a, b, c), np.array(expected, np.float32))
    naive = (a.astype(np.float64) * b + c).astype(np.float32)
    assert not np.array_equal(naive, np.array(expected, np.float32)), "the inputs do not tell the two apart"


def test_fma_of_bad_numbers() -> None:
    a = np.array([NAN, INF, 1, 1, INF, 0, 3e38], np.float32)
    b = np.array([1, 1, 1, 1, 1, INF, 3e38], np.float32)
    c = np.array([1, 1, NAN, -INF, -INF, 1, 0], np.float32)
    expected = np.array([NAN, INF, NAN, -INF, NAN, NAN, INF], np.float32)
    assert np.array_equal(reference.fma(a, b, c), expected, equal_nan=True)


def test_undo_flip() -> None:
    maps = np.arange(12, dtype=np.float32).reshape(3, 1, 4)
    assert reference.undo_flip(maps, (0, 2, 1))[:, 0, 0].tolist() == [3, 11, 7]


def test_resize() -> None:
    maps = np.array([[[0, 4], [8, 12]]], np.float32)
    assert reference.resize_bilinear(maps, (2, 2)) is maps
    assert reference.resize_bilinear(maps, (4, 2))[0, 0].tolist() == [0, 1, 3, 4]
    assert reference.resize_bilinear(maps, (3, 3), align_corners=True)[0].tolist() == [
        [0, 2, 4],
        [4, 6, 8],
        [8, 10, 12],
    ]
    assert reference.resize_bilinear(maps, (1, 1), align_corners=True).tolist() == [[[0]]]
    assert reference.resize_bilinear(maps[:, :1, :1], (5, 3)).tolist() == np.zeros((1, 3, 5)).tolist()


def _output(joints: int = 2, size: int = 6, seed: int = 0) -> NDArray[np.float32]:
    maps = np.random.default_rng(seed).random((2 * joints, size, size), np.float32)
    maps[joints:] *= 8
    return maps


def _skeleton(joints: int) -> Skeleton:
    return Skeleton(f"{joints} joints", tuple(f"joint {k}" for k in range(joints)))


def test_project_layouts() -> None:
    pair = _skeleton(2)
    plain, mirrored = _output(), _output(seed=1)
    heat, tags = reference.project(plain[None], mirrored[None], (9, 7), DecodeParams(), pair)
    assert heat.shape == (2, 7, 9) and heat.dtype == np.float32
    assert tags.shape == (2, 7, 9, 2) and tags.dtype == np.float32
    heat, tags = reference.project(
        plain[:3], None, (9, 7), DecodeParams(tag_per_joint=False, project2image=False), pair
    )
    assert heat.shape == (2, 6, 6) and tags.shape == (1, 6, 6, 1)
    stages = [plain, _output(1, 12)]
    heat, tags = reference.project(stages, None, (9, 7), DecodeParams(project2image=False), pair)
    assert heat.shape == (2, 12, 12) and tags.shape == (2, 12, 12, 1)
    heat, tags = reference.project(plain, None, (9, 7), DecodeParams(mode="mmpose1"), pair)
    assert heat.shape == (2, 24, 24)
    heat, tags = reference.project(plain, None, (9, 7), DecodeParams(mode="mmpose1", input_size=(20, 10)), pair)
    assert heat.shape == (2, 10, 20)


def test_project_scales_in_any_order() -> None:
    pair = _skeleton(2)
    outputs = {2.0: _output(size=12), 1.0: _output(), 0.5: _output(size=3)}
    answers = [
        reference.project([outputs[s] for s in order], None, (9, 7), DecodeParams(project2image=False), pair, order)
        for order in ((2.0, 1.0, 0.5), (0.5, 2.0, 1.0))
    ]
    for first, second in zip(*answers, strict=True):
        assert first.shape[1:3] == (12, 12)
        assert np.array_equal(first, second)


@pytest.mark.parametrize(
    ("output", "flipped", "scales", "changes", "message"),
    [
        (_output(), None, (1.0,), {}, "output: ndarray"),
        ([_output(), _output()], None, (2.0, 0.5), {}, "scales"),
        ([_output(), _output()], None, (1.0, 1.0), {}, "scales"),
        ([_output()], None, (1.0, 0.5), {}, "output: 1 entries"),
        ([_output(), _output()], None, None, {}, "output: 2 stages with tag maps"),
        (_output(3), None, None, {}, "output: shape"),
        (_output().astype(np.float64), None, None, {}, "output: float64"),
        (_output(), _output(size=5), None, {}, "flipped"),
        ([_output(), _output(1)], None, None, {"mode": "mmpose1"}, "output: 2 stages"),
        (_output(), None, None, {"mode": "mmpose1", "tag_per_joint": False}, "mode"),
    ],
)
def test_project_errors(output: Any, flipped: Any, scales: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        reference.project(output, flipped, (9, 7), DecodeParams(**changes), _skeleton(2), scales)


# --------------------------------------------------------------------------------------------------- steps 3 and 4


def test_nms_keeps_plateaus_and_drops_bad_numbers() -> None:
    heat = np.zeros((1, 5, 5), np.float32)
    heat[0, 1, 1:3] = 0.5
    heat[0, 4, 4] = -1
    heat[0, 3, 0] = NAN
    heat[0, 4, 0] = INF
    kept = reference.heatmap_nms(heat, 3)
    assert kept.dtype == np.float32
    assert np.argwhere(kept).tolist() == [[0, 1, 1], [0, 1, 2]]
    assert not np.isnan(kept).any()
    assert (reference.heatmap_nms(np.full((1, 3, 3), NAN), 3) == 0).all()
    assert np.array_equal(reference.heatmap_nms(heat[:, :3], 1), heat[:, :3])


def test_top_k_breaks_ties_by_row_then_column() -> None:
    heat = np.array([[[-0.0, 0.5, 0.0], [0.5, 0.9, 0.0]]], np.float32)
    tags = np.arange(6, dtype=np.float32).reshape(1, 2, 3, 1)
    top = reference.top_k(heat, tags, 4)
    assert (top.x.dtype, top.y.dtype) == (np.int32, np.int32)
    assert list(zip(top.x[0].tolist(), top.y[0].tolist(), strict=True)) == [(1, 1), (1, 0), (0, 1), (0, 0)]
    assert top.tags[0, :, 0].tolist() == [4, 1, 3, 0]
    assert reference.top_k(heat, tags, 30).values.shape == (1, 6)


# ----------------------------------------------------------------------------------------------------------- step 5


def test_assign_is_munkres_on_ties() -> None:
    rng = np.random.default_rng(11)
    for turn in range(300):
        rows = int(rng.integers(1, 8))
        columns = rows + int(rng.integers(0, 4))
        cost = rng.integers(0, 4, (rows, columns)) * 100.0
        if turn % 3 == 1:
            cost -= rng.random((rows, 1), np.float32)
        if turn % 3 == 2:
            cost -= rng.random((rows, columns), np.float32)
            cost[:, columns - int(rng.integers(0, columns)) :] = reference.PADDING_COST
        pairs = sorted((i, j) for i, j in Munkres().compute(cost.tolist()) if i < rows)
        assert reference.assign(cost) == pairs, cost.tolist()


def test_assign_arguments() -> None:
    assert reference.assign(np.zeros((0, 0))) == []
    assert reference.assign(np.zeros((0, 3))) == []
    for wrong in (np.zeros((2, 1)), np.full((1, 2), np.nan), np.array([[1e308, -1e308]])):
        with pytest.raises(ValueError, match="cost"):
            reference.assign(wrong)


def _candidates(*joints: list[tuple[float, tuple[float, ...]]]) -> tuple[NDArray[Any], ...]:
    """(value, tag) lists per joint to the arguments of group_by_tag; x counts the candidates, y the joints."""
    most = max(map(len, joints))
    length = next(len(tag) for joint in joints for _, tag in joint)
    values, tags = np.zeros((len(joints), most), np.float32), np.zeros((len(joints), most, length), np.float32)
    for k, joint in enumerate(joints):
        for i, (value, tag) in enumerate(joint):
            values[k, i], tags[k, i] = value, tag
    x = np.tile(np.arange(most, dtype=np.int32), (len(joints), 1))
    y = np.repeat(np.arange(len(joints), dtype=np.int32)[:, None], most, axis=1)
    return values, x, y, tags


def test_grouping_by_nearness() -> None:
    persons = reference.group_by_tag(
        *_candidates([(0.9, (1,)), (0.8, (5,))], [(0.7, (5.2,)), (0.6, (1.1,)), (0.5, (9,))])
    )
    assert persons.shape == (3, 2, 4)
    assert persons[:, :, 2].tolist() == np.array([[0.9, 0.6], [0.8, 0.7], [0, 0.5]], np.float32).tolist()
    assert persons[2, 0].tolist() == [0, 0, 0, 0]


def test_detection_threshold_is_a_double() -> None:
    for value, people in ((np.float32(0.1), 1), (np.float16(0.1), 0)):
        assert len(reference.group_by_tag(*_candidates([(float(value), (0,))]))) == people


def test_equal_keys_share_a_person() -> None:
    """The second founder takes the person over: its joint replaces the first's, the other tag value is no key."""
    persons = reference.group_by_tag(*_candidates([(0.9, (0.0, 1)), (0.8, (-0.0, 7))], [(0.7, (0, 7))]))
    assert persons.shape == (1, 2, 5)
    assert persons[0, :, 2].tolist() == np.array([0.8, 0.7], np.float32).tolist()


def test_collision_after_a_join_resets_the_person() -> None:
    params = DecodeParams(tag_threshold=0.5)
    joints = [(0.9, (0.0, 0.0))], [(0.8, (0.0, 0.1)), (0.7, (0.0, 3.0))], [(0.6, (0.0, 3.1))]
    persons = reference.group_by_tag(*_candidates(*joints), params)
    assert persons[0, :, 2].tolist() == np.array([0.9, 0.7, 0.6], np.float32).tolist()
    assert len(persons) == 1


def test_ignore_too_much() -> None:
    joints = [(0.9, (0,)), (0.8, (10,)), (0.7, (20,))], [(0.6, (20.2,)), (0.5, (0.1,))]
    reference_mode = DecodeParams(ignore_too_much=True, max_num_people=2)
    assert reference.group_by_tag(*_candidates(*joints), reference_mode)[:, 1, 2].tolist() == [np.float32(0.5), 0]
    mmpose1 = DecodeParams(mode="mmpose1", max_num_people=2)
    assert reference.group_by_tag(*_candidates(*joints), mmpose1)[:, 1, 2].tolist() == [np.float32(0.5), 0]
    assert len(reference.group_by_tag(*_candidates(*joints))) == 3


def test_bad_tags_belong_to_nobody() -> None:
    joints = [(0.9, (0, np.nan)), (0.8, (0, 1)), (0.7, (np.inf, 1))], [(0.6, (0, np.nan)), (0.5, (0.1, 1))]
    persons = reference.group_by_tag(*_candidates(*joints))
    assert persons[:, :, 2].tolist() == np.array([[0.9, 0], [0.8, 0.5], [0.7, 0], [0, 0.6]], np.float32).tolist()
    assert np.isfinite(persons).all()
    assert persons[0, 0, 3:].tolist() == [0, 0]


def test_mean_that_overflows_matches_nobody() -> None:
    huge = float(np.finfo(np.float32).max)
    persons = reference.group_by_tag(*_candidates([(0.9, (huge,))], [(0.8, (huge,))], [(0.7, (1.0,))]))
    assert persons[:, :, 2].tolist() == np.array([[0.9, 0.8, 0], [0, 0, 0.7]], np.float32).tolist()


@pytest.mark.parametrize("count", [1, 7, 8, 9, 15, 17, 30])
def test_scores_are_summed_as_numpy_sums(count: int) -> None:
    values = np.random.default_rng(count).random(count, np.float32)
    if count < 8:
        total, rest = np.float32(0), values
    else:
        r = [np.float32(0)] * 8
        for i in range(count - count % 8):
            r[i % 8] = values[i] if i < 8 else r[i % 8] + values[i]
        total = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]))
        rest = values[count - count % 8 :]
    for value in rest:
        total = total + value
    persons = np.zeros((1, count, 4), np.float32)
    persons[0, :, 2] = values
    assert reference.person_scores(persons)[0] == np.float32(total / np.float32(count))


def test_scores_stay_finite() -> None:
    persons = np.zeros((1, 3, 4), np.float32)
    persons[..., 2] = np.finfo(np.float32).max
    assert reference.person_scores(persons)[0] == np.finfo(np.float32).max


# ---------------------------------------------------------------------------------------------------- steps 6 to 8


def _person(x: float, y: float, value: float = 0.5, joints: int = 1) -> NDArray[np.float32]:
    persons = np.zeros((1, joints, 4), np.float32)
    persons[0, 0] = x, y, value, 0
    return persons


def test_adjust_steps_down_between_equals() -> None:
    heat = np.zeros((1, 3, 3), np.float32)
    assert reference.adjust(_person(1, 1), heat)[0, 0, :2].tolist() == [1.25, 1.25]
    heat[0, 1, 2] = 0.1
    assert reference.adjust(_person(1, 1), heat)[0, 0, :2].tolist() == [1.75, 1.25]
    assert reference.adjust(_person(0, 0, 0), heat)[0, 0, :2].tolist() == [0, 0]
    # mmpose 1.x: no step in x at column 1, none between equals, and center_shift whether or not steps are wanted.
    heat = np.pad(heat, ((0, 0), (1, 1), (1, 1)))
    moved = [
        reference.adjust(_person(x, 2), heat, DecodeParams(mode="mmpose1", adjust=adjust))[0, 0, :2].tolist()
        for x, adjust in ((1, True), (2, True), (2, False))
    ]
    assert moved == [[1.5, 2.5], [2.75, 2.5], [2.5, 2.5]]


def test_dark_step_finds_a_gaussian_between_pixels() -> None:
    y, x = np.mgrid[:15, :17].astype(np.float32)
    heat = np.exp(-((x - 8.3) ** 2 + (y - 6.8) ** 2) / 8)[None].astype(np.float32)
    udp = DecodeParams(use_udp=True)
    assert reference.adjust(_person(8, 7), heat, udp)[0, 0, :2] == pytest.approx([8.3, 6.8], abs=0.05)
    flat = np.zeros((1, 4, 4), np.float32)
    assert reference.adjust(_person(2, 1), flat, udp)[0, 0, :2].tolist() == [2, 1]
    assert np.isfinite(reference.adjust(_person(2, 1), np.full((1, 4, 4), NAN), udp)).all()
    assert np.isfinite(reference.adjust(_person(0, 0), np.zeros((1, 1, 1), np.float32), udp)).all()


def test_refine() -> None:
    heat = np.zeros((2, 4, 4), np.float32)
    tags = np.full((2, 4, 4, 1), 3, np.float32)
    heat[1, 0, 3], heat[1, 2, 1] = 0.9, 0.4
    tags[1, 2, 1], tags[1, 0, 3] = 3.2, 5
    persons = _person(1.5, 1.5, joints=2)
    filled = reference.refine(persons, heat, tags)
    assert persons[0, 1].tolist() == [0, 0, 0, 0]
    assert filled[0, 1].tolist() == [1.25, 2.25, np.float32(0.4), 0]
    assert np.array_equal(filled[0, 0], persons[0, 0])
    assert reference.refine(persons, heat, tags, DecodeParams(mode="mmpose1"))[0, 1, :3].tolist() == [
        1,
        2,
        np.float32(0.4),
    ]
    # A heat that is not positive fills nothing in here, and something in mmpose 1.x.
    heat[1] = -1
    assert reference.refine(persons, heat, tags)[0, 1].tolist() == [0, 0, 0, 0]
    assert reference.refine(persons, heat, tags, DecodeParams(mode="mmpose1"))[0, 1, :3].tolist() == [0, 0, -1]


def test_refine_passes_over_bad_numbers() -> None:
    heat = np.full((2, 4, 4), 0.25, np.float32)
    tags = np.zeros((2, 4, 4, 2), np.float32)
    heat[1, 0, 0], tags[1, 0, 1, 1], tags[1, 0, 2, 0] = NAN, NAN, INF
    assert reference.refine(_person(1, 1, joints=2), heat, tags)[0, 1, :2].tolist() == [3.25, 0.25]
    tags[1] = NAN
    assert reference.refine(_person(1, 1, joints=2), heat, tags)[0, 1, 2] == 0
    tags[0, 1, 1] = NAN
    tags[1] = 0
    assert reference.refine(_person(1, 1, joints=2), heat, tags)[0, 1, 2] == 0
    # A distance beyond float32 makes every score -inf; the first usable pixel is taken.
    tags[0, 1, 1], tags[1] = 3e38, -3e38
    assert reference.refine(_person(1, 1, joints=2), heat, tags)[0, 1, :2].tolist() == [1.75, 0.25]


def test_back_project() -> None:
    x = y = np.zeros(1, np.float32)
    for params, expected in (
        (DecodeParams(), (-0.5, -1.5)),
        (DecodeParams(mode="mmpose1"), (0.0, -1.5)),
        (DecodeParams(use_udp=True), (0.0, 0.0)),
    ):
        moved = reference.back_project(x, y, (7, 4), (7, 4), params)
        assert (moved[0][0], moved[1][0]) == expected
    moved = reference.back_project(x + 6, y + 3, (7, 4), (7, 4), DecodeParams(use_udp=True))
    assert (moved[0][0], moved[1][0]) == (6, 6)
    assert np.isfinite(reference.back_project(x, y, (1, 1), (5, 5), DecodeParams(use_udp=True))).all()


# --------------------------------------------------------------------------------------------------------- the whole


@pytest.mark.parametrize("mode", ["reference", "mmpose1"])
@pytest.mark.parametrize("joints", [1, 17, 19])
@pytest.mark.parametrize("fill", [0, np.nan])
def test_nobody(mode: str, joints: int, fill: float) -> None:
    output = np.full((2 * joints, 3, 2), fill, np.float16)
    for score_per_joint in (False, True):
        params = DecodeParams(mode=mode, score_per_joint=score_per_joint)
        skeleton = COCO17 if joints == 17 else _skeleton(joints)
        decoded = reference.decode(output, output, (5, 4), params, skeleton)
        assert decoded.keypoints.shape == (0, joints, 3)
        assert decoded.scores.shape == ((0, joints) if score_per_joint else (0,))
        assert decoded.tags.shape == (0, joints, 2)


@pytest.mark.parametrize("changes", [{}, {"use_udp": True, "align_corners": True}, {"mode": "mmpose1"}])
def test_one_pixel(changes: dict[str, Any]) -> None:
    output = np.full((4, 1, 1), 0.5, np.float32)
    decoded = reference.decode(output, None, (1, 1), DecodeParams(**changes, project2image=False), _skeleton(2))
    assert decoded.keypoints.shape[1:] == (2, 3)
    assert len(decoded.keypoints) >= 1
    assert np.isfinite(decoded.keypoints).all()


def test_inputs_are_not_written_to() -> None:
    output = _output(size=9)
    output.flags.writeable = False
    reference.decode(output, output[..., ::-1], (9, 9), DecodeParams(), _skeleton(2))
