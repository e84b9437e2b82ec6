"""Persons found perfectly, and errors planted into them, so that an analysis can be asked what it finds.

A person's joints stand on a grid, 60 pixels apart; with an area of 10,000 square pixels a joint is near (similarity
0.5) within 26 pixels at most, so every kind of error is one of its kind alone. Persons are 400 pixels apart.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.evaluation.ground_truth import GroundTruth
from hrnetae.evaluation.results import Results
from hrnetae.skeleton import COCO17

JOINTS = len(COCO17)
AREA = 10_000.0
STEP, APART = 60.0, 400.0
FAR = (30.0, 30.0)  # from a joint: the middle of a field of the grid, 42 pixels from four joints

Points = NDArray[np.float64]


def reach(joint: int, similarity: float, area: float = AREA) -> float:
    """Pixels from its place at which a joint has this similarity: OKS' formula, solved for the distance."""
    return math.sqrt(-2 * area * math.log(similarity)) * 2 * COCO17.sigmas[joint]


class Planted:
    """Pictures of a few persons each, all of them found where they are; then errors are planted.

    truths, founds: by (picture, person): keypoints (K, 3). scores: of founds. strangers: further found persons.
    """

    def __init__(self, persons: tuple[int, ...], rng: np.random.Generator | None = None) -> None:
        self.pictures = len(persons)
        self.truths: dict[tuple[int, int], Points] = {}
        for picture, count in enumerate(persons):
            for person in range(count):
                self.truths[picture, person] = self._figure(person, rng)
        self.founds = {key: points.copy() for key, points in self.truths.items()}
        self.scores = {key: 0.5 + 0.4 * (1 - n / len(self.truths)) for n, key in enumerate(self.truths)}
        self.strangers: list[tuple[int, Points, float]] = []
        self.areas = dict.fromkeys(self.truths, AREA)

    @staticmethod
    def _figure(person: int, rng: np.random.Generator | None) -> Points:
        joint = np.arange(JOINTS)
        points = np.stack([joint % 4 * STEP + person * APART, joint // 4 * STEP, np.full(JOINTS, 2.0)], axis=1)
        points[:, :2] += 100
        if rng is not None:  # some are not labelled
            points[rng.permutation(JOINTS)[: rng.integers(0, 6)]] = 0
        return points

    def labelled(self, key: tuple[int, int]) -> list[int]:
        return np.flatnonzero(self.truths[key][:, 2]).tolist()

    def jitter(self, key: tuple[int, int], joint: int, similarity: float = 0.7) -> None:
        self.founds[key][joint, 0] = self.truths[key][joint, 0] + reach(joint, similarity) * (1 - 1e-9)

    def invert(self, key: tuple[int, int], joint: int) -> None:
        self.founds[key][joint, :2] = self.truths[key][COCO17.flip_index[joint], :2]

    def swap(self, key: tuple[int, int], joint: int, other: tuple[int, int], other_joint: int | None = None) -> None:
        self.founds[key][joint, :2] = self.truths[other][joint if other_joint is None else other_joint, :2]

    def miss(self, key: tuple[int, int], joint: int) -> None:
        self.founds[key][joint, :2] = self.truths[key][joint, :2] + FAR

    def stranger(self, picture: int, score: float) -> None:
        points = self._figure(0, None)
        points[:, 1] += 3000 + 500 * len(self.strangers)
        self.strangers.append((picture, points, score))

    def copy(self, key: tuple[int, int], score: float, similarity: float) -> None:
        """One more found person on somebody, all of whose joints have this similarity."""
        points = self.truths[key].copy()
        points[:, 1] += [reach(joint, similarity) * (1 - 1e-9) for joint in range(JOINTS)]
        self.strangers.append((key[0], points, score))

    def truth(self) -> GroundTruth:
        annotations = []
        for number, (key, points) in enumerate(self.truths.items(), 1):
            low = points[points[:, 2] > 0, :2].min(axis=0, initial=math.inf)
            size = points[points[:, 2] > 0, :2].max(axis=0, initial=-math.inf) - low
            annotations.append(
                {
                    "id": number,
                    "image_id": key[0] + 1,
                    "category_id": 1,
                    "iscrowd": 0,
                    "num_keypoints": int(np.count_nonzero(points[:, 2])),
                    "area": self.areas[key],
                    "bbox": [*low.tolist(), *size.tolist()],
                    "keypoints": points.ravel().tolist(),
                }
            )
        images = [{"id": picture + 1, "file_name": f"{picture + 1:012d}.jpg"} for picture in range(self.pictures)]
        dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1}]}
        return GroundTruth(Path("truth.json"), dataset, {}, None)

    def results(self) -> Results:
        found = [(key[0], points, self.scores[key]) for key, points in self.founds.items()]
        entries: list[dict[str, Any]] = [
            {
                "image_id": picture + 1,
                "category_id": 1,
                "keypoints": points.ravel().tolist(),
                "score": score,
                "bbox": [0, 0, 100, 100],
            }
            for picture, points, score in [*found, *self.strangers]
        ]
        return Results.of_entries(entries, JOINTS)

    def image_ids(self) -> list[int]:
        return list(range(1, self.pictures + 1))
