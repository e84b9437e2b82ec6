"""Seeded network outputs that a decoder may choke on, with settings to match.

`random_case` draws one image: arguments of `hrnetae.reference.decode`, by name. It is meant for small maps and a great
many seeds: ties, plateaus, equal and quantised tags, bad numbers, one-pixel maps, every setting. `relaid` gives an
array another memory layout with the same values.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.params import DecodeParams
from hrnetae.skeleton import COCO17, CROWDPOSE14, Skeleton

Array = NDArray[Any]
Rng = np.random.Generator
Inputs = dict[str, Any]  # output, flipped, image_size, params, skeleton, scales
Size = tuple[int, int]  # width, height

BAD = (np.nan, np.inf, -np.inf)
TINY = ((1, 1), (1, 2), (2, 1), (1, 7), (9, 1), (2, 2), (3, 2), (2, 3), (3, 3))
THRESHOLDS = (0.1, 0.1, 0.1, 0.0, -0.5, -1e-3, 0.25, 0.5, 1.0, 1.5, float(np.float32(0.1)), float(np.float16(0.1)))


def chance(rng: Rng, probability: float) -> bool:
    return bool(rng.random() < probability)


def pick(rng: Rng, choices: Any) -> Any:
    return choices[int(rng.integers(len(choices)))]


# ----------------------------------------------------------------------------------------------------------- settings


def random_skeleton(rng: Rng, most: int = 20) -> Skeleton:
    """COCO-17, CrowdPose-14, or one of its own of 1 to ``most`` joints, with any pairs and any order."""
    known = rng.random()
    if known < 0.2 and most >= len(COCO17):
        return COCO17
    if known < 0.3 and most >= len(CROWDPOSE14):
        return CROWDPOSE14
    count = int(rng.integers(1, most + 1)) if chance(rng, 0.5) else int(rng.integers(1, min(most, 4) + 1))
    shuffled = [int(k) for k in rng.permutation(count)]
    pairs = int(rng.integers(0, count // 2 + 1))
    return Skeleton(
        name=f"drawn-{count}",
        joints=tuple(f"joint {k}" for k in range(count)),
        flip_pairs=tuple((shuffled[2 * i], shuffled[2 * i + 1]) for i in range(pairs)),
        joint_order=tuple(int(k) for k in rng.permutation(count)) if chance(rng, 0.5) else (),
    )


def random_params(rng: Rng) -> DecodeParams:
    """Any settings; about every second setting is the default."""
    mmpose1 = chance(rng, 0.2)
    return DecodeParams(
        max_num_people=pick(rng, (30, 30, 30, 1, 2, 3, 5, 8, 40, int(rng.integers(1, 41)))),
        detection_threshold=pick(rng, THRESHOLDS),
        tag_threshold=pick(rng, (1.0, 1.0, 1.0, 0.5, 2.0, 0.0, -1.0, 1e3, float(rng.random() * 2))),
        nms_kernel=pick(rng, (5, 5, 5, 1, 3, 7, 31, 101)),
        use_detection_val=chance(rng, 0.8),
        ignore_too_much=chance(rng, 0.25),
        tag_per_joint=mmpose1 or chance(rng, 0.8),
        adjust=chance(rng, 0.8),
        refine=chance(rng, 0.8),
        project2image=chance(rng, 0.7),
        align_corners=chance(rng, 0.25),
        use_udp=not mmpose1 and chance(rng, 0.2),
        score_per_joint=chance(rng, 0.2),
        mode="mmpose1" if mmpose1 else "reference",
        restore_heatmap_size=chance(rng, 0.6),
        center_shift=pick(rng, (0.5, 0.5, 0.0, 0.3, -1.25, 7.0)),
        input_size=random_size(rng, 40) if chance(rng, 0.6) else None,
    )


def random_size(rng: Rng, longest: int) -> Size:
    """Tiny, flat, odd or even; no side above ``longest``."""
    if chance(rng, 0.15):
        width, height = pick(rng, TINY)
        return min(width, longest), min(height, longest)
    small = max(2, longest // 2)
    return tuple(int(rng.integers(1, (small if chance(rng, 0.7) else longest) + 1)) for _ in range(2))  # type: ignore[return-value]


# --------------------------------------------------------------------------------------------------------------- maps


def _bumps(rng: Rng, count: int, size: Size) -> Array:
    """Gaussian peaks, some of them clipped to plateaus, some centred on or beyond the border."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    maps = np.zeros((count, height, width))
    most = pick(rng, (2, 5, 12))
    for one in maps:
        for _ in range(int(rng.integers(0, most))):
            cx, cy = rng.uniform(-1, width), rng.uniform(-1, height)
            if chance(rng, 0.5):
                cx, cy = round(cx), round(cy)
            bump = rng.uniform(0.05, 1.2) * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / rng.uniform(0.3, 6))
            np.maximum(one, bump, out=one)
    return np.minimum(maps, rng.uniform(0.3, 1.2)) if chance(rng, 0.3) else maps


