"""Network outputs as the kernels take them: arguments checked, scales sorted, stages told apart."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from hrnetae.params import MAX_SIDE, DecodeParams
from hrnetae.skeleton import Skeleton

Maps: TypeAlias = npt.NDArray[Any]
# One array, or one per stage; with several test scales a sequence of these, one per scale.
NetworkOutput: TypeAlias = Maps | Sequence[Any]


class OutputMaps(NamedTuple):
    """One image's outputs in the order that the kernels read them.

    plain, flipped: scales x stages arrays (channels, height, width), float32 or float16, without gaps; scales in
        descending order. flipped is None without flip test.
    tag_scale, tag_stage: where the tag maps are.
    """

    plain: list[Maps]
    flipped: list[Maps] | None
    scales: int
    stages: int
    tag_scale: int
    tag_stage: int


def arrange(
    output: NetworkOutput,
    flipped: NetworkOutput | None,
    params: DecodeParams,
    skeleton: Skeleton,
    scales: Sequence[float] | None = None,
) -> OutputMaps:
    """Checks one image's outputs and brings them into order; copies only what has gaps or a foreign byte order.

    output, flipped: (channels, height, width) or (1, channels, height, width), or a sequence of these, one per stage;
        with ``scales`` a sequence with one such entry per scale.
    Raises TypeError or ValueError that names the argument, what came and what was expected.
    """
    usual = _arrange_usual(output, flipped, params, skeleton) if scales is None else None
    if usual is not None:
        return usual
    order, tag_scale = _scale_order(scales, params)
    by_scale = [_stages(f"output{where}", entry) for where, entry in _entries("output", output, scales, order)]
    stages = len(by_scale[0])
    if any(len(entry) != stages for entry in by_scale):
        counts = [len(entry) for entry in by_scale]
        raise ValueError(f"output: {counts} stages by scale, expected the same number for each")
    tag_stage = -1
    for stage in range(stages):
        has_tags = [_check_channels(f"output of stage {stage}", entry[stage], params, skeleton) for entry in by_scale]
        if has_tags[tag_scale] and tag_stage >= 0:
            raise ValueError(f"output: tag maps in stages {tag_stage} and {stage}, expected them in one stage")
        tag_stage = stage if has_tags[tag_scale] else tag_stage
    if tag_stage < 0:
        raise ValueError(f"output: no stage has tag maps, expected one with {_with_tags(params, skeleton)} channels")
    if params.mode == "mmpose1" and (stages > 1 or len(by_scale) > 1 or not params.tag_per_joint):
        raise ValueError("output: mode 'mmpose1' decodes one stage of one scale with one tag map per joint")
    mirrored = None
    if flipped is not None:
        mirrored = [_stages(f"flipped{where}", entry) for where, entry in _entries("flipped", flipped, scales, order)]
        _check_same_shapes(by_scale, mirrored)
    return OutputMaps(
        plain=[maps for entry in by_scale for maps in entry],
        flipped=None if mirrored is None else [maps for entry in mirrored for maps in entry],
        scales=len(by_scale),
        stages=stages,
        tag_scale=tag_scale,
        tag_stage=tag_stage,
    )


# What most arrays are; others of their kind, such as those of another byte order, are looked at more closely.
_USUAL = (np.dtype(np.float16), np.dtype(np.float32))


def _arrange_usual(
    output: NetworkOutput, flipped: NetworkOutput | None, params: DecodeParams, skeleton: Skeleton
) -> OutputMaps | None:
    """The usual case, told at once: one stage of arrays that the kernels can read as they are. None for any other,
    right or wrong."""
    plain = _usual_maps(output)
    if plain is None or plain.shape[0] != _with_tags(params, skeleton):
        return None
    if params.mode == "mmpose1" and not params.tag_per_joint:
        return None
    if flipped is None:
        return OutputMaps([plain], None, 1, 1, 0, 0)
    mirrored = _usual_maps(flipped)
    if mirrored is None or mirrored.shape != plain.shape:
        return None
    return OutputMaps([plain], [mirrored], 1, 1, 0, 0)


def _usual_maps(maps: Any) -> Maps | None:
    """What _plain_maps makes of an array that needs no copy; None for any other."""
    if type(maps) is not np.ndarray or maps.dtype not in _USUAL:
        return None
    if maps.ndim == 4 and len(maps) == 1:
        maps = maps[0]
    if maps.ndim != 3:
        return None
    _, height, width = maps.shape
    flags = maps.flags
    usual = 0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE and flags.c_contiguous and flags.aligned
    return maps if usual else None


def _scale_order(scales: Sequence[float] | None, params: DecodeParams) -> tuple[list[int], int]:
    """The scales' indices in descending order, and the place of the scale that gives the tags."""
    if scales is None:
        return [0], 0
    if not isinstance(scales, Sequence):
        raise TypeError(f"scales: {scales!r}, expected a sequence of numbers")
    values = list(scales)
    for value in values:
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 < value < float("inf"):
            raise ValueError(f"scales: {scales!r}, expected positive numbers")
    if not values or len(set(values)) != len(values):
        raise ValueError(f"scales: {scales!r}, expected one or more different numbers")
    order = sorted(range(len(values)), key=lambda i: -values[i])
    if len(values) == 1:
        return order, 0
    if 1 not in values:
        raise ValueError(f"scales: {scales!r}, expected 1 among them: its tags are the ones used")
    return order, order.index(values.index(1))


