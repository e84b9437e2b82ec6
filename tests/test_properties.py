"""Kernels against hrnetae.reference, on maps made to be awkward.

Equal means equal to the bit, with two exceptions. The DARK step takes logarithms, whose last bit differs between math
libraries: it may differ by what that can do, which is nothing to speak of but on level ground. And the last step goes
through float64, where the order of additions is free.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import hostile
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

import hrnetae
from hrnetae import DecodeParams, Decoder, Poses, TopK, reference
from hrnetae.reference_maps import finite_or_below

Floats = NDArray[np.float32]

seeds = st.integers(0, 2**32 - 1)
MORE = settings(max_examples=3 * settings().max_examples)  # for the tests that all else hangs on


def draw(seed: int, **options: Any) -> hostile.Inputs:
    return hostile.random_case(np.random.default_rng(seed), **options)


def decode(case: hostile.Inputs) -> Poses:
    decoder = Decoder(case["params"], case["skeleton"])
    return decoder.decode(case["output"], case["flipped"], image_size=case["image_size"], scales=case["scales"])


def steps_of(case: hostile.Inputs) -> reference.Steps:
    names = ("output", "flipped", "image_size", "params", "skeleton", "scales")
    return reference.decode_steps(*(case[name] for name in names))


def takes_dark_step(params: DecodeParams) -> bool:
    return params.use_udp and params.adjust


def adjust_as_decoder(persons: Floats, heat: Floats, params: DecodeParams) -> Floats:
    return hrnetae.adjust(persons, heat, params) if params.adjust or params.mode == "mmpose1" else persons


def assert_same_poses(found: Poses | reference.Decoded, expected: Poses | reference.Decoded) -> None:
    assert found.keypoints.shape == expected.keypoints.shape
    assert_array_equal(found.keypoints[..., 2], expected.keypoints[..., 2])
    assert_array_equal(found.scores, expected.scores)
    assert_array_equal(found.tags, expected.tags)
    assert_allclose(found.keypoints[..., :2], expected.keypoints[..., :2], rtol=1e-6, atol=1e-5)


def assert_identical(found: Poses, expected: Poses) -> None:
    for name in ("keypoints", "scores", "tags"):
        assert getattr(found, name).tobytes() == getattr(expected, name).tobytes()
        assert getattr(found, name).shape == getattr(expected, name).shape


# ------------------------------------------------------------------------------------------------------- whole decoder


@MORE
@given(seeds)
def test_decode_equals_the_reference(seed: int) -> None:
    case = draw(seed)
    params = case["params"]
    steps = steps_of(case)
    if takes_dark_step(params):  # and then it goes on from where the kernels' step led to
        adjusted = hrnetae.adjust(steps.grouped, steps.heatmaps, params)
        refined = reference.refine(adjusted, steps.heatmaps, steps.tags, params) if params.refine else adjusted
        steps = steps._replace(adjusted=adjusted, refined=refined)
    found = decode(case)
    assert_same_poses(found, reference.results(steps, case["image_size"], params))
    for array in (found.keypoints, found.scores, found.tags):
        assert array.dtype == np.float32
        assert np.isfinite(array).all()


@pytest.mark.slow
@given(seeds)
def test_decode_equals_the_reference_on_larger_maps(seed: int) -> None:
    case = draw(seed, longest=96)
    case["params"] = case["params"].replace(use_udp=False)
    assert_same_poses(decode(case), reference.decode(**case))


@MORE
@given(seeds)
def test_every_step_equals_the_reference(seed: int) -> None:
    case = draw(seed)
    params, skeleton = case["params"], case["skeleton"]
    expected = steps_of(case)
    heat, tags = hrnetae.project(
        case["output"],
        case["flipped"],
        image_size=case["image_size"],
        params=params,
        skeleton=skeleton,
        scales=case["scales"],
    )
    assert_array_equal(heat, expected.heatmaps)
    assert_array_equal(tags, expected.tags)

    peaks = hrnetae.heatmap_nms(heat, params.nms_kernel)
    assert_array_equal(peaks, reference.heatmap_nms(heat, params.nms_kernel))
    candidates = hrnetae.top_k(peaks, tags, params.max_num_people)
    for found, wanted in zip(candidates, expected.candidates, strict=True):
        assert found.dtype == wanted.dtype
        assert_array_equal(found, wanted)

    grouped = hrnetae.group_by_tag(*candidates, params, skeleton.joint_order)
    assert_array_equal(grouped, expected.grouped)
    adjusted = adjust_as_decoder(grouped, heat, params)
    if takes_dark_step(params):
        assert_dark_step(grouped, adjusted, expected.adjusted, heat)
    else:
        assert_array_equal(adjusted, expected.adjusted)
    refined = hrnetae.refine(adjusted, heat, tags, params)
    assert_array_equal(refined, reference.refine(adjusted, heat, tags, params))


def assert_dark_step(grouped: Floats, found: Floats, expected: Floats, heat: Floats) -> None:
    """Equal within what errors of a few last bits in the logarithms can do to a Newton step.

    The Hessian's entries are then off by some 1e-5. That moves the solution of H s = g by about (1 + |s|) * 1e-5 / the
    smallest singular value of H; where that value is itself of the size of the error, any step is as good as another.
    """
    assert_array_equal(found[..., 2:], expected[..., 2:])
    error = 1e-5
    joint = np.arange(grouped.shape[1])
    x, y = grouped[..., 0].astype(int), grouped[..., 1].astype(int)
    padded = np.pad(finite_or_below(heat), ((0, 0), (1, 1), (1, 1)), mode="reflect")
    wide = 0.25 * (padded[:, :, :-2] + padded[:, :, 2:]) + 0.5 * padded[:, :, 1:-1]
    blurred = 0.25 * (wide[:, :-2] + wide[:, 2:]) + 0.5 * wide[:, 1:-1]
    log_heat = np.log(np.clip(blurred, 0.001, 50).astype(np.float64))
    around = {
        (dx, dy): log_heat[joint, np.clip(y + dy, 0, heat.shape[1] - 1), np.clip(x + dx, 0, heat.shape[2] - 1)]
        for dx in (-1, 0, 1)
        for dy in (-1, 0, 1)
    }
    middle, right, left, below, above = (around[at] for at in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)))
    gxx, gyy = right - 2 * middle + left, below - 2 * middle + above
    gxy = (around[1, 1] - right - below + 2 * middle - left - above + around[-1, -1]) / 2
    hessian = np.stack([gxx, gxy, gxy, gyy], axis=-1).reshape(*gxx.shape, 2, 2)
    smallest = np.linalg.svd(hessian, compute_uv=False)[..., -1]
    decided = smallest > 10 * error
    step = np.abs(expected[..., :2] - grouped[..., :2]).max(axis=-1).astype(np.float64)
    allowed = 1e-3 + 2 * error * (1 + step) / np.where(decided, smallest, 1)
    off = np.abs(found[..., :2].astype(np.float64) - expected[..., :2]).max(axis=-1)
    assert (off <= allowed)[decided].all()
    level = np.ptp(np.array(list(around.values())), axis=0) == 0
    assert_array_equal(found[level], grouped[level])
    assert_array_equal(expected[level], grouped[level])


@given(seeds)
def test_the_same_input_gives_the_same_bits_and_is_left_alone(seed: int) -> None:
    case = draw(seed)
    untouched = copy.deepcopy({name: case[name] for name in ("output", "flipped")})
    first = decode(case)
    assert_identical(decode(case), first)
    for name, entry in untouched.items():
        for now, before in zip(hostile.arrays_of(case[name]), hostile.arrays_of(entry), strict=True):
            assert now.tobytes() == before.tobytes()


# ------------------------------------------------------------------------------------------------------ memory layouts


@pytest.mark.parametrize("layout", hostile.LAYOUTS)
@settings(max_examples=settings().max_examples // 3)
@given(seeds)
def test_any_memory_layout_gives_the_same(layout: str, seed: int) -> None:
    case = draw(seed)
    laid = {name: hostile.relaid(case[name], hostile.LAYOUTS[layout]) for name in ("output", "flipped")}
    before = [array.tobytes() for entry in laid.values() for array in hostile.arrays_of(entry)]
    assert_identical(decode(case | laid), decode(case))
    assert [array.tobytes() for entry in laid.values() for array in hostile.arrays_of(entry)] == before


def test_memory_mapped_files(tmp_path: Path) -> None:
    for seed in range(20):
        case = draw(seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        laid = {
            name: hostile.relaid(case[name], lambda array: hostile.memory_mapped(array, folder))  # noqa: B023
            for name in ("output", "flipped")
        }
        assert_identical(decode(case | laid), decode(case))


def test_memory_map_with_an_offset(tmp_path: Path) -> None:
    maps = hostile.random_output(np.random.default_rng(3), 17, [(12, 9)], 0, DecodeParams(), (False, False))[0]
    path = tmp_path / "raw"
    path.write_bytes(b"abc" + maps.tobytes())
    mapped = np.memmap(path, maps.dtype, mode="r", offset=3, shape=maps.shape)
    expected = Decoder().decode(maps, image_size=(30, 31))
    assert_identical(Decoder().decode(mapped, image_size=(30, 31)), expected)


@pytest.mark.parametrize("layout", [name for name in hostile.LAYOUTS if name != "batch axis the other way"])
@settings(max_examples=settings().max_examples // 5)
@given(seeds)
def test_steps_take_any_memory_layout(layout: str, seed: int) -> None:
    case = draw(seed)
    params = case["params"]
    steps = steps_of(case)
    lay = hostile.LAYOUTS[layout]
    heat, tags, grouped = (lay(array) for array in (steps.heatmaps, steps.tags, steps.grouped))
    peaks = reference.heatmap_nms(steps.heatmaps, params.nms_kernel)
    before = [array.tobytes() for array in (heat, tags, grouped)]
    assert_array_equal(hrnetae.heatmap_nms(heat, params.nms_kernel), peaks)
    candidates = hrnetae.top_k(lay(peaks), tags, params.max_num_people)
    for found, expected in zip(candidates, steps.candidates, strict=True):
        assert_array_equal(found, expected)
    laid = TopK(*map(lay, candidates))
    assert_array_equal(hrnetae.group_by_tag(*laid, params, case["skeleton"].joint_order), steps.grouped)
    if not takes_dark_step(params):
        adjusted = adjust_as_decoder(grouped, heat, params)
        assert_array_equal(adjusted, steps.adjusted)
        expected_refined = reference.refine(steps.adjusted, steps.heatmaps, steps.tags, params)
        assert_array_equal(hrnetae.refine(lay(steps.adjusted), heat, tags, params), expected_refined)
    assert [array.tobytes() for array in (heat, tags, grouped)] == before


# --------------------------------------------------------------------------------------------------------------- batch


@settings(max_examples=max(10, settings().max_examples // 10))
@given(seeds, st.integers(1, 9), st.sampled_from([None, 1, 2, 3, 16]))
def test_a_batch_equals_its_images(seed: int, count: int, threads: int | None) -> None:
    rng = np.random.default_rng(seed)
    params = hostile.random_params(rng)
    skeleton = hostile.random_skeleton(rng)
    images = []
    for _ in range(count):
        size = hostile.random_size(rng, 24)
        output, other = (
            hostile.random_output(rng, len(skeleton), [size], 0, params, (False, hostile.chance(rng, 0.1)))[0]
            for _ in range(2)
        )
        images.append((output, other if hostile.chance(rng, 0.7) else None, hostile.random_size(rng, 30)))
    outputs, flipped, sizes = map(list, zip(*images, strict=True))
    decoder = Decoder(params, skeleton)
    many = decoder.decode_batch(outputs, flipped, image_sizes=sizes, threads=threads)
    assert len(many) == count
    for found, (output, other, size) in zip(many, images, strict=True):
        assert_identical(found, decoder.decode(output, other, image_size=size))


# -------------------------------------------------------------------------------- single steps, by values that collide

HEAT_VALUES = (0.0, -0.0, 0.1, 0.5, 0.5, 1.0, -1.0, 1e-45, -3e38, 3e38, float("nan"), float("inf"), -float("inf"))
TAG_VALUES = (0.0, -0.0, 0.5, 1.0, 1.5, -0.5, 2.5, 3e38, -3e38, float("nan"), float("inf"))
FINITE_TAGS = tuple(value for value in TAG_VALUES if np.isfinite(value))
STEP_PARAMS = st.builds(
    DecodeParams,
    max_num_people=st.integers(1, 6),
    detection_threshold=st.sampled_from([0.1, 0.0, -1.0, 0.5]),
    tag_threshold=st.sampled_from([1.0, 0.5, 0.0, 100.0]),
    use_detection_val=st.booleans(),
    ignore_too_much=st.booleans(),
    adjust=st.booleans(),
    mode=st.sampled_from(["reference", "mmpose1"]),
    center_shift=st.sampled_from([0.5, 0.0, 0.3]),
)


def chosen(values: tuple[float, ...]) -> st.SearchStrategy[float]:
    return st.sampled_from([float(np.float32(value)) for value in values])


@st.composite
def heats(draw: st.DrawFn, values: tuple[float, ...] = HEAT_VALUES) -> Floats:
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 7)), draw(st.integers(1, 7)))
    return draw(arrays(np.float32, shape, elements=chosen(values), fill=st.nothing()))


@st.composite
def heats_and_tags(draw: st.DrawFn) -> tuple[Floats, Floats]:
    heat = draw(heats())
    shape = (draw(st.sampled_from([1, len(heat)])), *heat.shape[1:], draw(st.integers(1, 3)))
    tags = draw(arrays(np.float32, shape, elements=chosen(draw(st.sampled_from([TAG_VALUES, FINITE_TAGS])))))
    return heat, tags


@given(heats(), st.sampled_from([1, 3, 5, 7, 15]))
@example(np.full((1, 2, 2), np.nan, np.float32), 3)
def test_nms(heat: Floats, kernel: int) -> None:
    peaks = hrnetae.heatmap_nms(heat, kernel)
    assert_array_equal(peaks, reference.heatmap_nms(heat, kernel))
    assert np.isfinite(peaks).all()


@pytest.mark.parametrize("shape", [(2, 37, 53), (1, 20, 61), (1, 1, 90), (2, 90, 1), (1, 18, 18)])
def test_nms_of_wide_windows(shape: tuple[int, int, int]) -> None:
    """Whose maxima are put together from those of blocks, of every size up to the map's and beyond."""
    rng = np.random.default_rng(shape)
    few = rng.integers(0, 40, shape).astype(np.float32)
    spoilt = np.where(rng.random(shape) < 0.1, rng.choice(HEAT_VALUES, shape), few).astype(np.float32)
    for kernel in (*range(15, 2 * max(shape) + 5, 2), 2**31 - 1):
        for heat in (few, spoilt):
            peaks = hrnetae.heatmap_nms(heat, kernel)
            assert_array_equal(peaks, reference.heatmap_nms(heat, min(kernel, 2 * max(shape) + 1)))


