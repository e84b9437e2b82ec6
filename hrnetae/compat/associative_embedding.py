"""The decoding half of mmpose 1.x's codec ``AssociativeEmbedding``: the same parameters, shapes and answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hrnetae import reference, steps
from hrnetae.compat.arrays import as_maps
from hrnetae.compat.parser_settings import renamed_params
from hrnetae.compat.strong_peaks import strong_peaks
from hrnetae.params import DecodeParams, check_size, check_whole

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

_NAMES = {
    "nms_kernel": "decode_nms_kernel",
    "detection_threshold": "decode_keypoint_thr",
    "tag_threshold": "decode_tag_thr",
    "max_num_people": "decode_topk",
    "center_shift": "decode_center_shift",
}


class AssociativeEmbedding:
    """Heatmaps and tag maps to people, as mmpose 1.x's codec decodes them; it does not encode.

    input_size, heatmap_size: (width, height) of the network's input and of the maps that are decoded. Coordinates are
        those of the maps times their ratio, so give the maps' own size; mmpose does not compare them either.
    decode_keypoint_order: the order in which joints are grouped; empty for the usual one (17 joints: head, torso,
        limbs). mmpose has no default here.
    decode_nms_kernel, decode_keypoint_thr, decode_tag_thr, decode_topk, decode_center_shift, decode_max_instances: as
        in mmpose. decode_max_instances: only the first so many persons are returned; None for all.
    use_udp: False; UDP decoding is not there. sigma, decode_gaussian_kernel: accepted, they say nothing about this.
    return_instance_scores: decoding returns a third value, as the releases of mmpose 1.x do: each person's mean value
        before missing joints are filled in.
    """

    support_batch_decoding = True

    def __init__(
        self,
        input_size: tuple[int, int],
        heatmap_size: tuple[int, int],
        sigma: float | None = None,
        use_udp: bool = False,
        decode_keypoint_order: Sequence[int] = (),
        decode_nms_kernel: int = 5,
        decode_gaussian_kernel: int = 3,
        decode_keypoint_thr: float = 0.1,
        decode_tag_thr: float = 1.0,
        decode_topk: int = 30,
        decode_center_shift: float = 0.0,
        decode_max_instances: int | None = None,
        *,
        return_instance_scores: bool = False,
    ) -> None:
        self.input_size = check_size("input_size", input_size)
        self.heatmap_size = check_size("heatmap_size", heatmap_size)
        if use_udp:
            raise ValueError(f"use_udp: {use_udp!r}, expected False: the codec's UDP decoding is not there")
        self.use_udp = False
        self.decode_keypoint_order = _check_order(decode_keypoint_order)
        self.decode_max_instances = _check_most(decode_max_instances)
        values = {
            "nms_kernel": decode_nms_kernel,
            "detection_threshold": decode_keypoint_thr,
            "tag_threshold": decode_tag_thr,
            "max_num_people": decode_topk,
            "center_shift": decode_center_shift,
        }
        self._params = renamed_params(_NAMES, values | {"mode": "mmpose1"})
        if self._params.detection_threshold < 0:
            raise ValueError(f"decode_keypoint_thr: {decode_keypoint_thr}, expected 0 or more")
        # Grouping is the other mode's, whose persons are not limited by the number of candidates.
        self._grouping: DecodeParams = self._params.replace(mode="reference")
        self.scale_factor = (np.array(self.input_size) / self.heatmap_size).astype(np.float32)
        self.return_instance_scores = return_instance_scores

    def batch_decode(self, batch_heatmaps: Any, batch_tags: Any) -> tuple[list[Floats], ...]:
        """The people of B images.

        batch_heatmaps: (B, K, h, w); batch_tags: (B, L K, h, w), the K plain tag maps first, then the mirrored ones.
        NumPy arrays or tensors in the processor's memory (``numpy()`` or DLPack), float32 or float16.
        Returns keypoints and their scores, an entry an image: (P, K, 2) float32, pixels of the network's input, and
        (P, K) float32; with return_instance_scores also (P,) float32.
        Raises TypeError or ValueError that names the argument, what came and what was expected.
        """
        heatmaps = as_maps("batch_heatmaps", batch_heatmaps, 4)
        tags = as_maps("batch_tags", batch_tags, 4)
        if len(tags) != len(heatmaps):
            raise ValueError(f"batch_tags: shape {tags.shape}, expected a batch of {len(heatmaps)}, as batch_heatmaps")
        decoded = [self._decode(*one, ("batch_heatmaps", "batch_tags")) for one in zip(heatmaps, tags, strict=True)]
        return tuple([one[part] for one in decoded] for part in range(2 + self.return_instance_scores))

    def decode(self, heatmaps: Any, tags: Any) -> tuple[Floats, ...]:
        """The people of one image: heatmaps (K, h, w), tags (L K, h, w). Returns an entry of :meth:`batch_decode`."""
        names = ("heatmaps", "tags")
        decoded = self._decode(as_maps("heatmaps", heatmaps, 3), as_maps("tags", tags, 3), names)
        return decoded[: 2 + self.return_instance_scores]

    def _decode(self, heat: Array, tags: Array, names: tuple[str, str]) -> tuple[Floats, ...]:
        joints = len(heat)
        if joints < 1 or len(tags) < 1 or len(tags) % joints or tags.shape[1:] != heat.shape[1:]:
            expected = f"L x {joints} maps of {heat.shape[1:]}, as {names[0]}"
            raise ValueError(f"{names[1]}: {len(tags)} maps of {tags.shape[1:]}, expected {expected}")
        order = self.decode_keypoint_order or None
        if order is not None and len(order) != joints:
            raise ValueError(f"{names[0]}: {joints} maps, expected the {len(order)} of decode_keypoint_order")
        tag_maps = tags.reshape(-1, *heat.shape).transpose(1, 2, 3, 0)
        heat = heat.astype(np.float32, copy=False)
        found = strong_peaks(heat, tag_maps, self._params)
        if found is None:
            peaks = steps.heatmap_nms(heat, self._params.nms_kernel)
            found = steps.top_k(peaks, tag_maps, self._params.max_num_people)
        people = steps.group_by_tag(*found, params=self._grouping, joint_order=order)[: self.decode_max_instances]
        people = steps.adjust(people, heat, self._params)
        instance_scores = reference.person_scores(people)
        people = steps.refine(people, heat, tag_maps, self._params)
        return people[..., :2] * self.scale_factor, people[..., 2].copy(), instance_scores


def _check_order(order: Sequence[int]) -> list[int]:
    try:
        joints = [check_whole("decode_keypoint_order", joint) for joint in order]
    except TypeError:
        raise TypeError(f"decode_keypoint_order: {order!r}, expected a sequence of joint indices") from None
    if sorted(joints) != list(range(len(joints))):
        raise ValueError(f"decode_keypoint_order: {joints}, expected every index of 0..{len(joints) - 1} once")
    return joints


def _check_most(count: int | None) -> int | None:
    if count is None:
        return None
    most = check_whole("decode_max_instances", count)
    if most < 1:
        raise ValueError(f"decode_max_instances: {most}, expected 1 or more, or None")
    return most
