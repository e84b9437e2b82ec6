"""The steps of the decoder on dense arrays: arguments checked here, loops in the kernels.

They compose: ``heat, tags = project(output, flipped, image_size=(w, h))``, ``persons =
group_by_tag(*top_k(heatmap_nms(heat), tags))``, ``persons = refine(adjust(persons, heat), heat, tags)``.
:class:`hrnetae.Decoder` does the same in one call, faster. The method is that of Newell et al. 2017, "Associative
Embedding"; the details are those of mmpose's decoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hrnetae import _kernels
from hrnetae.outputs import NetworkOutput, arrange, dense
from hrnetae.params import MAX_SIDE, DecodeParams, check_size
from hrnetae.skeleton import COCO17, Skeleton, default_joint_order
from hrnetae.types import TopK

Floats = npt.NDArray[np.float32]


def project(
    output: NetworkOutput,
    flipped: NetworkOutput | None = None,
    *,
    image_size: tuple[int, int],
    params: DecodeParams | None = None,
    skeleton: Skeleton = COCO17,
    scales: Sequence[float] | None = None,
) -> tuple[Floats, Floats]:
    """Undoes and averages the flip, averages stages and scales, and resizes the maps.

    output, flipped, scales: as for :meth:`hrnetae.Decoder.decode`.
    Returns heatmaps (K, H, W) and tags (K, H, W, L), float32; K is 1 in the tags if they are shared by all joints. A
    heat that is not finite is -inf.
    """
    params = _settings(params)
    image_size = check_size("image_size", image_size)
    maps = arrange(output, flipped, params, skeleton, scales)
    heat, tags = _kernels.project(maps, *joint_arrays(skeleton), params, image_size)
    return heat, tags.transpose(0, 2, 3, 1)


def heatmap_nms(heatmaps: npt.NDArray[Any], kernel: int = 5) -> Floats:
    """Keeps the pixels that equal the maximum of their kernel x kernel window; all others become 0.

    heatmaps: (K, H, W) float32 or float16. Returns (K, H, W) float32. All pixels of a plateau are kept. NaN and
    infinities never are, and count as below everything.
    """
    heat = _heat(heatmaps)
    kernel = DecodeParams(nms_kernel=kernel).nms_kernel
    peaks = np.empty_like(heat)
    _kernels.heatmap_nms(heat, kernel, peaks)
    return peaks


def top_k(heatmaps: npt.NDArray[Any], tags: npt.NDArray[Any], max_num_people: int = 30) -> TopK:
    """Per joint the ``max_num_people`` largest values and the tags that stand there.

    heatmaps: (K, H, W) float32 or float16, after :func:`heatmap_nms`. tags: (K, H, W, L) or, shared by all joints,
    (1, H, W, L). Equal values come in the order of y, then x. A map of fewer pixels gives as many as it has.
    """
    heat = _heat(heatmaps)
    tag_maps = _tags(tags, heat)
    count = min(DecodeParams(max_num_people=max_num_people).max_num_people, heat[0].size)
    joints, length = len(heat), tag_maps.shape[3]
    found = TopK(
        np.empty((joints, count), np.float32),
        np.empty((joints, count), np.int32),
        np.empty((joints, count), np.int32),
        np.empty((joints, count, length), np.float32),
    )
    _kernels.top_k(heat, tag_maps, *found)
    return found


def group_by_tag(
    values: npt.NDArray[Any],
    x: npt.NDArray[Any],
    y: npt.NDArray[Any],
    tags: npt.NDArray[Any],
    params: DecodeParams | None = None,
    joint_order: Sequence[int] | None = None,
) -> Floats:
    """Groups candidates into people, joint by joint.

    values, x, y: (K, M), best first; x and y in map pixels. tags: (K, M, L). What :func:`top_k` returns.
    joint_order: the order in which joints are visited; None for the reference's.
    Returns (P, K, 3 + L) float32: x, y, value, tags; zeros where a person lacks a joint.
    """
    value_array = _numbers("values", values, np.float32, 2)
    joints, count = value_array.shape
    if joints < 1 or count < 1:
        raise ValueError(f"values: shape {value_array.shape}, expected (K, M) with at least one joint and candidate")
    x_array, y_array = (_numbers(name, a, np.int32, 2) for name, a in (("x", x), ("y", y)))
    tag_array = _numbers("tags", tags, np.float32, 3)
    for name, shape in (("x", x_array.shape), ("y", y_array.shape), ("tags", tag_array.shape[:2])):
        if shape != value_array.shape:
            raise ValueError(f"{name}: shape {shape}, expected the (K, M) of values, {value_array.shape}")
    if tag_array.shape[2] < 1:
        raise ValueError(f"tags: shape {tag_array.shape}, expected (K, M, L) with at least one tag value")
    if not np.isfinite(value_array).all():
        raise ValueError("values: NaN or infinity, expected finite numbers (heatmap_nms gives such)")
    if (value_array[:, 1:] > value_array[:, :-1]).any():
        raise ValueError("values: rising within a joint, expected the best candidate first")
    if joint_order is not None and not isinstance(joint_order, Sequence):
        raise TypeError(f"joint_order: {joint_order!r}, expected a sequence of joint indices")
    order = default_joint_order(joints) if joint_order is None else tuple(joint_order)
    if sorted(order) != list(range(joints)):
        raise ValueError(f"joint_order: {order}, expected every index of 0..{joints - 1} once")
    params = DecodeParams() if params is None else params
    persons: Floats = _kernels.group_by_tag(value_array, x_array, y_array, tag_array, np.array(order, np.int32), params)
    return persons


def adjust(persons: npt.NDArray[Any], heatmaps: npt.NDArray[Any], params: DecodeParams | None = None) -> Floats:
    """Moves joints to sub-pixel positions: the quarter step or, with ``use_udp``, the DARK step.

    persons: (P, K, 3 + L) float32 at whole map pixels, from :func:`group_by_tag`; heatmaps: (K, H, W), before the NMS.
    Returns a new array. With mode "mmpose1" and ``adjust`` off only the centre shift is made.
    """
    heat = _heat(heatmaps)
    moved = _persons(persons, heat)
    _kernels.adjust(moved, heat, _settings(params))
    return moved


def refine(
    persons: npt.NDArray[Any], heatmaps: npt.NDArray[Any], tags: npt.NDArray[Any], params: DecodeParams | None = None
) -> Floats:
    """Fills in the missing joints of every person, where the heat is high and the tag near the person's.

    persons: (P, K, 3 + L) float32, from :func:`adjust`; heatmaps: (K, H, W), before the NMS; tags: (K or 1, H, W, L).
    Returns a new array.
    """
    heat = _heat(heatmaps)
    filled = _persons(persons, heat)
    _kernels.refine(filled, heat, _tags(tags, heat), _settings(params))
    return filled


# For a skeleton without sigmas: about the middle of COCO's.
_PLAIN_SIGMA = 0.07


def joint_arrays(skeleton: Skeleton) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    """A skeleton's flip index and joint order as the kernels take them, (K,) int32."""
    sigmas = skeleton.sigmas or (_PLAIN_SIGMA,) * len(skeleton)
    return np.array(skeleton.flip_index, np.int32), np.array(skeleton.joint_order, np.int32), np.array(sigmas)


