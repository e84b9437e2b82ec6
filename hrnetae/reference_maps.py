"""Steps 0 to 2 of the reference decoder: from network outputs to the dense maps that people are looked for in.

Part of `hrnetae.reference`, which explains the symbols and re-exports what is public here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.params import DecodeParams, check_size
from hrnetae.skeleton import Skeleton

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Ints = NDArray[np.int64]
Size = tuple[int, int]  # width, height
Scales = Sequence[float] | None


def undo_flip(maps: Float32, channel_index: Sequence[int]) -> Float32:
    """The mirrored picture's maps (C, h, w), turned back: mirrored along x, left and right joints exchanged.

    channel_index: C indices, `Skeleton.flip_index`; (0,) for a tag map that all joints share.
    """
    turned: Float32 = maps[list(channel_index), :, ::-1]
    return turned


@np.errstate(all="ignore")
def fma(a: Any, b: Any, c: Any) -> Float32:
    """a * b + c of float32 arrays, rounded once, as a fused multiply-add does it.

    In float64 the product is exact, but the sum is not: rounding it to 53 bits and then to 24 may go wrong where the
    first rounding lands on a tie of the second. TwoSum tells what the sum lost; putting that into the last bit
    ("round to odd": an inexact sum gets an odd last bit, from the truncated side) makes the second rounding right.
    For NaN and infinities the error term is NaN, which counts as "lost nothing".
    """
    product = np.multiply(a, b, dtype=np.float64)
    total: Float64 = product + c
    part = total - product
    error = (product - (total - part)) + (c - part)
    inexact = (error > 0) | (error < 0)
    rounded_away = inexact & ((error < 0) != (total < 0))
    bits = (total.view(np.int64) - rounded_away) | inexact
    result: Float32 = bits.view(np.float64).astype(np.float32)
    return result


def _bilinear_taps(size_in: int, size_out: int, align_corners: bool) -> tuple[Ints, Ints, Float32, Float32]:
    """For each of size_out places: its two neighbours in the source and their weights."""
    place = np.arange(size_out, dtype=np.float32)
    if align_corners:
        scale = np.float32(size_in - 1) / np.float32(size_out - 1) if size_out > 1 else np.float32(0)
        source = scale * place
    else:
        scale = np.float32(size_in) / np.float32(size_out)
        source = np.maximum(fma(scale, place + np.float32(0.5), np.float32(-0.5)), np.float32(0))
    first = np.minimum(source.astype(np.int64), size_in - 1)
    second = np.minimum(first + 1, size_in - 1)
    far = source - first.astype(np.float32)
    return first, second, np.float32(1) - far, far


@np.errstate(all="ignore")
def resize_bilinear(maps: Float32, size: Size, align_corners: bool = False) -> Float32:
    """Maps (C, h, w) float32, resized to size = (width, height); of that size already: returned as they are.

    Bit for bit what torch's vectorised interpolate gives, along x first. The fused multiply-adds matter: without
    them every second pixel differs in its last bit, and last bits decide which pixels of a plateau are peaks.
    """
    width, height = size
    if maps.shape[1:] == (height, width):
        return maps
    x0, x1, near_x, far_x = _bilinear_taps(maps.shape[2], width, align_corners)
    y0, y1, near_y, far_y = _bilinear_taps(maps.shape[1], height, align_corners)
    out = np.empty((len(maps), height, width), np.float32)
    for result, source in zip(out, maps, strict=True):
        rows = fma(near_x, source[:, x0], far_x * source[:, x1])
        result[:] = fma(near_y[:, None], rows[y0], far_y[:, None] * rows[y1])
    return out


def project(
    output: Any, flipped: Any, image_size: Size, params: DecodeParams, skeleton: Skeleton, scales: Scales = None
) -> tuple[Float32, Float32]:
    """Network outputs to dense maps: flip undone, resized, averaged over stages, flip and test scales.

    output: (2K, h, w) or (1, 2K, h, w), float16 or float32: K heatmaps, then K tag maps (one with
        ``tag_per_joint=False``); or a sequence of stages, of which one has tag maps and the others K heatmaps alone.
    flipped: the same of the mirrored input, or None.
    scales: test scales, in any order; output and flipped are then sequences with one entry a scale.

    Returns heatmaps (K, H, W) float32, non-finite pixels as -inf, and tags (K or 1, H, W, L) float32, as they are.
    W x H is the image size with ``project2image``, else the size of the last stage (of the largest scale). In
    "mmpose1" mode it is the network's input size, or the map's own with ``restore_heatmap_size=False``.
    """
    image_size = check_size("image_size", image_size)
    mmpose1 = params.mode == "mmpose1"
    entries = [(1.0, "output", output, flipped)] if scales is None else _sort_scales(output, flipped, scales)
    if mmpose1 and (len(entries) > 1 or not params.tag_per_joint):
        raise ValueError("mode: 'mmpose1', expected a single test scale and tag_per_joint=True with it")
    if len(entries) > 1 and all(scale != 1 for scale, *_ in entries):
        raise ValueError(f"scales: {scales}, expected 1.0 among them, for the tags are those of scale 1")
    heats: list[Float32] = []  # one a scale
    tag_maps: list[Float32] = []  # plain, mirrored
    for scale, name, plain, mirrored in entries:
        views = [_split_stages(name, plain, params, len(skeleton))]
        if mirrored is not None:
            stages, tag = _split_stages(name.replace("output", "flipped"), mirrored, params, len(skeleton))
            if [m.shape for m in (*stages, tag)] != [m.shape for m in (*views[0][0], views[0][1])]:
                raise ValueError(f"flipped: shapes other than those of {name}")
            tag = undo_flip(tag, skeleton.flip_index if params.tag_per_joint else (0,))
            views.append(([undo_flip(m, skeleton.flip_index) for m in stages], tag))
        if mmpose1 and len(views[0][0]) > 1:
            raise ValueError(f"{name}: {len(views[0][0])} stages, expected one in mode 'mmpose1'")
        height, width = views[0][0][-1].shape[1:]
        size = (width, height)
        if mmpose1 and params.restore_heatmap_size:
            size = params.input_size or (4 * width, 4 * height)
        elif params.project2image and not mmpose1:
            size = image_size
        # The order of the averages is part of the answer: stages, then flip, then scales, each rounded to float32.
        means = [_average([resize_bilinear(m, size, params.align_corners) for m in stages]) for stages, _ in views]
        heats.append(_average(means))
        if scale == 1 or len(entries) == 1:
            tag_maps = [tag for _, tag in views]
    size = (heats[0].shape[2], heats[0].shape[1])
    heat = _average([resize_bilinear(m, size, params.align_corners) for m in heats])
    tags = np.stack([resize_bilinear(m, size, params.align_corners) for m in tag_maps], axis=-1)
    return finite_or_below(heat), tags


def finest_heat(output: Any, flipped: Any, params: DecodeParams, skeleton: Skeleton, scales: Scales = None) -> Float32:
    """Heatmaps (K, h, w) of the last stage of the largest scale, as the network gave them, flip undone and averaged."""
    if scales is not None:
        _, _, output, flipped = _sort_scales(output, flipped, scales)[0]
    views = [_split_stages("output", output, params, len(skeleton))[0][-1]]
    if flipped is not None:
        mirrored = _split_stages("flipped", flipped, params, len(skeleton))[0][-1]
        views.append(undo_flip(mirrored, skeleton.flip_index))
    return finite_or_below(_average(views))


def first_stage_size(output: Any, params: DecodeParams, skeleton: Skeleton, scales: Scales = None) -> Size:
    """(width, height) of the maps of the first stage, of the largest scale."""
    if scales is not None:
        output = _sort_scales(output, None, scales)[0][2]
    height, width = _split_stages("output", output, params, len(skeleton))[0][0].shape[1:]
    return width, height


def _sort_scales(output: Any, flipped: Any, scales: Sequence[float]) -> list[tuple[float, str, Any, Any]]:
    """(scale, name for messages, output, flipped), largest scale first."""
    if not len(scales) or len(set(scales)) != len(scales) or not all(scale > 0 for scale in scales):
        raise ValueError(f"scales: {scales}, expected distinct positive numbers")
    flipped = [None] * len(scales) if flipped is None else flipped
    for name, entries in (("output", output), ("flipped", flipped)):
        if not isinstance(entries, (list, tuple)):
            raise TypeError(f"{name}: {type(entries).__name__}, expected a list with one entry per scale")
        if len(entries) != len(scales):
            raise ValueError(f"{name}: {len(entries)} entries, expected one for each of {len(scales)} scales")
    zipped = zip(scales, output, flipped, strict=True)
    return sorted(((float(s), f"output[{i}]", a, b) for i, (s, a, b) in enumerate(zipped)), key=lambda entry: -entry[0])


def _split_stages(name: str, output: Any, params: DecodeParams, joints: int) -> tuple[list[Float32], Float32]:
    """The heatmaps of every stage, and the tag maps of the only stage that has any, as float32."""
    both = joints + (joints if params.tag_per_joint else 1)
    heats: list[Float32] = []
    tags: list[Float32] = []
    for stage in output if isinstance(output, (list, tuple)) else [output]:
        if not isinstance(stage, np.ndarray) or stage.dtype not in (np.float16, np.float32):
            kind = getattr(stage, "dtype", type(stage).__name__)
            raise TypeError(f"{name}: {kind}, expected a float16 or float32 array, or a sequence of them")
        maps = stage[0] if stage.ndim == 4 and len(stage) == 1 else stage
        if maps.ndim != 3 or len(maps) not in (joints, both) or 0 in maps.shape:
            raise ValueError(f"{name}: shape {stage.shape}, expected {both} maps, or {joints} in a stage without tags")
        heats.append(maps[:joints].astype(np.float32))
        if len(maps) == both:
            tags.append(maps[joints:].astype(np.float32))
    if len(tags) != 1:
        raise ValueError(f"{name}: {len(tags)} stages with tag maps, expected one")
    return heats, tags[0]


@np.errstate(all="ignore")
def _average(maps: list[Float32]) -> Float32:
    total = maps[0]
    for further in maps[1:]:
        total = total + further
    return total / np.float32(len(maps))


def finite_or_below(heatmaps: Float32) -> Float32:
    """NaN and infinite pixels as -inf, below everything."""
    return np.where(np.isfinite(heatmaps), heatmaps, np.float32(-np.inf))
