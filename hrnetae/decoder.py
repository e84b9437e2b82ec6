"""The decoder: one image's network outputs to people, in one call of the kernels."""

from __future__ import annotations

import numbers
import os
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hrnetae import _kernels
from hrnetae.batch import Image, decode_all
from hrnetae.dispatch import LEVEL, LEVELS
from hrnetae.outputs import Maps, NetworkOutput, OutputMaps, arrange
from hrnetae.params import DecodeParams, check_size
from hrnetae.poses import Poses
from hrnetae.skeleton import COCO17, Skeleton
from hrnetae.steps import joint_arrays


class Decoder:
    """Turns the raw heatmaps and tag maps of an associative-embedding network into people.

    params: how; the defaults are the reference's. skeleton: which joints the maps show.
    A decoder keeps nothing between calls and may be used from many threads at once.
    """

    def __init__(self, params: DecodeParams | None = None, skeleton: Skeleton = COCO17) -> None:
        if params is not None and not isinstance(params, DecodeParams):
            raise TypeError(f"params: {type(params).__name__}, expected DecodeParams")
        if not isinstance(skeleton, Skeleton):
            raise TypeError(f"skeleton: {type(skeleton).__name__}, expected Skeleton")
        self.params = DecodeParams() if params is None else params
        self.skeleton = skeleton
        self._joint_arrays = joint_arrays(skeleton)

    def decode(
        self,
        output: NetworkOutput,
        flipped: NetworkOutput | None = None,
        *,
        image_size: tuple[int, int],
        scales: Sequence[float] | None = None,
    ) -> Poses:
        """The people of one image.

        output: float32 or float16 (2K, H, W) or (1, 2K, H, W), K heatmaps then K tag maps; or a sequence of such
            arrays, one per stage (HigherHRNet: (2K, H, W), (K, 2H, 2W)). flipped: the same for the mirrored input,
            or None. Neither is written to; arrays without gaps are not copied.
        image_size: (width, height) of the image in pixels.
        scales: test scales; output and flipped are then lists with one entry (array or stages) per scale.
        Raises TypeError or ValueError that names the argument, what came and what was expected.
        """
        image_size = check_size("image_size", image_size)
        return self._decode(arrange(output, flipped, self.params, self.skeleton, scales), image_size)

    def decode_features(
        self,
        output: NetworkOutput,
        flipped: NetworkOutput | None = None,
        *,
        image_size: tuple[int, int],
        scales: Sequence[float] | None = None,
    ) -> tuple[Poses, npt.NDArray[np.float64]]:
        """As :meth:`decode`, with what a rescoring is fitted on: (P, F) float64, in the order of
        `hrnetae.rescoring.FEATURES`."""
        image_size = check_size("image_size", image_size)
        maps = arrange(output, flipped, self.params, self.skeleton, scales)
        keypoints, scores, tags, features = _kernels.decode_features(
            maps, *self._joint_arrays, self.params, image_size, LEVELS[LEVEL]
        )
        return Poses(keypoints, scores, tags, self.skeleton), features

    def decode_batch(
        self,
        outputs: Sequence[NetworkOutput] | Maps,
        flipped: Sequence[NetworkOutput | None] | Maps | None = None,
        *,
        image_sizes: Sequence[tuple[int, int]],
        scales: Sequence[float] | None = None,
        threads: int | None = None,
    ) -> list[Poses]:
        """The people of many images, in the order of ``outputs``; each image as :meth:`decode` takes it.

        outputs: B outputs, or an array (B, 2K, H, W). flipped: B of the same, or None. image_sizes: B (width, height).
        threads: how many images are decoded at once; None for as many as this process has processors.
        """
        for name, given in (("outputs", outputs), ("flipped", flipped), ("image_sizes", image_sizes)):
            if not hasattr(given, "__len__") and not (given is None and name == "flipped"):
                raise TypeError(f"{name}: {type(given).__name__}, expected a sequence with an entry for each image")
        count = len(outputs)
        mirrored = [None] * count if flipped is None else flipped
        for name, length in (("flipped", len(mirrored)), ("image_sizes", len(image_sizes))):
            if length != count:
                raise ValueError(f"{name}: {length} entries, expected one for each of the {count} outputs")
        workers = min(_check_threads(threads), count)

        def image_at(i: int) -> Image:
            try:
                size = check_size("image_size", image_sizes[i])
                return arrange(outputs[i], mirrored[i], self.params, self.skeleton, scales), size
            except (TypeError, ValueError) as error:
                kind = TypeError if isinstance(error, TypeError) else ValueError
                raise kind(f"image {i} of the batch: {error}") from None

        if workers <= 1:
            return [self._decode(*image_at(i)) for i in range(count)]
        people = decode_all(count, image_at, (*self._joint_arrays, self.params, LEVELS[LEVEL]), workers)
        return [Poses(*one, self.skeleton) for one in people]

    def _decode(self, maps: OutputMaps, image_size: tuple[int, int]) -> Poses:
        keypoints, scores, tags = _kernels.decode(maps, *self._joint_arrays, self.params, image_size, LEVELS[LEVEL])
        return Poses(keypoints, scores, tags, self.skeleton)


def _check_threads(threads: int | None) -> int:
    if threads is None:
        return available_processors()
    if isinstance(threads, bool) or not isinstance(threads, numbers.Integral):
        raise TypeError(f"threads: {threads!r}, expected a whole number or None")
    count = int(threads)
    if count < 1:
        raise ValueError(f"threads: {threads}, expected 1 or more")
    return count


def available_processors() -> int:
    """How many processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
