"""A setting tried on pictures: decoded, matched with the ground truth, and remembered.

What is remembered of a trial is who was matched with whom, picture by picture (evaluation/matches.py), a few hundred
bytes a picture. The metrics of any choice of pictures follow from that, so that every fold shares the trials of all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrnetae.decoder import Decoder
from hrnetae.evaluation.ground_truth import GroundTruth
from hrnetae.evaluation.matches import ImageMatches, ap_of, image_matches
from hrnetae.evaluation.results import Results
from hrnetae.files.errors import DataError
from hrnetae.params import DecodeParams
from hrnetae.skeleton import COCO17, Skeleton
from hrnetae.tuning.outputs import Outputs
from hrnetae.tuning.record import Record
from hrnetae.work import ordered_map

_PICTURES_AT_ONCE = 16

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Persons:
    """What a setting finds: results, and of each person the picture's index (D,) and the features (D, F)."""

    results: Results
    picture: NDArray[np.int64]
    features: NDArray[np.float64]


@dataclass(eq=False)
class Trials:
    """Tries settings, each once.

    sieve: (N,) the pictures on which a setting is tried first. record: where trials are kept for another run, or None.
    watch: called before each new trial's decoding with the setting.
    """

    outputs: Outputs
    truth: GroundTruth
    sieve: Mask
    workers: int = 1
    skeleton: Skeleton = COCO17
    record: Record | None = None
    watch: Callable[[DecodeParams], None] | None = None

    def __post_init__(self) -> None:
        self.image_ids = np.array([picture.id for picture in self.outputs.pictures], np.int64)
        self._ap_of_all: list[float] = []
        self._done: dict[tuple[DecodeParams, bool], ImageMatches] = {}

    @property
    def settings(self) -> list[DecodeParams]:
        """Those that were tried on all pictures, in the order of their trials."""
        return [params for params, whole in self._done if whole]

    @property
    def best(self) -> float | None:
        """The highest AP of a setting on all pictures so far."""
        return max(self._ap_of_all, default=None)

    def matches(self, params: DecodeParams, whole: bool = True) -> ImageMatches:
        """On all pictures, or on the sieve's alone."""
        whole = whole or bool(self.sieve.all())
        key = (params, whole)
        if key not in self._done:
            chosen = np.arange(len(self.outputs)) if whole else np.flatnonzero(self.sieve)
            found = None if self.record is None else self.record.find(params, whole)
            if found is None:
                if self.watch is not None:
                    self.watch(params)
                found = image_matches(self.truth, self._decode(params, chosen), self.image_ids[chosen], self.skeleton)
                if self.record is not None:
                    self.record.keep(params, whole, found)
            self._done[key] = found
            if whole:
                self._ap_of_all.append(ap_of(found)["AP"])
        return self._done[key]

    def ap(self, params: DecodeParams, pictures: Mask, whole: bool = True) -> float:
        """AP over those of ``pictures`` (N,) that were tried."""
        matches = self.matches(params, whole)
        return ap_of(matches, self.weights(matches, pictures))["AP"]

    def weights(self, matches: ImageMatches, pictures: NDArray[np.bool_ | np.int64]) -> NDArray[np.int64]:
        """Weights (N,) of pictures in the order of a trial's images."""
        by_id = dict(zip(self.image_ids.tolist(), np.asarray(pictures, np.int64).tolist(), strict=True))
        return np.array([by_id[image] for image in matches.image_ids.tolist()], np.int64)

    def persons(self, params: DecodeParams) -> Persons:
        """Everybody whom a setting finds, with features."""
        decoder = Decoder(params, self.skeleton)

        def decode(piece: Sequence[int]) -> list[tuple[Results, NDArray[np.float64]]]:
            found = []
            for at in piece:
                picture = self.outputs.pictures[at]
                poses, features = decoder.decode_features(*self.outputs.pair(at), image_size=picture.size)
                found.append((Results.of_poses(poses, picture.id), features))
            return found

        found = [one for piece in ordered_map(decode, _pieces(range(len(self.outputs))), self.workers) for one in piece]
        counts = [len(results) for results, _ in found]
        return Persons(
            Results.joined([results for results, _ in found]),
            np.repeat(np.arange(len(found)), counts),
            np.concatenate([features for _, features in found]),
        )

    def _decode(self, params: DecodeParams, chosen: NDArray[np.intp]) -> Results:
        decoder = Decoder(params, self.skeleton)

        def decode(piece: Sequence[int]) -> Results:
            parts = []
            for at in piece:
                picture = self.outputs.pictures[at]
                output, flipped = self.outputs.pair(at)
                try:
                    poses = decoder.decode(output, flipped, image_size=picture.size)
                except ValueError as error:
                    raise DataError(f"{self.outputs.path(at)}: {error}") from error
                parts.append(Results.of_poses(poses, picture.id))
            return Results.joined(parts)

        return Results.joined(list(ordered_map(decode, _pieces(chosen.tolist()), self.workers)))


def _pieces(items: Sequence[int]) -> list[Sequence[int]]:
    return [items[start : start + _PICTURES_AT_ONCE] for start in range(0, len(items), _PICTURES_AT_ONCE)]