def test_nms_takes_no_longer_for_wider_windows() -> None:
    """Each pixel against each other would take minutes."""
    heat = np.zeros((1, 3000, 3000), np.float32)
    heat[0, 10, 20], heat[0, 2900, 2900] = 1, 0.5
    peaks = hrnetae.heatmap_nms(heat, 4001)
    assert [tuple(at) for at in np.argwhere(peaks > 0)] == [(0, 10, 20), (0, 2900, 2900)]


@given(heats_and_tags(), st.integers(1, 40))
def test_top_k(maps: tuple[Floats, Floats], count: int) -> None:
    heat, tags = maps
    peaks = reference.heatmap_nms(heat, 1)  # sets the bad numbers to 0, and leaves the rest
    for found, expected in zip(hrnetae.top_k(peaks, tags, count), reference.top_k(peaks, tags, count), strict=True):
        assert_array_equal(found, expected)


@st.composite
def candidates(draw: st.DrawFn) -> TopK:
    joints, count, length = draw(st.integers(1, 6)), draw(st.integers(1, 6)), draw(st.integers(1, 3))
    values = draw(arrays(np.float32, (joints, count), elements=chosen((0.0, 0.1, 0.5, 0.75, 1.0, -0.5))))
    places = arrays(np.int32, (joints, count), elements=st.integers(0, 500))
    tag_values = draw(st.sampled_from([TAG_VALUES, FINITE_TAGS, (0.0, 0.5, 1.0, 1.5)]))
    tags = draw(arrays(np.float32, (joints, count, length), elements=chosen(tag_values)))
    return TopK(-np.sort(-values, axis=1), draw(places), draw(places), tags)


