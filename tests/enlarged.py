"""Seeded network outputs for the shortcuts of the sparse decode.

`random_case` draws one image, as `hostile.random_case` does, and says in words what it drew. Maps are enlarged to
every degree about those at which the decoder changes its way; the heat is made of what its reasoning turns on (ridges,
saddles, slopes of a rounding error, plateaus that differ in the last bit, mirrored maps that cancel each other).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import hostile
import numpy as np
from hostile import Array, Inputs, Rng, Size, chance, pick

from hrnetae.params import DecodeParams

MOST_PIXELS = 24_000  # of the enlarged map, but for maps that are large themselves
MOST_VALUES = 40_000  # of all joints
THRESHOLDS = (0.0, 0.02, 0.1, 0.1, 0.1, 0.3, float(np.float16(0.1)), float(np.float32(0.1)), 0.125, 0.5)
NMS_KERNELS = (1, 3, 5, 5, 5, 5, 7, 9, 17, 19)


# -------------------------------------------------------------------------------------------------------------- sizes


def _side(rng: Rng) -> int:
    return int(pick(rng, (16, 32, 48)) if chance(rng, 0.4) else rng.integers(4, 49))


def _map(rng: Rng) -> Size:
    width = int(pick(rng, (64, 128))) if chance(rng, 0.12) else _side(rng)
    return width, int(rng.integers(4, 17)) if width > 48 else _side(rng)


def _enlarged(rng: Rng) -> tuple[Size, Size]:
    """2 to 16 times, each axis by itself, whole factors or any."""
    width, height = _map(rng)
    across, down = (float(2 * 8 ** rng.random()) for _ in range(2))
    while width * across * height * down > MOST_PIXELS and max(across, down) > 2:
        across, down = (max(2.0, 0.7 * across), down) if across > down else (across, max(2.0, 0.7 * down))
    if chance(rng, 0.3):
        across, down = math.floor(across), math.floor(down)
    return (width, height), (math.ceil(width * across), math.ceil(height * down))


def _times(rng: Rng, factor: float) -> tuple[Size, Size]:
    """A pixel more or less than a factor."""
    width, height = _map(rng)
    target = tuple(max(1, round(side * factor) + int(rng.integers(-1, 2))) for side in (width, height))
    return (width, height), target  # type: ignore[return-value]


def _twice(rng: Rng) -> tuple[Size, Size]:
    width, height = _map(rng)
    return (width, height), (2 * width, 2 * height)


def _smaller(rng: Rng) -> tuple[Size, Size]:
    width, height = _map(rng)
    return (width, height), (math.ceil(width * rng.uniform(0.1, 1)), math.ceil(height * rng.uniform(0.1, 1)))


def _one_axis(rng: Rng) -> tuple[Size, Size]:
    (width, height), (wide, high) = _enlarged(rng)
    part = rng.uniform(0.2, 1.99)
    return (width, height), ((math.ceil(width * part), high) if chance(rng, 0.5) else (wide, math.ceil(height * part)))


def _same(rng: Rng) -> tuple[Size, Size]:
    size = _map(rng)
    return size, size


def _tiny(rng: Rng) -> tuple[Size, Size]:
    """A few cells across a whole picture: cells larger than what is sampled at once."""
    size = (int(rng.integers(1, 7)), int(rng.integers(1, 7)))
    return size, (int(rng.integers(20, 260)), int(rng.integers(10, 92)))


def _large(rng: Rng) -> tuple[Size, Size]:
    """More blocks than the search keeps open."""
    width, height = int(pick(rng, (128, 144, 150, 192))), int(rng.integers(128, 150))
    factor = float(pick(rng, (0.7, 1.0, 1.5, 2.0)))
    return (width, height), (math.ceil(width * factor), math.ceil(height * factor))


def _long(rng: Rng) -> tuple[Size, Size]:
    """About the widest map that is passed over in chunks."""
    width, height = int(pick(rng, (1008, 1024, 1040, 1030))), int(rng.integers(2, 6))
    return (width, height), (2 * width, 2 * height) if chance(rng, 0.5) else (width // 2, 3 * height)


SIZES: dict[str, tuple[float, Callable[[Rng], tuple[Size, Size]]]] = {  # with how often they are drawn
    "enlarged": (0.5, _enlarged),
    "twice": (0.1, _twice),
    "about twice": (0.08, lambda rng: _times(rng, 2)),
    "a third more": (0.06, lambda rng: _times(rng, 4 / 3)),
    "one axis": (0.06, _one_axis),
    "smaller": (0.05, _smaller),
    "same": (0.06, _same),
    "tiny": (0.06, _tiny),
    "large": (0.01, _large),
    "long": (0.02, _long),
}


def _pick_name(rng: Rng, weights: dict[str, Any]) -> str:
    shares = np.cumsum([weight for weight, _ in weights.values()])
    return list(weights)[int(np.searchsorted(shares, rng.random() * shares[-1], side="right"))]


# -------------------------------------------------------------------------------------------------------------- heat


@dataclass(frozen=True)
class Canvas:
    """What one map of one case is drawn on. people: (P, 2) in 0..1 across the map; tags: (P,)."""

    rng: Rng
    count: int
    width: int
    height: int
    dtype: type[np.floating[Any]]
    threshold: float
    people: Array
    tags: Array

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.count, self.height, self.width

    def grid(self) -> tuple[Array, Array]:
        """y (H, 1) and x (1, W)."""
        return np.arange(self.height)[:, None], np.arange(self.width)[None]

    def numbers(self, low: float, high: float) -> Array:
        """One for each map: (K, 1, 1)."""
        return self.rng.uniform(low, high, (self.count, 1, 1))

    def blocks(self, values: Array, side: int) -> Array:
        """Rectangles of values drawn from ``values``."""
        coarse = self.rng.choice(values, (self.count, -(-self.height // side), -(-self.width // side)))
        return np.repeat(np.repeat(coarse, side, axis=1), side, axis=2)[:, : self.height, : self.width]

    def neighbours(self, value: float) -> Array:
        """A number of the maps' type and those next to it."""
        at = self.dtype(value)
        return np.array([np.nextafter(at, self.dtype(-1e4)), at, np.nextafter(at, self.dtype(1e4))])