def _entries(
    name: str, output: NetworkOutput, scales: Sequence[float] | None, order: list[int]
) -> list[tuple[str, NetworkOutput]]:
    if scales is None:
        return [("", output)]
    if isinstance(output, np.ndarray) or not isinstance(output, Sequence) or len(output) != len(order):
        count = len(output) if isinstance(output, Sequence) else type(output).__name__
        raise ValueError(f"{name}: {count}, expected a list with one entry for each of the {len(order)} scales")
    return [(f" of scale {scales[i]}", output[i]) for i in order]


def _stages(name: str, entry: NetworkOutput) -> list[Maps]:
    if isinstance(entry, np.ndarray):
        return [_plain_maps(name, entry)]
    if not isinstance(entry, Sequence) or isinstance(entry, (str, bytes)):
        raise TypeError(f"{name}: {type(entry).__name__}, expected a NumPy array or a sequence of them, one per stage")
    if not entry:
        raise ValueError(f"{name}: an empty sequence, expected one array per stage")
    return [_plain_maps(f"{name}[{i}]", maps) for i, maps in enumerate(entry)]


def _plain_maps(name: str, maps: Any) -> Maps:
    """(channels, height, width) float32 or float16 without gaps, in this machine's byte order."""
    if not isinstance(maps, np.ndarray):
        raise TypeError(f"{name}: {type(maps).__name__}, expected a NumPy array")
    if maps.dtype.kind != "f" or maps.dtype.itemsize not in (2, 4):
        raise TypeError(f"{name}: dtype {maps.dtype}, expected float32 or float16")
    shape = maps.shape
    if len(shape) == 4 and shape[0] == 1:
        maps = maps[0]
    if maps.ndim != 3 or not all(1 <= side <= MAX_SIDE for side in maps.shape):
        raise ValueError(f"{name}: shape {shape}, expected (channels, height, width) or (1, channels, height, width)")
    if not maps.dtype.isnative:
        maps = maps.astype(maps.dtype.newbyteorder("="))
    return dense(maps)


def dense(array: Maps) -> Maps:
    """The array itself, or a copy of it without gaps at an address that its numbers may have (a file mapped at an odd
    place has not)."""
    return array if array.flags.c_contiguous and array.flags.aligned else np.require(array, requirements=("C", "A"))


def _with_tags(params: DecodeParams, skeleton: Skeleton) -> int:
    return len(skeleton) + (len(skeleton) if params.tag_per_joint else 1)


def _check_channels(name: str, maps: Maps, params: DecodeParams, skeleton: Skeleton) -> bool:
    """True if the stage has tag maps."""
    found, joints, both = int(maps.shape[0]), len(skeleton), _with_tags(params, skeleton)
    if found not in (joints, both):
        raise ValueError(
            f"{name}: {found} channels, expected {both} (heatmaps and tag maps) or {joints} (heatmaps alone) "
            f"for {skeleton.name} with tag_per_joint={params.tag_per_joint}"
        )
    return found == both


def _check_same_shapes(plain: list[list[Maps]], flipped: list[list[Maps]]) -> None:
    found = [[maps.shape for maps in entry] for entry in flipped]
    expected = [[maps.shape for maps in entry] for entry in plain]
    if found != expected:
        raise ValueError(f"flipped: shapes {found}, expected those of output, {expected}")
