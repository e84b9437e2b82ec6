"""Hostile inputs for the kernels: any bit pattern of a float in any place, any legal shape and parameters.

Small, so that a case takes about a millisecond: what many pixels or persons do is for tests/campaign.py to try.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import hostile
import numpy as np
from hostile import Array, Inputs, Rng, Size, chance, pick

from hrnetae.evaluation.oks import Persons, Rules
from hrnetae.params import MAX_SIDE, PERSON_SCORES, DecodeParams
from hrnetae.rescoring import FEATURES, Rescoring
from hrnetae.skeleton import Skeleton

MOST_VALUES = 3_000  # of all joints' maps at the size that is decoded
_UNSIGNED = {np.float16: np.uint16, np.float32: np.uint32, np.float64: np.uint64}
# The pairing of n candidates with n persons takes the cube of n: no more of them than that.
_MOST_PEOPLE = (2, 4, 6, 12)
_FEW_PIXELS = 24
_FLOAT32_MAX = float(np.finfo(np.float32).max)
_MOST_INT = (1 << 31) - 1
# What arithmetic trips over: as numbers, and as bits of NaN with payloads, quiet and signalling.
_EDGES = (0.0, -0.0, 0.5, 1.0, -1.0, 1e-45, -1e-45, 6e-8, 65504.0, 3e38, -3e38, math.inf, -math.inf, math.nan)
_HUGE = (1e308, -1e308, 5e-324, -5e-324, 2.0**31, 2.0**63, -(2.0**63), 1e39, 0.0, -0.0)


# ---------------------------------------------------------------------------------------------------------------- bits


def any_bits(rng: Rng, shape: tuple[int, ...], dtype: Any) -> Array:
    """Floats of any pattern, all equally likely."""
    size = math.prod(shape)
    return np.frombuffer(rng.bytes(size * np.dtype(dtype).itemsize), dtype).reshape(shape).copy()


def _at_the_ends(rng: Rng, shape: tuple[int, ...], dtype: Any) -> Array:
    """About every second number is an infinity or a NaN of any payload, a zero or a subnormal one."""
    maps = any_bits(rng, shape, dtype)
    bits = maps.view(_UNSIGNED[dtype])
    exponent = np.array(np.inf, dtype).view(bits.dtype)
    kind = rng.random(shape)
    bits[kind < 0.25] |= exponent
    bits[kind > 0.75] &= ~exponent
    return maps


def _in_sequence(rng: Rng, shape: tuple[int, ...], dtype: Any) -> Array:
    """Patterns one after the other: float16 has no more than a few thousand such maps, which a campaign sees all of."""
    unsigned = _UNSIGNED[dtype]
    first = int(rng.integers(np.iinfo(unsigned).max, endpoint=True, dtype=np.uint64))
    counted = np.arange(math.prod(shape), dtype=np.uint64) + np.uint64(first)
    return counted.astype(unsigned).view(dtype).reshape(shape)


def _from_few(rng: Rng, shape: tuple[int, ...], dtype: Any) -> Array:
    """A few patterns again and again: ties and plateaus of anything."""
    with np.errstate(over="ignore"):
        edges = np.array(_EDGES, dtype)
    some = np.concatenate([any_bits(rng, (2,), dtype), rng.choice(edges, 2), rng.random(1).astype(dtype)])
    return some[rng.integers(len(some), size=shape)]


def with_flipped_bits(rng: Rng, maps: Array) -> Array:
    """A copy in which one number in sixteen or fewer has other bits."""
    copy = np.array(maps, order="C")
    bits = copy.view(_UNSIGNED[copy.dtype.type]).reshape(-1)
    at = rng.integers(bits.size, size=int(rng.integers(1, 2 + bits.size // 16)))
    bits[at] ^= any_bits(rng, at.shape, copy.dtype.type).view(bits.dtype)
    return copy


def _flipped_bits(rng: Rng, shape: tuple[int, ...], dtype: Any) -> Array:
    """What a network could say, but for single bits."""
    maps = rng.random(shape, np.float32).astype(dtype)
    bits = maps.view(_UNSIGNED[dtype]).reshape(-1)
    for at in rng.integers(bits.size, size=int(rng.integers(1, 5))):
        bits[at] ^= bits.dtype.type(1 << int(rng.integers(8 * bits.itemsize)))
    return maps


def _spoilt(rng: Rng, shape: tuple[int, ...], dtype: Any) -> Array:
    """What a network could say, with edges strewn in."""
    maps = rng.random(shape, np.float32).astype(dtype)
    with np.errstate(over="ignore"):
        maps[rng.random(shape) < 0.1] = np.array(pick(rng, _EDGES), dtype)
    return maps


def _sane(rng: Rng, shape: tuple[int, ...], dtype: Any) -> Array:
    return (rng.random(shape, np.float32) * pick(rng, (1, 1, 10, 1000))).astype(dtype)


_STYLES = (any_bits, _at_the_ends, _in_sequence, _from_few, _from_few, _flipped_bits, _spoilt, _sane, _sane)


def any_floats(rng: Rng, shape: tuple[int, ...], dtype: Any = None) -> Array:
    """float16 or float32 of one of the styles."""
    drawn: Array = pick(rng, _STYLES)(rng, shape, dtype or pick(rng, (np.float16, np.float32)))
    return drawn


def finite(rng: Rng) -> float:
    """Any finite float64."""
    kind = rng.random()
    if kind < 0.4:
        return float(rng.normal() * 10.0 ** int(rng.integers(-3, 4)))
    if kind < 0.7:
        return float(pick(rng, _HUGE))
    value = float(any_bits(rng, (1,), np.float64)[0])
    return value if math.isfinite(value) else 1.0


# ----------------------------------------------------------------------------------------------------------- settings


def any_skeleton(rng: Rng) -> Skeleton:
    """Of any size, pairs and order, about every second with any positive sigmas."""
    drawn = hostile.random_skeleton(rng)
    if drawn.sigmas or chance(rng, 0.5):
        return drawn
    sigmas = tuple(abs(finite(rng)) or 1.0 for _ in range(len(drawn)))
    return Skeleton(drawn.name, drawn.joints, drawn.flip_pairs, drawn.joint_order, (), sigmas)


def _shift(rng: Rng) -> float:
    """Any that float32 can hold."""
    return min(max(finite(rng), -_FLOAT32_MAX), _FLOAT32_MAX)


def _share(rng: Rng) -> float:
    """From 0 to 1, with the ends and what is next to them."""
    return float(pick(rng, (0.0, 1.0, 5e-324, np.nextafter(1.0, 0.0), 0.5, rng.random(), rng.random())))


def any_params(rng: Rng, pixels: int) -> DecodeParams:
    """Any legal settings for maps of so many pixels, those beyond the reference's in about every second case."""
    params = hostile.random_params(rng)
    changes: dict[str, Any] = {"max_num_people": min(params.max_num_people, pick(rng, _MOST_PEOPLE))}
    if chance(rng, 0.3):
        changes |= {"detection_threshold": finite(rng), "tag_threshold": finite(rng), "center_shift": _shift(rng)}
    if chance(rng, 0.15):
        changes |= {"nms_kernel": int(pick(rng, (_MOST_INT, _MOST_INT - 2, 65537, 1 + 2 * int(rng.integers(1 << 30)))))}
    if chance(rng, 0.15) and pixels <= _FEW_PIXELS:
        changes |= {"max_num_people": int(pick(rng, (_MOST_INT, 1 << 20, int(rng.integers(1, 1 << 31)))))}
    if chance(rng, 0.5):
        changes |= _options(rng, params)
    return params.replace(**changes)


