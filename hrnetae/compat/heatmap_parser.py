"""mmpose 0.x's ``HeatmapParser`` with the same methods, shapes and answers; HigherHRNet's is nearly the same.

The maps come in as the framework has them then: flip and stages averaged, resized to the image where it does that.
docs/compat.md says where HigherHRNet's own parser differs, and what is not as in mmpose.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hrnetae import reference, steps
from hrnetae.compat.arrays import as_array, as_maps, batch_of_one
from hrnetae.compat.parser_settings import read_settings
from hrnetae.compat.strong_peaks import strong_peaks
from hrnetae.params import DecodeParams
from hrnetae.skeleton import default_joint_order
from hrnetae.types import TopK

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]


class HeatmapParser:
    """Heatmaps and tag maps to people: ``parse``, or step by step. All results are NumPy arrays.

    cfg: a mapping or an object with attributes that has num_joints, max_num_people, detection_threshold,
        tag_threshold, use_detection_val, ignore_too_much, tag_per_joint, nms_kernel, nms_padding; perhaps use_udp and
        score_per_joint; the other keys of mmpose's test_cfg are not looked at. Or HigherHRNet's whole cfg.

    Maps are NumPy arrays or tensors in the processor's memory (``numpy()`` or DLPack), float32 or float16; one image.
    K joints; h x w pixels; L tag values a pixel; M = max_num_people; P persons.
    Raises TypeError or ValueError that names the argument, what came and what was expected.
    """

    def __init__(self, cfg: Any) -> None:
        self.num_joints, self.params = read_settings(cfg)
        self.tag_per_joint = self.params.tag_per_joint
        self.use_udp = self.params.use_udp
        self.score_per_joint = self.params.score_per_joint

    def nms(self, heatmaps: Any) -> Floats:
        """Keeps the pixels that equal the maximum of their window, (1, K, h, w) float32; all others become 0."""
        return steps.heatmap_nms(self._heat(heatmaps), self.params.nms_kernel)[None]

    def top_k(self, heatmaps: Any, tags: Any) -> dict[str, Array]:
        """The M best peaks of each joint. heatmaps: (1, K, h, w), before the NMS; tags: as for :meth:`parse`.

        Returns tag_k (1, K, M, L) float32, loc_k (1, K, M, 2) int64 (x, y), val_k (1, K, M) float32. A map of fewer
        than M pixels gives as many as it has.
        """
        heat = self._heat(heatmaps)
        found = self._top_k(heat, self._tags(tags))
        places = np.stack([found.x, found.y], axis=-1).astype(np.int64)
        return {"tag_k": found.tags[None], "loc_k": places[None], "val_k": found.values[None]}

    def match(self, tag_k: Any, loc_k: Any, val_k: Any) -> list[Floats]:
        """Groups candidates, as :meth:`top_k` gives them, into people: a list of one array (P, K, 3 + L) float32.

        A row is x, y, value, tags; zeros where a person lacks the joint.
        """
        tags, places = batch_of_one("tag_k", tag_k, 4), batch_of_one("loc_k", loc_k, 4)
        values = batch_of_one("val_k", val_k, 3)
        if values.shape[1] != self.num_joints:
            raise ValueError(f"val_k: shape {values.shape}, expected (1, {self.num_joints}, M)")
        if tags.shape[:3] != values.shape:
            raise ValueError(f"tag_k: shape {tags.shape}, expected {values.shape} of val_k and L")
        if places.shape != (*values.shape, 2):
            raise ValueError(f"loc_k: shape {places.shape}, expected {(*values.shape, 2)}, as val_k")
        return [self._group(TopK(values[0], places[0, ..., 0], places[0, ..., 1], tags[0]))]

    @staticmethod
    def adjust(ans: list[Floats], heatmaps: Any) -> list[Floats]:
        """Moves found joints by a quarter pixel towards the higher neighbour, and by half a pixel to pixel centres.

        ans: what :meth:`match` gives; written to and returned, as in mmpose. heatmaps: (1, K, h, w), before the NMS.
        """
        (people,) = _one_of(ans)
        people[...] = steps.adjust(people, batch_of_one("heatmaps", heatmaps, 4)[0])
        return ans

    @staticmethod
    def refine(heatmap: Any, tag: Any, keypoints: Floats, use_udp: bool = False) -> Floats:
        """Fills in one person's missing joints, where the heat is high and the tag near the person's.

        heatmap: (K, h, w), before the NMS; tag: (K or 1, h, w, L) or, with L = 1, (K or 1, h, w); keypoints:
        (K, 3 + L), written to and returned, as in mmpose.
        """
        heat = as_maps("heatmap", heatmap, 3)
        tag_maps = _with_length("tag", tag, 4)
        person = as_array("keypoints", keypoints, 2)
        if len(person) != len(heat) or person.shape[1] != 3 + tag_maps.shape[-1]:
            expected = f"({len(heat)}, {3 + tag_maps.shape[-1]}), (K, 3 + L) of the maps"
            raise ValueError(f"keypoints: shape {person.shape}, expected {expected}")
        person[...] = steps.refine(person[None], heat, tag_maps, DecodeParams(use_udp=use_udp))[0]
        return keypoints

    def parse(
        self, heatmaps: Any, tags: Any, adjust: bool = True, refine: bool = True
    ) -> tuple[list[Floats], list[Any]]:
        """The people of one image, with ``top_k``, ``match`` and, where asked for, ``adjust`` and ``refine``.

        heatmaps: (1, K, h, w). tags: (1, K, h, w, L), or (1, 1, h, w, L) without tag_per_joint; (1, K, h, w) is L = 1.
        Returns a list of one array (P, K, 3 + L) float32, in pixels of the maps, and a list of P scores: the mean of a
        person's K joint values before the filling in (float32), or with score_per_joint (K,) arrays, as they end.
        """
        heat, tag_maps = self._heat(heatmaps), self._tags(tags)
        if tag_maps.shape[1:3] != heat.shape[1:]:
            raise ValueError(f"tags: shape {tag_maps.shape}, expected maps of {heat.shape[1:]}, as heatmaps")
        heat = heat.astype(np.float32, copy=False)
        found = strong_peaks(heat, tag_maps, self.params)
        people = self._group(self._top_k(heat, tag_maps) if found is None else found)
        if adjust:
            people = steps.adjust(people, heat, self.params)
        scores = list(reference.person_scores(people))
        if refine:
            people = steps.refine(people, heat, tag_maps, self.params)
        if self.score_per_joint:
            scores = [person[:, 2] for person in people]
        return [people], scores

    def _top_k(self, heat: Array, tags: Array) -> TopK:
        return steps.top_k(steps.heatmap_nms(heat, self.params.nms_kernel), tags, self.params.max_num_people)

    def _group(self, found: TopK) -> Floats:
        return steps.group_by_tag(*found, params=self.params, joint_order=default_joint_order(self.num_joints))

    def _heat(self, heatmaps: Any) -> Array:
        batch = batch_of_one("heatmaps", as_maps("heatmaps", heatmaps, 4), 4)
        if batch.shape[1] != self.num_joints:
            raise ValueError(f"heatmaps: shape {batch.shape}, expected (1, {self.num_joints}, h, w)")
        heat: Array = batch[0]
        return heat

    def _tags(self, tags: Any) -> Array:
        maps = _with_length("tags", tags, 5)
        joints = self.num_joints if self.tag_per_joint else 1
        if maps.shape[:2] != (1, joints):
            raise ValueError(f"tags: shape {maps.shape}, expected (1, {joints}, h, w, L) in a batch of 1")
        one: Array = maps[0]
        return one


def _with_length(name: str, tags: Any, ndim: int) -> Array:
    """Tag maps with L as their last of ``ndim`` axes, which may be missing where it is 1."""
    if getattr(tags, "ndim", ndim) == ndim - 1:
        return as_maps(name, tags, ndim - 1)[..., None]
    return as_maps(name, tags, ndim)


def _one_of(ans: list[Floats]) -> tuple[Floats]:
    if not isinstance(ans, (list, tuple)):
        raise TypeError(f"ans: {type(ans).__name__}, expected the list that match gives")
    if len(ans) != 1:
        raise ValueError(f"ans: {len(ans)} entries, expected a batch of 1; call once for each image")
    people = ans[0]
    if not isinstance(people, np.ndarray):
        raise TypeError(f"ans[0]: {type(people).__name__}, expected a NumPy array, which is written to")
    return (people,)