@MORE
@given(candidates(), STEP_PARAMS, st.booleans(), st.randoms(use_true_random=False))
def test_group_by_tag(found: TopK, params: DecodeParams, default_order: bool, random: Any) -> None:
    order = None if default_order else random.sample(range(len(found.values)), len(found.values))
    grouped = hrnetae.group_by_tag(*found, params, order)
    assert_array_equal(grouped, reference.group_by_tag(*found, params, order))
    assert np.isfinite(grouped).all()


def crowd(rng: np.random.Generator) -> TopK:
    """Candidates for few persons, with tags as far apart as the cost of the padding is large, or nearer."""
    joints, count, length = (int(rng.integers(*span)) for span in ((2, 5), (2, 16), (1, 3)))
    values = 0.2 + rng.random((joints, count)).astype(np.float32) * np.float32(rng.choice([1, 1e-5]))
    values = -np.sort(-values, axis=1)
    values[0, int(rng.integers(1, count + 1)) :] = 0
    spread = np.float32(rng.choice([1, 3, 1e4, 1e8, 1e9]))
    tags = (rng.integers(-8, 9, (joints, count, length)) / 4).astype(np.float32) * spread
    if hostile.chance(rng, 0.5):
        tags += rng.normal(size=tags.shape).astype(np.float32) * spread
    places = np.tile(np.arange(count, dtype=np.int32), (joints, 1))
    return TopK(values, places, places, tags)