def _options(rng: Rng, params: DecodeParams) -> dict[str, Any]:
    changes: dict[str, Any] = {"tag_window": int(rng.integers(8)) * 2 + 1, "second_pass": chance(rng, 0.5)}
    if params.mode == "reference":
        changes["filled_floor"] = _share(rng)
        if not params.use_udp:
            changes["exact_geometry"] = chance(rng, 0.5)
            if chance(rng, 0.3):  # sides that no map has
                changes["input_size"] = tuple(int(side) for side in rng.integers(1, MAX_SIDE + 1, 2))
            if not params.align_corners and chance(rng, 0.5):
                changes["subpixel"] = "fit"
    if not params.score_per_joint:
        changes |= {"person_score": pick(rng, PERSON_SCORES), "suppress_oks": _share(rng)}
        if chance(rng, 0.4):
            changes["rescoring"] = Rescoring(finite(rng), tuple(finite(rng) for _ in FEATURES))
    return changes


# --------------------------------------------------------------------------------------------------------------- maps


def _size(rng: Rng, joints: int) -> Size:
    """Of a map. Mostly a few cells; at times long and thin."""
    if chance(rng, 0.05):
        long, thin = int(rng.integers(1, 1 + MOST_VALUES // joints)), int(rng.integers(1, 4))
        return (long, thin) if chance(rng, 0.5) else (thin, long)
    most = max(2, min(16, math.isqrt(MOST_VALUES // joints)))
    return int(rng.integers(1, most)), int(rng.integers(1, most))


def _target(rng: Rng, first: Size, joints: int) -> Size:
    """What the maps are resized to: any size, or a multiple; all joints together no more than MOST_VALUES."""
    room = max(1, MOST_VALUES // joints)
    kind = rng.random()
    if kind < 0.1:
        long, thin = min(MAX_SIDE, room), 1
        return (long, thin) if chance(rng, 0.5) else (thin, long)
    if kind < 0.5:
        factor = float(rng.uniform(0.3, 6))
        width, height = (max(1, round(side * factor)) for side in first)
    else:
        width, height = (int(rng.integers(1, 49)) for _ in first)
    width = min(width, room)
    return width, max(1, min(height, room // width))


def _stage_sizes(rng: Rng, first: Size, count: int) -> list[Size]:
    """Each twice as large as the one before, or any."""
    if chance(rng, 0.3):
        return [(int(rng.integers(1, 12)), int(rng.integers(1, 12))) for _ in range(count)]
    return [(first[0] << stage, first[1] << stage) for stage in range(count)]


@dataclass(frozen=True)
class Scene:
    """What the images of a case have in common. first: the size of the network's map; target: what it is resized to."""

    params: DecodeParams
    skeleton: Skeleton
    first: Size
    target: Size


def any_scene(rng: Rng) -> Scene:
    """Sizes first, then settings that go with them."""
    skeleton = any_skeleton(rng)
    first = _size(rng, len(skeleton))
    target = _target(rng, first, len(skeleton))
    params = any_params(rng, max(math.prod(first) << 4, math.prod(target)))
    if params.mode == "mmpose1" and params.restore_heatmap_size:
        params = params.replace(input_size=target)
    return Scene(params, skeleton, first, target)


def any_image(rng: Rng, scene: Scene) -> Inputs:
    """One image: arguments of `hrnetae.reference.decode`, as `hostile.random_case` draws them."""
    params, skeleton = scene.params, scene.skeleton
    mmpose1 = params.mode == "mmpose1"
    stage_count = 1 if mmpose1 else pick(rng, (1, 1, 1, 1, 2, 3))
    tag_stage = int(rng.integers(stage_count))
    scales = [1.0]
    if not mmpose1 and chance(rng, 0.1):
        scales = list(dict.fromkeys([1.0, *(abs(finite(rng)) or 2.0 for _ in range(int(rng.integers(3))))]))
    several = len(scales) > 1
    kind = rng.random()
    output, mirrored = [], []
    for scale in scales:
        base = scene.first if scale == 1 else _size(rng, len(skeleton))
        shapes = _stage_shapes(scene, _stage_sizes(rng, base, stage_count), tag_stage)
        stages = [_stage(rng, shape, len(skeleton)) for shape in shapes]
        output.append(stages)
        alike = hostile.mirror_image(stages, skeleton, params.tag_per_joint)
        mirrored.append(alike if kind < 0.3 else [_stage(rng, shape, len(skeleton)) for shape in shapes])
    return {
        "output": output if several else output[0],
        "flipped": None if kind > 0.6 else mirrored if several else mirrored[0],
        "image_size": (int(rng.integers(1, MAX_SIDE + 1)), int(rng.integers(1, 99))) if mmpose1 else scene.target,
        "params": params,
        "skeleton": skeleton,
        "scales": tuple(scales) if several else None,
    }


def _stage_shapes(scene: Scene, sizes: list[Size], tag_stage: int) -> list[tuple[int, int, int]]:
    joints = len(scene.skeleton)
    tag_maps = joints if scene.params.tag_per_joint else 1
    return [(joints + tag_maps * (stage == tag_stage), height, width) for stage, (width, height) in enumerate(sizes)]


def _stage(rng: Rng, shape: tuple[int, int, int], joints: int) -> Array:
    """Heatmaps and tag maps of a style each."""
    maps = any_floats(rng, shape)
    if len(maps) > joints:
        maps[joints:] = any_floats(rng, (len(maps) - joints, *shape[1:]), maps.dtype.type)
    return maps


# ------------------------------------------------------------------------------------------------------- persons, OKS


def any_persons(rng: Rng, joints: int, length: int, size: Size) -> Array:
    """(P, K, 3 + L) float32: joints in maps of ``size``, outside them, or anything."""
    persons = any_floats(rng, (4, joints, 3 + length), np.float32)[: int(rng.integers(0, 5))]
    if chance(rng, 0.6):
        for axis in range(2):
            persons[..., axis] = rng.integers(-1, size[axis] + 1, persons.shape[:2])
    persons[..., 2][rng.random(persons.shape[:2]) < 0.3] = 0
    return persons


def any_matching(rng: Rng) -> tuple[Persons, Rules]:
    """Annotated and found persons of some images, and how they are to be matched."""
    images, joints, ranges = (int(rng.integers(1, most)) for most in (4, 20, 4))
    truth_start, found_start = (np.concatenate([[0], np.cumsum(rng.integers(0, 5, images))]) for _ in range(2))
    truths, founds = int(truth_start[-1]), int(found_start[-1])
    tame = chance(rng, 0.5)

    def doubles(*shape: int) -> Array:
        return rng.uniform(0, 50, shape) if tame else any_bits(rng, shape, np.float64)

    truth = doubles(truths, joints, 3)
    truth[..., 2][rng.random((truths, joints)) < 0.3] = 0
    persons = Persons(
        variances=doubles(joints),
        truth_start=truth_start,
        truth=truth,
        bounds=doubles(truths, 4),
        truth_area=doubles(truths),
        found_start=found_start,
        found=doubles(founds, joints, 3),
    )
    rules = Rules(
        threshold=rng.random(int(rng.integers(1, 11))) if tame else doubles(int(rng.integers(1, 11))),
        truth_ignored=rng.integers(2, size=(ranges, truths), dtype=np.uint8),
        truth_crowd=rng.integers(2, size=truths, dtype=np.uint8),
        truth_counts=rng.integers(2, size=truths, dtype=np.uint8),
        found_outside=rng.integers(2, size=(ranges, founds), dtype=np.uint8),
    )
    return persons, rules