def _blocks(rng: Rng, count: int, size: Size, values: Array) -> Array:
    """Rectangles of equal values: plateaus."""
    width, height = size
    block = int(rng.integers(1, 5))
    coarse = rng.choice(values, (count, -(-height // block), -(-width // block)))
    return np.repeat(np.repeat(coarse, block, axis=1), block, axis=2)[:, :height, :width]


def _spikes(rng: Rng, count: int, size: Size, params: DecodeParams) -> Array:
    """Lone pixels, most of them at borders and corners, on level ground."""
    width, height = size
    ground = pick(rng, (0.0, 0.0, -0.0, -0.3, 0.05, params.detection_threshold))
    maps = np.full((count, height, width), ground)
    for one in maps:
        for _ in range(int(rng.integers(0, 6))):
            row = pick(rng, (0, height - 1, int(rng.integers(height))))
            column = pick(rng, (0, width - 1, int(rng.integers(width))))
            one[row, column] = pick(rng, (0.5, 0.5, 1.0, float(rng.random()), ground + 1e-6))
    return maps


def _about_the_threshold(rng: Rng, count: int, size: Size, params: DecodeParams) -> Array:
    limit = np.float32(params.detection_threshold)
    near = (limit, np.nextafter(limit, np.float32(9)), np.nextafter(limit, np.float32(-9)), np.float16(limit), 0)
    return rng.choice(np.array(near, np.float32), (count, size[1], size[0]))


def _level(rng: Rng, count: int, size: Size, params: DecodeParams) -> Array:
    value = pick(rng, (0.0, -0.0, -1.0, 0.5, 1.0, params.detection_threshold))
    return np.full((count, size[1], size[0]), value)


def _checks(rng: Rng, count: int, size: Size) -> Array:
    y, x = np.mgrid[: size[1], : size[0]]
    side = int(rng.integers(1, 4))
    return np.broadcast_to(0.8 * ((x // side + y // side) % 2), (count, size[1], size[0]))


def random_heat(rng: Rng, count: int, size: Size, params: DecodeParams) -> Array:
    shape = (count, size[1], size[0])
    quantised = np.arange(-2, 11) / 10
    styles: tuple[Callable[[], Array], ...] = (
        lambda: _bumps(rng, count, size),
        lambda: _bumps(rng, count, size) + 0.02 * rng.normal(size=shape),
        lambda: np.rint(_bumps(rng, count, size) * pick(rng, (4, 10, 127))) / 10,
        lambda: rng.random(shape),
        lambda: rng.normal(size=shape) * 0.4,
        lambda: rng.choice(quantised, shape),
        lambda: _blocks(rng, count, size, quantised),
        lambda: _blocks(rng, count, size, np.array([0.0, 0.7])),
        lambda: _spikes(rng, count, size, params),
        lambda: _about_the_threshold(rng, count, size, params),
        lambda: _level(rng, count, size, params),
        lambda: _checks(rng, count, size),
        lambda: -rng.random(shape) * pick(rng, (1.0, 1e-3, 1e4)),
        lambda: rng.normal(size=shape) * pick(rng, (1e3, 6e4, 1e30, 3e38)),
        lambda: rng.random(shape) * pick(rng, (1e-7, 6e-8, 1e-38, 1e-44)),
        lambda: rng.choice(np.array([0.0, -0.0, 1e-45, -1e-45]), shape),
    )
    maps: Array = pick(rng, styles)()
    return maps


def random_tags(rng: Rng, count: int, size: Size) -> Array:
    shape = (count, size[1], size[0])
    people = rng.normal(size=5) * pick(rng, (0.5, 2.0, 10.0))
    styles: tuple[Callable[[], Array], ...] = (
        lambda: _blocks(rng, count, size, people),
        lambda: _blocks(rng, count, size, people) + 0.1 * rng.normal(size=shape),
        lambda: rng.normal(size=shape),
        lambda: rng.choice(np.arange(-3, 4) / 2.0, shape),
        lambda: rng.choice(np.arange(-3.0, 4.0), shape),
        lambda: np.full(shape, pick(rng, (0.0, -0.0, 1.0, 3.5, 1e9))),
        lambda: rng.choice(np.array([0.0, -0.0, 0.5, -0.5]), shape),
        lambda: np.cumsum(rng.random(shape), axis=2),
        lambda: rng.normal(size=shape) * pick(rng, (1e3, 6e4, 1e9, 1e19, 3e38)),
        lambda: rng.random(shape) * pick(rng, (1e-7, 1e-38)),
    )
    maps: Array = pick(rng, styles)()
    return maps


def spoil(rng: Rng, maps: Array) -> None:
    """Puts NaN and infinities into maps (C, H, W): a few pixels, one whole map, or all."""
    extent = rng.random()
    if extent < 0.1:
        maps[...] = pick(rng, BAD)
    elif extent < 0.3:
        maps[int(rng.integers(len(maps)))] = pick(rng, BAD)
    else:
        share = pick(rng, (0.01, 0.1, 0.5))
        where = rng.random(maps.shape) < share
        maps[where] = rng.choice(np.array(BAD), int(where.sum())) if chance(rng, 0.5) else pick(rng, BAD)


# -------------------------------------------------------------------------------------------------------------- cases


def random_output(
    rng: Rng, joints: int, stages: list[Size], tag_stage: int, params: DecodeParams, bad: tuple[bool, bool]
) -> list[Array]:
    """One array per stage; that of tag_stage with tag maps. bad: spoil the heat, spoil the tags."""
    output = []
    tag_maps = joints if params.tag_per_joint else 1
    for stage, size in enumerate(stages):
        parts = [random_heat(rng, joints, size, params).astype(np.float64)]
        if stage == tag_stage:
            parts.append(random_tags(rng, tag_maps, size).astype(np.float64))
        for part, spoiled in zip(parts, bad, strict=False):
            if spoiled:
                spoil(rng, part)
        with np.errstate(over="ignore", under="ignore"):
            output.append(np.concatenate(parts).astype(pick(rng, (np.float16, np.float32))))
    return output


def mirror_image(stages: list[Array], skeleton: Skeleton, tag_per_joint: bool) -> list[Array]:
    """What a network would say of the mirrored picture at best: the mirrored maps, joints exchanged."""
    index = list(skeleton.flip_index)
    count = len(index)
    with_tags = index + [count + k for k in (index if tag_per_joint else [0])]
    return [maps[with_tags if len(maps) > count else index, :, ::-1].copy() for maps in stages]


def _like(rng: Rng, output: list[Array], skeleton: Skeleton, params: DecodeParams) -> list[Array]:
    """The mirrored maps, almost or exactly."""
    mirrored = mirror_image(output, skeleton, params.tag_per_joint)
    for maps in mirrored:
        if chance(rng, 0.3):
            with np.errstate(all="ignore"):
                maps += (0.01 * rng.normal(size=maps.shape)).astype(maps.dtype)
    return mirrored


def random_case(rng: Rng, longest: int = 24) -> Inputs:
    """One image: output, flipped, image_size, params, skeleton, scales. Maps have sides of at most ``longest``."""
    skeleton, params = random_skeleton(rng), random_params(rng)
    mmpose1 = params.mode == "mmpose1"
    several = not mmpose1 and chance(rng, 0.12)
    stage_count = 1 if mmpose1 else pick(rng, (1, 1, 1, 2, 2, 3))
    tag_stage = pick(rng, (0, 0, int(rng.integers(stage_count))))
    scales = [
        float(s) for s in rng.permutation([1.0, *rng.choice([0.5, 0.7, 2.0], int(rng.integers(3)), replace=False)])
    ]
    if chance(rng, 0.2):
        scales = scales[:1]
    first = random_size(rng, longest)
    bad = (chance(rng, 0.12), chance(rng, 0.15))
    flip, alike = chance(rng, 0.6), chance(rng, 0.6)
    outputs, mirrored = [], []
    for scale in scales if several else [1.0]:
        base = tuple(max(1, round(side * scale)) for side in first)
        stages = [(base[0] << stage, base[1] << stage) for stage in range(stage_count)]
        if chance(rng, 0.1):
            stages = [random_size(rng, longest) for _ in stages]
        output = random_output(rng, len(skeleton), stages, tag_stage, params, bad)
        other = random_output(rng, len(skeleton), stages, tag_stage, params, bad)
        outputs.append(output)
        mirrored.append(_like(rng, output, skeleton, params) if alike else other)
    return {
        "output": _entry(rng, outputs, several),
        "flipped": _entry(rng, mirrored, several) if flip else None,
        "image_size": _image_size(rng, first, longest),
        "params": params,
        "skeleton": skeleton,
        "scales": tuple(scales) if several else None,
    }


def _entry(rng: Rng, by_scale: list[list[Array]], several: bool) -> Any:
    entries: list[Any] = []
    for stages in by_scale:
        laid = [maps[None] if chance(rng, 0.2) else maps for maps in stages]
        entries.append(laid[0] if len(laid) == 1 and chance(rng, 0.8) else laid)
    return entries if several else entries[0]


def _image_size(rng: Rng, map_size: Size, longest: int) -> Size:
    """The map's own size, a multiple of it, a part of it, or any other."""
    width, height = map_size
    kind = rng.random()
    if kind < 0.15:
        return map_size
    if kind < 0.4:
        factor = pick(rng, (2, 3, 4)) if max(map_size) <= longest // 2 else 2
        return width * factor, height * factor
    if kind < 0.55:
        return max(1, width // 2), max(1, height // 3)
    return random_size(rng, 3 * longest // 2)


# ------------------------------------------------------------------------------------------------------------ layouts


def arrays_of(entry: Any) -> list[Array]:
    """All arrays in an output, whatever its nesting."""
    if entry is None:
        return []
    if isinstance(entry, np.ndarray):
        return [entry]
    return [array for part in entry for array in arrays_of(part)]


def relaid(entry: Any, layout: Callable[[Array], Array]) -> Any:
    """An output with every array laid out anew."""
    if entry is None:
        return None
    if isinstance(entry, np.ndarray):
        return layout(entry)
    return [relaid(part, layout) for part in entry]


def _read_only(array: Array) -> Array:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def _transposed(array: Array) -> Array:
    return np.ascontiguousarray(np.swapaxes(array, -1, -2)).swapaxes(-1, -2)


def _channels_last(array: Array) -> Array:
    if array.ndim < 3:
        return np.asfortranarray(array)
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, -3, -1)), -1, -3)


def _strided(array: Array) -> Array:
    wide = np.full((*array.shape[:-1], 2 * array.shape[-1] + 1), 77, array.dtype)
    wide[..., 1::2] = array
    return wide[..., 1::2]


def _backwards(array: Array) -> Array:
    return np.ascontiguousarray(array[..., ::-1, ::-1])[..., ::-1, ::-1]


def _unaligned(array: Array) -> Array:
    raw = bytearray(array.nbytes + 1)
    shifted = np.frombuffer(raw, array.dtype, array.size, offset=1).reshape(array.shape)
    shifted[...] = array
    return shifted


def _broadcast_batch(array: Array) -> Array:
    return np.broadcast_to(array, (1, *array.shape)) if array.ndim == 3 else array[0]


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "read-only": _read_only,
    "transposed": _transposed,
    "channels last": _channels_last,
    "Fortran": np.asfortranarray,
    "strided": _strided,
    "backwards": _backwards,
    "unaligned": _unaligned,
    "big-endian": lambda array: array.astype(array.dtype.newbyteorder(">")),
    "batch axis the other way": _broadcast_batch,
}


def memory_mapped(array: Array, folder: Path) -> Array:
    """The array as a read-only memory map of a file in ``folder``."""
    path = folder / f"{len(list(folder.iterdir()))}.npy"
    np.save(path, array)
    mapped: Array = np.load(path, mmap_mode="r")
    return mapped