@MORE
@given(seeds, st.sampled_from([1.0, 1e10]), st.booleans())
def test_group_by_tag_of_a_crowd(seed: int, tag_threshold: float, use_detection_val: bool) -> None:
    found = crowd(np.random.default_rng(seed))
    params = DecodeParams(tag_threshold=tag_threshold, use_detection_val=use_detection_val)
    assert_array_equal(hrnetae.group_by_tag(*found, params), reference.group_by_tag(*found, params))


@st.composite
def people_on_maps(draw: st.DrawFn) -> tuple[Floats, Floats, Floats]:
    heat, tags = draw(heats_and_tags())
    joints, height, width = heat.shape
    persons = np.zeros((draw(st.integers(0, 3)), joints, 3 + tags.shape[3]), np.float32)
    for person in persons:
        for row in person:
            if draw(st.booleans()):
                row[0], row[1] = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
                row[2] = draw(st.sampled_from([0.5, 0.1, -0.25, 1.0]))
    return persons, heat, tags


@given(people_on_maps(), STEP_PARAMS)
def test_adjust(scene: tuple[Floats, Floats, Floats], params: DecodeParams) -> None:
    persons, heat, _ = scene
    assert_array_equal(hrnetae.adjust(persons, heat, params), reference.adjust(persons, heat, params))


@MORE
@given(people_on_maps(), STEP_PARAMS, st.booleans())
def test_refine(scene: tuple[Floats, Floats, Floats], params: DecodeParams, use_udp: bool) -> None:
    params = params.replace(use_udp=use_udp and params.mode == "reference")
    persons, heat, tags = scene
    persons[..., :2] += np.float32(0.75)  # sub-pixel places, some of them beyond the border
    filled = hrnetae.refine(persons, heat, tags, params)
    assert_array_equal(filled, reference.refine(persons, heat, tags, params))
    assert np.isfinite(filled).all()


@given(
    arrays(np.uint16, (2, 3, 4), elements=st.integers(0, 2**16 - 1)),
    st.sampled_from([(4, 3), (8, 6), (5, 2)]),
)
def test_every_float16_pattern_is_read_rightly(bits: NDArray[np.uint16], image_size: tuple[int, int]) -> None:
    one = hrnetae.Skeleton("one", ("it",))
    half = bits.view(np.float16)
    found = hrnetae.project(half, image_size=image_size, skeleton=one)
    expected = hrnetae.project(half.astype(np.float32), image_size=image_size, skeleton=one)
    for a, b in zip(found, expected, strict=True):
        assert_array_equal(a, b)
