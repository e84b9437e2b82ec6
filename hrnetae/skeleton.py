"""The joints of a person: their names, left-right pairs, grouping order and OKS constants."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Skeleton:
    """The joints that a network finds, in the order of its maps.

    name: for messages.
    joints: K joint names.
    flip_pairs: pairs of indices that change places in a mirrored picture; a joint in no pair stays.
    joint_order: the order in which grouping visits the joints; empty for the reference's rule: head, torso, then
        limbs where there are 17 joints, else 0..K-1.
    limbs: pairs of indices to draw lines between.
    sigmas: K per-joint constants of the object keypoint similarity (OKS), or empty.

    Source of the numbers: COCO (Lin et al. 2014) and CrowdPose (Li et al. 2019).
    """

    name: str
    joints: tuple[str, ...]
    flip_pairs: tuple[tuple[int, int], ...] = ()
    joint_order: tuple[int, ...] = ()
    limbs: tuple[tuple[int, int], ...] = ()
    sigmas: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        set_field(self, "joints", tuple(self.joints))
        set_field(self, "flip_pairs", tuple((int(a), int(b)) for a, b in self.flip_pairs))
        set_field(self, "joint_order", tuple(int(k) for k in self.joint_order) or default_joint_order(len(self)))
        set_field(self, "limbs", tuple((int(a), int(b)) for a, b in self.limbs))
        set_field(self, "sigmas", tuple(float(s) for s in self.sigmas))
        count = len(self)
        if count < 1:
            raise ValueError("joints: none, expected at least one joint name")
        if sorted(self.joint_order) != list(range(count)):
            raise ValueError(f"joint_order: {self.joint_order}, expected every index of 0..{count - 1} once")
        paired = [k for pair in self.flip_pairs for k in pair]
        if len(set(paired)) != len(paired) or not all(0 <= k < count for k in paired):
            raise ValueError(f"flip_pairs: {self.flip_pairs}, expected disjoint pairs of indices in 0..{count - 1}")
        if not all(0 <= k < count for limb in self.limbs for k in limb):
            raise ValueError(f"limbs: {self.limbs}, expected pairs of indices in 0..{count - 1}")
        if self.sigmas and (len(self.sigmas) != count or not all(s > 0 for s in self.sigmas)):
            raise ValueError(f"sigmas: {self.sigmas}, expected {count} positive numbers or none")

    def __len__(self) -> int:
        return len(self.joints)

    @property
    def flip_index(self) -> tuple[int, ...]:
        """K indices: joint k of the picture is map ``flip_index[k]`` of the mirrored picture's output."""
        index = list(range(len(self)))
        for a, b in self.flip_pairs:
            index[a], index[b] = b, a
        return tuple(index)


def default_joint_order(count: int) -> tuple[int, ...]:
    """The reference's grouping order for ``count`` joints."""
    return _ORDER_OF_17 if count == 17 else tuple(range(count))


_ORDER_OF_17 = (0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13, 14, 15, 16)

COCO17 = Skeleton(
    name="COCO-17",
    joints=(
        "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
        "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
        "left_knee", "right_knee", "left_ankle", "right_ankle",
    ),
    flip_pairs=((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)),
    limbs=(
        (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8),
        (7, 9), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
    ),
    sigmas=(
        0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062,
        0.107, 0.107, 0.087, 0.087, 0.089, 0.089,
    ),
)  # fmt: skip

CROWDPOSE14 = Skeleton(
    name="CrowdPose-14",
    joints=(
        "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
        "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "head", "neck",
    ),
    flip_pairs=((0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (10, 11)),
    limbs=(
        (10, 8), (8, 6), (11, 9), (9, 7), (6, 7), (0, 6), (1, 7), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5),
        (12, 13), (1, 13), (0, 13),
    ),
    sigmas=(0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089, 0.079, 0.079),
)  # fmt: skip