def _gaussians(c: Canvas, sigma: tuple[float, float] = (0.7, 3.0)) -> Array:
    """One for each person, near its place, some missing; each as high as it likes."""
    y, x = np.arange(c.height), np.arange(c.width)
    at = c.people[None] + c.rng.normal(0, 0.1, (c.count, len(c.people), 2))
    if chance(c.rng, 0.2):
        at = np.rint(at * 8) / 8
    peaks = c.rng.uniform(0.05, 1.0, (c.count, len(c.people))) * (c.rng.random((c.count, len(c.people))) < 0.85)
    width = 2 * c.rng.uniform(*sigma) ** 2
    rows = peaks[..., None] * np.exp(-((y - at[..., 1:] * c.height + 0.5) ** 2) / width)
    columns = np.exp(-((x - at[..., :1] * c.width + 0.5) ** 2) / width)
    return (rows[..., :, None] * columns[..., None, :]).max(axis=1, initial=0)


def _like_a_network(c: Canvas) -> Array:
    side = int(pick(c.rng, (4, 8, 16)))
    return _gaussians(c) + c.blocks(c.rng.normal(0, 0.012 * 10 ** c.rng.uniform(-1, 1), 20), side)


def _ridges(c: Canvas) -> Array:
    """Thin, slanted, of almost one height."""
    y, x = c.grid()
    angle = c.numbers(0, np.pi) if chance(c.rng, 0.6) else np.full((c.count, 1, 1), np.pi / 4 * c.rng.integers(4))
    along = (x - c.width * c.numbers(0, 1)) * np.cos(angle) + (y - c.height * c.numbers(0, 1)) * np.sin(angle)
    across = (x - c.width * c.numbers(0, 1)) * np.sin(angle) - (y - c.height * c.numbers(0, 1)) * np.cos(angle)
    slope = 10 ** c.rng.uniform(-9, -1) if chance(c.rng, 0.7) else 0.0
    return c.numbers(0.1, 1) * np.exp(-(across**2) / c.rng.uniform(0.1, 4)) * (1 + slope * np.sin(along / 3))


def _straight_ridges(c: Canvas) -> Array:
    """Along the axes: every pixel on top is a peak but for slopes and rounding."""
    y, x = c.grid()
    slope = 10 ** c.rng.uniform(-9, -2) if chance(c.rng, 0.6) else 0.0
    maps = np.zeros(c.shape)
    for one in maps:
        if chance(c.rng, 0.5):
            one[int(c.rng.integers(c.height)), :] = c.rng.random() * (1 + slope * x[0])
        else:
            one[:, int(c.rng.integers(c.width))] = c.rng.random() * (1 + slope * y[:, 0])
    return maps


def _saddles(c: Canvas) -> Array:
    y, x = c.grid()
    dx, dy = x - c.width * c.numbers(0, 1), y - c.height * c.numbers(0, 1)
    twist, bend = (c.rng.choice((-1, 1)) * 10 ** c.rng.uniform(-8, -1) for _ in range(2))
    return c.numbers(0.1, 1) + twist * dx * dy + (bend * (dx**2 - dy**2) if chance(c.rng, 0.5) else 0)