def _settings(params: DecodeParams | None) -> DecodeParams:
    if params is None:
        return DecodeParams()
    if not isinstance(params, DecodeParams):
        raise TypeError(f"params: {type(params).__name__}, expected DecodeParams")
    return params


def _numbers(name: str, array: npt.NDArray[Any], dtype: type[np.generic], ndim: int) -> npt.NDArray[Any]:
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name}: {type(array).__name__}, expected a NumPy array")
    if array.dtype.kind not in "fiu" or (dtype is np.int32 and array.dtype.kind == "f"):
        raise TypeError(f"{name}: dtype {array.dtype}, expected {'whole numbers' if dtype is np.int32 else 'floats'}")
    if array.ndim != ndim:
        raise ValueError(f"{name}: shape {array.shape}, expected {ndim} dimensions")
    return dense(array.astype(dtype, copy=False))


def _heat(heatmaps: npt.NDArray[Any]) -> Floats:
    _check_floats("heatmaps", heatmaps)
    if heatmaps.ndim != 3 or not all(1 <= side <= MAX_SIDE for side in heatmaps.shape):
        raise ValueError(f"heatmaps: shape {heatmaps.shape}, expected (K, H, W)")
    return dense(heatmaps.astype(np.float32, copy=False))


def _tags(tags: npt.NDArray[Any], heat: Floats) -> Floats:
    _check_floats("tags", tags)
    joints, height, width = heat.shape
    shape = tags.shape
    if len(shape) != 4 or shape[0] not in (1, joints) or shape[1:3] != (height, width) or shape[3] < 1:
        expected = f"({joints} or 1, {height}, {width}, L), the heatmaps' K, H and W"
        raise ValueError(f"tags: shape {shape}, expected {expected}")
    # Any strides will do for the kernels, but they must be whole floats.
    if tags.dtype == np.float32 and tags.flags.aligned and all(step % 4 == 0 for step in tags.strides):
        return tags
    return dense(tags.astype(np.float32, copy=False))


def _persons(persons: npt.NDArray[Any], heat: Floats) -> Floats:
    _check_floats("persons", persons)
    if persons.ndim != 3 or persons.shape[1] != len(heat) or persons.shape[2] < 4:
        raise ValueError(f"persons: shape {persons.shape}, expected (P, {len(heat)}, 3 + L), the heatmaps' K")
    return np.array(persons, dtype=np.float32, order="C")


def _check_floats(name: str, array: npt.NDArray[Any]) -> None:
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name}: {type(array).__name__}, expected a NumPy array")
    if array.dtype.kind != "f" or array.dtype.itemsize not in (2, 4):
        raise TypeError(f"{name}: dtype {array.dtype}, expected float32 or float16")
