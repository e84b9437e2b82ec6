"""The people found in one image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hrnetae.skeleton import COCO17, Skeleton


@dataclass(frozen=True, eq=False)
class Poses:
    """P people of K joints.

    keypoints: (P, K, 3) float32: x, y in image pixels, joint value. A joint that was not found has the value 0 and a
        position without meaning.
    scores: (P,) float32; (P, K) with ``score_per_joint``.
    tags: (P, K, L) float32: plain tag, with flip test also the mirrored one; 0 for joints that were filled in.
    """

    keypoints: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    tags: npt.NDArray[np.float32]
    skeleton: Skeleton = COCO17

    def __len__(self) -> int:
        return len(self.keypoints)

    def __getitem__(self, index: int | slice) -> Poses:
        """The people of a slice, or one person as Poses of length 1."""
        if isinstance(index, slice):
            chosen = index
        else:
            at = range(len(self))[index]
            chosen = slice(at, at + 1)
        return Poses(self.keypoints[chosen], self.scores[chosen], self.tags[chosen], self.skeleton)

    def __iter__(self) -> Iterator[Poses]:
        return (self[i] for i in range(len(self)))

    def boxes(self) -> npt.NDArray[np.float32]:
        """(P, 4) float32: x, y, width, height of the smallest box around all K points of a person, in image pixels."""
        low = self.keypoints[:, :, :2].min(axis=1)
        return np.concatenate([low, self.keypoints[:, :, :2].max(axis=1) - low], axis=1)

    def person_scores(self) -> npt.NDArray[np.float32]:
        """(P,) float32: one number a person; the mean over the joints where scores are kept per joint."""
        if self.scores.ndim == 1:
            return self.scores
        # In float64, so that joint values near the end of float32 do not overflow.
        mean: npt.NDArray[np.float32] = self.scores.mean(axis=1, dtype=np.float64).astype(np.float32)
        return mean

    def to_coco(self, image_id: int, category_id: int = 1) -> list[dict[str, Any]]:
        """COCO keypoint results: plain Python numbers, one entry a person, in the order of the people.

        Format: https://cocodataset.org/#format-results (keypoints are x, y, joint value; bbox is x, y, width, height).
        """
        rows = self.keypoints.reshape(len(self), 3 * self.keypoints.shape[1]).tolist()
        return [
            {"image_id": image_id, "category_id": category_id, "keypoints": row, "score": score, "bbox": box}
            for row, score, box in zip(rows, self.person_scores().tolist(), self.boxes().tolist(), strict=True)
        ]

    def to_records(self, image_id: int | str | None = None) -> list[dict[str, Any]]:
        """A flat row for each person and joint, for ``pandas.DataFrame(poses.to_records())`` and the like.

        Keys: person (from 0), person_score, joint (its name), x, y (image pixels), value; tag, the joint's plain tag;
        and image_id in front where one is given. P K rows of plain Python values, person by person in the skeleton's
        order. A joint that was not found has the value 0 and None for x and y.
        """
        head = {} if image_id is None else {"image_id": image_id}
        people = zip(self.person_scores().tolist(), self.keypoints.tolist(), self.tags[:, :, 0].tolist(), strict=True)
        return [
            {
                **head,
                "person": person,
                "person_score": score,
                "joint": joint,
                "x": x if value != 0 else None,
                "y": y if value != 0 else None,
                "value": value,
                "tag": tag,
            }
            for person, (score, rows, tags) in enumerate(people)
            for joint, (x, y, value), tag in zip(self.skeleton.joints, rows, tags, strict=True)
        ]

    def to_supervision(self) -> Any:
        """These people as ``supervision.KeyPoints`` (the package supervision, 0.29 or later, must be installed).

        xy: (P, K, 2), keypoint_confidence: (P, K), visible: (P, K), the joints that were found, which are those that
        its annotators draw; detection_confidence: (P,); class_id 0 and class_name "person" for everyone.
        """
        import supervision  # an optional neighbour: only who asks for its type needs it

        return supervision.KeyPoints(
            xy=self.keypoints[:, :, :2],
            class_id=np.zeros(len(self), int),
            keypoint_confidence=self.keypoints[:, :, 2],
            visible=self.keypoints[:, :, 2] != 0,
            detection_confidence=self.person_scores(),
            data={"class_name": np.full(len(self), "person")},
        )