def _slopes(c: Canvas) -> Array:
    """Tilted by down to less than a rounding error a pixel, some of them broken by steps."""
    y, x = c.grid()
    across, down = (c.rng.choice((-1, 0, 1)) * 10 ** c.rng.uniform(-10, -1) for _ in range(2))
    step = c.blocks(np.array([0, 0, 1]) * 10 ** c.rng.uniform(-8, -1), int(c.rng.integers(1, 9)))
    return c.numbers(0.1, 1) + across * x + down * y + (step if chance(c.rng, 0.5) else 0)


def _last_bits(c: Canvas) -> Array:
    """Plateaus of numbers next to each other."""
    value = pick(c.rng, (0.5, 1.0, 0.1, c.threshold, float(c.rng.random())))
    return c.blocks(c.neighbours(value), int(pick(c.rng, (1, 1, 2, 5, 9))))


def _quantised(c: Canvas) -> Array:
    steps = pick(c.rng, (8, 64, 127))
    return np.rint(_like_a_network(c) * steps) / steps


def _almost_level(c: Canvas) -> Array:
    noise = 10 ** c.rng.uniform(-9, -2) if chance(c.rng, 0.8) else 0.0
    return c.numbers(-0.2, 1) + noise * c.rng.normal(size=c.shape)


def _checks(c: Canvas) -> Array:
    y, x = c.grid()
    side = int(c.rng.integers(1, 4))
    low, high = c.rng.uniform(-0.5, 1, 2)
    return np.broadcast_to(np.where((x // side + y // side) % 2, low, high), c.shape).copy()


def _at_the_threshold(c: Canvas) -> Array:
    """Peaks at it and next to it, on lower ground."""
    near = c.neighbours(c.threshold)
    if chance(c.rng, 0.5):
        return np.where(c.rng.random(c.shape) < 0.1, c.rng.choice(near, c.shape), 0.5 * c.threshold)
    maps = _gaussians(c)
    highest = maps.max(axis=(1, 2), keepdims=True)
    return np.where(maps == highest, c.rng.choice(near, (c.count, 1, 1)), maps / np.maximum(highest, 1e-9) * near[0])


def _below_zero(c: Canvas) -> Array:
    return _gaussians(c) - c.rng.random() * (c.rng.random(c.shape) if chance(c.rng, 0.5) else 1)


def _zeros(c: Canvas) -> Array:
    tiny = float(np.finfo(c.dtype).smallest_subnormal)
    values = pick(c.rng, ((0.0, -0.0), (0.0, -0.0, tiny, -tiny), (-0.0, tiny, 2 * tiny, 3 * tiny), (-0.0, -tiny)))
    return c.blocks(np.array(values), int(pick(c.rng, (1, 1, 3))))


def _subnormal(c: Canvas) -> Array:
    scale = 200 * float(np.finfo(c.dtype).smallest_subnormal)
    return scale * (_gaussians(c) if chance(c.rng, 0.5) else c.rng.random(c.shape))


def _huge(c: Canvas) -> Array:
    scale = pick(c.rng, (1e4, 6e4) if c.dtype is np.float16 else (1e4, 1e20, 1e29, 1e30, 3e38))
    maps = _gaussians(c) - 0.1 if chance(c.rng, 0.5) else c.rng.normal(size=c.shape)
    return np.clip(maps, -1, 1) * scale


def _noise(c: Canvas) -> Array:
    return c.rng.random(c.shape) * c.numbers(0, 1)


def _lone(c: Canvas) -> Array:
    """Single cells, most of them at the edges."""
    maps = np.full(c.shape, float(pick(c.rng, (0.0, -0.0, -0.3, 0.05, c.threshold))))
    for one in maps:
        for _ in range(int(c.rng.integers(0, 6))):
            row = int(pick(c.rng, (0, c.height - 1, int(c.rng.integers(c.height)))))
            column = int(pick(c.rng, (0, c.width - 1, int(c.rng.integers(c.width)))))
            one[row, column] = pick(c.rng, (0.5, 0.5, 1.0, float(c.rng.random())))
    return maps


HEATS: dict[str, tuple[float, Callable[[Canvas], Array]]] = {
    "network": (4, _like_a_network),
    "sharp": (1, lambda c: _gaussians(c, (0.2, 0.6))),
    "ridges": (2, _ridges),
    "straight ridges": (1, _straight_ridges),
    "saddles": (1.5, _saddles),
    "slopes": (1.5, _slopes),
    "last bits": (1.5, _last_bits),
    "quantised": (1.5, _quantised),
    "almost level": (1, _almost_level),
    "checks": (0.5, _checks),
    "at the threshold": (1, _at_the_threshold),
    "below zero": (1, _below_zero),
    "zeros": (0.5, _zeros),
    "subnormal": (0.5, _subnormal),
    "huge": (0.7, _huge),
    "noise": (0.7, _noise),
    "lone": (1, _lone),
}


# --------------------------------------------------------------------------------------------------------------- tags


def _of_the_nearest(c: Canvas) -> Array:
    """Each person's own around its place; a flat map for all joints."""
    y, x = c.grid()
    distance = [(x - at[0] * c.width) ** 2 + (y - at[1] * c.height) ** 2 for at in c.people]
    nearest = np.argmin(distance, axis=0) if distance else np.zeros((c.height, c.width), np.int64)
    tags = c.tags if len(c.tags) else np.zeros(1)
    return np.broadcast_to(tags[nearest], c.shape).copy()


def _places(c: Canvas) -> Array:
    y, x = c.grid()
    across, down = pick(c.rng, ((16, 32), (16, 16), (4, -8), (1, 64), (256, 1024)))
    return np.broadcast_to(x / across + y / down, c.shape).copy()


def _half_steps(c: Canvas) -> Array:
    """Areas or whole maps whose tags are as far from each other as where a distance is rounded up or down; enlarged,
    they are so but for rounding."""
    steps = np.array(pick(c.rng, ((0, 0, 1.5), (0, 1.5, -1.5, 3.5), (-1, -0.5, 0, 0.5, 1))))
    if chance(c.rng, 0.5):
        return np.broadcast_to(c.rng.choice(steps, (c.count, 1, 1)), c.shape).copy()
    return c.blocks(steps, int(c.rng.integers(2, 13)))


def _huge_tags(c: Canvas) -> Array:
    scale = pick(c.rng, (1e4, 6e4) if c.dtype is np.float16 else (1e4, 1e9, 1e19, 3e38))
    return np.clip(c.rng.normal(size=c.shape), -1, 1) * scale


TAGS: dict[str, tuple[float, Callable[[Canvas], Array]]] = {
    "one a person": (4, _of_the_nearest),
    "wavering": (2, lambda c: _of_the_nearest(c) + 0.05 * c.rng.normal(size=c.shape)),
    "places": (2, _places),
    "noise": (1, lambda c: c.rng.normal(size=c.shape) * pick(c.rng, (0.1, 1, 10))),
    "steps": (0.5, lambda c: c.rng.choice(np.arange(-4, 5) / 2, c.shape)),
    "half steps": (1, _half_steps),
    "blocks": (1, lambda c: c.blocks(c.rng.normal(size=4) * 3, int(c.rng.integers(1, 12)))),
    "equal": (1, lambda c: np.full(c.shape, float(pick(c.rng, (0.0, -0.0, 1.0, 3.5))))),
    "last bits": (0.5, lambda c: c.blocks(c.neighbours(pick(c.rng, (0.5, 1.5, 2.5))), int(c.rng.integers(1, 6)))),
    "huge": (0.5, _huge_tags),
    "subnormal": (0.3, lambda c: c.rng.normal(size=c.shape) * 1e-6),
}


# -------------------------------------------------------------------------------------------------------------- cases


@dataclass(frozen=True)
class Styles:
    """What all maps of a case have in common."""

    params: DecodeParams
    joints: int
    tag_maps: int
    heat: str
    tags: str
    people: Array
    person_tags: Array

    def draw(self, rng: Rng, size: Size, with_tags: bool, dtype: type[np.floating[Any]]) -> Array:
        """One stage's array."""
        threshold = self.params.detection_threshold
        parts = []
        for count, style in (
            (self.joints, HEATS[self.heat][1]),
            (self.tag_maps if with_tags else 0, TAGS[self.tags][1]),
        ):
            if count:
                parts.append(style(Canvas(rng, count, *size, dtype, threshold, self.people, self.person_tags)))
        with np.errstate(over="ignore", under="ignore"):
            return np.concatenate(parts).astype(dtype)


def _spoil(rng: Rng, maps: Array) -> str:
    """Plants a number that is not finite, or one far from all others: one cell, one map or all of them."""
    far = 3e4 if maps.dtype == np.float16 else pick(rng, (1e4, 1e15, 1e28, 9e29, 1e30, 2e38))
    bad, name = (pick(rng, hostile.BAD), "bad") if chance(rng, 0.6) else (rng.choice((-1, 1)) * far, "far")
    extent = rng.random()
    if extent < 0.6:
        maps[tuple(int(rng.integers(side)) for side in maps.shape)] = bad
        return f"{name} cell"
    if extent < 0.85:
        maps[int(rng.integers(len(maps)))] = bad
        return f"{name} map"
    maps[...] = bad
    return f"all {name}"


def _mirrored(rng: Rng, outputs: list[list[Array]], draw: Callable[[], list[list[Array]]], like: Any) -> Any:
    """The flipped outputs and what they are called."""
    kind = rng.random()
    if kind < 0.2:
        return draw(), "other"
    turned = [like(stages) for stages in outputs]
    if kind < 0.5:
        return turned, "alike"
    for maps in (maps for stages in turned for maps in stages):
        if kind < 0.75:
            maps += (0.02 * rng.normal(size=maps.shape)).astype(maps.dtype)
        elif kind < 0.9:  # the average is level but for rounding
            np.subtract(pick(rng, (0.5, 1, 2)), maps, out=maps)
        else:
            np.nextafter(maps, maps.dtype.type(1), out=maps, where=rng.random(maps.shape) < 0.5)
    return turned, "near" if kind < 0.75 else "opposite" if kind < 0.9 else "a bit off"


def _params(rng: Rng, target: Size) -> DecodeParams:
    params = hostile.random_params(rng).replace(
        detection_threshold=pick(rng, THRESHOLDS),
        nms_kernel=pick(rng, NMS_KERNELS),
        project2image=chance(rng, 0.93),
        restore_heatmap_size=chance(rng, 0.85),
    )
    return params.replace(input_size=target) if params.mode == "mmpose1" else params


def random_case(rng: Rng) -> tuple[str, Inputs]:
    """One image in words, and as arguments of `hrnetae.reference.decode`."""
    sizes = _pick_name(rng, SIZES)
    first, target = SIZES[sizes][1](rng)
    params = _params(rng, target)
    mmpose1 = params.mode == "mmpose1"
    several = not mmpose1 and sizes != "large" and chance(rng, 0.1)
    stage_count = 1 if mmpose1 or sizes == "large" else pick(rng, (1,) * 9 + (2, 2, 3))
    scales = [1.0, *rng.choice([0.5, 2.0], int(rng.integers(3)), replace=False)] if several else [1.0]
    rng.shuffle(scales)
    tag_stage = int(rng.integers(stage_count))
    values = max(target[0] * target[1], first[0] * first[1] << 2 * (stage_count - 1))
    skeleton = hostile.random_skeleton(rng, min(20, max(1, MOST_VALUES // values)))
    joints = len(skeleton)
    people = rng.random((int(rng.integers(0, 7)), 2))
    styles = Styles(
        params,
        joints,
        joints if params.tag_per_joint else 1,
        _pick_name(rng, HEATS),
        _pick_name(rng, TAGS),
        people,
        rng.permutation(len(people)) * 1.6 + rng.uniform(-0.25, 0.25, len(people)),
    )

    def draw() -> list[list[Array]]:
        dtype = np.float16 if chance(rng, 0.6) else np.float32
        outputs = []
        for scale in scales:
            base = [max(1, round(side * scale)) for side in first]
            stages = [(base[0] << stage, base[1] << stage) for stage in range(stage_count)]
            outputs.append([styles.draw(rng, size, stage == tag_stage, dtype) for stage, size in enumerate(stages)])
        return outputs

    outputs = draw()
    words = [sizes, styles.heat, f"tags {styles.tags}", str(outputs[0][0].dtype)]
    mirrored: list[list[Array]] | None = None
    with np.errstate(all="ignore"):
        if chance(rng, 0.65):
            mirrored, name = _mirrored(
                rng, outputs, draw, lambda stages: hostile.mirror_image(stages, skeleton, params.tag_per_joint)
            )
            words.append(f"flip {name}")
    if chance(rng, 0.1):
        side = pick(rng, (outputs, mirrored)) if mirrored else outputs
        words.append(_spoil(rng, pick(rng, pick(rng, side))))
    words += [params.mode] * mmpose1 + ["udp"] * params.use_udp + ["align_corners"] * params.align_corners
    words += [f"{stage_count} stages"] * (stage_count > 1) + [f"{len(scales)} scales"] * (len(scales) > 1)
    scaled = len(scales) > 1
    return ", ".join(words), {
        "output": outputs if scaled else outputs[0],
        "flipped": None if mirrored is None else mirrored if scaled else mirrored[0],
        "image_size": hostile.random_size(rng, 60) if mmpose1 else target,
        "params": params,
        "skeleton": skeleton,
        "scales": tuple(float(scale) for scale in scales) if scaled else None,
    }
