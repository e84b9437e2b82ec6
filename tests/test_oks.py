"""Our keypoint evaluation against pycocotools: the ten numbers are equal, not close."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hrnetae import _kernels
from hrnetae.evaluation.ground_truth import GroundTruth
from hrnetae.evaluation.metrics import METRICS, keypoint_metrics
from hrnetae.evaluation.oks import Persons
from hrnetae.evaluation.results import Results
from hrnetae.files import DataError
from hrnetae.poses import Poses
from hrnetae.skeleton import COCO17, Skeleton

Entry = dict[str, Any]

# About the bounds of COCO's areas, and one of no extent.
AREAS = (10.0, 900.0, 1024, 1025.5, 3000.0, 9216, 9217.0, 20000.0, 0.0)


def truth_of(images: Sequence[int], annotations: list[Entry], categories: Sequence[int] = (1,)) -> GroundTruth:
    dataset = {
        "images": [{"id": image, "file_name": f"{image}.jpg"} for image in images],
        "annotations": annotations,
        "categories": [{"id": category} for category in categories],
    }
    return GroundTruth(Path("truth.json"), dataset, {}, None)


def annotation(number: int, image: int, keypoints: NDArray[Any], area: float = 3000.0, **fields: Any) -> Entry:
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "iscrowd": 0,
        "num_keypoints": int(np.count_nonzero(keypoints[:, 2])),
        "area": area,
        "bbox": [10, 20.5, 30, 40],
        "keypoints": keypoints.ravel().tolist(),
    } | fields


def detection(image: int, keypoints: NDArray[Any], score: float, category: int = 1) -> Entry:
    points = keypoints.astype(np.float32)
    low = points[:, :2].min(axis=0)
    return {
        "image_id": image,
        "category_id": category,
        "keypoints": points.ravel().tolist(),
        "score": score,
        "bbox": [*low.tolist(), *(points[:, :2].max(axis=0) - low).tolist()],
    }


def a_person(rng: np.random.Generator, joints: int, coarse: bool) -> NDArray[np.float64]:
    """(K, 3); with none, some or all joints annotated; coarse ones give many equal similarities."""
    points = rng.uniform(0, 100, (joints, 3))
    if coarse:
        points = np.round(points / 20) * 20
    points[:, 2] = rng.choice([0, 0, 1, 2], joints) if rng.random() < 0.7 else rng.choice([0, 2])
    return np.where(points[:, 2:] > 0, points, 0)


def random_case(
    rng: np.random.Generator, joints: int, categories: Sequence[int]
) -> tuple[list[int], list[Entry], list[Entry]]:
    """Images, annotations and results in no order: crowds, people without joints, equal scores, more than 20 found."""
    images = rng.permutation(50)[: rng.integers(1, 7)].tolist()
    annotations: list[Entry] = []
    found: list[Entry] = []
    number = int(rng.integers(-1, 2))  # an id 0 is no match to pycocotools
    coarse = rng.random() < 0.5
    for image in images:
        people = [(a_person(rng, joints, coarse), float(rng.choice(AREAS))) for _ in range(rng.integers(0, 5))]
        for points, area in people:
            stored = points.astype(int) if rng.random() < 0.3 else points
            fields: Entry = {
                "category_id": int(rng.choice(categories)),
                "iscrowd": int(rng.random() < 0.2),
                "bbox": rng.integers(0, 60, 4).tolist() if rng.random() < 0.5 else rng.uniform(0, 60, 4).tolist(),
            }
            if rng.random() < 0.1:
                fields["num_keypoints"] = 0
            annotations.append(annotation(number, image, stored, area, **fields))
            number += int(rng.random() < 0.98)  # sometimes an id stands twice
        for _ in range(rng.choice([0, 1, 3, 6, 25])):
            points = rng.uniform(0, 100, (joints, 3))
            if people and rng.random() < 0.8:
                near, area = people[rng.integers(len(people))]
                points = near.copy()
                points[:, :2] += rng.normal(0, rng.choice([0, 0.3, 1, 3]) * np.sqrt(area) / 20, (joints, 2))
            score = float(rng.choice([0.1, 0.2, 0.5])) if coarse else float(rng.random())
            found.append(detection(image, points, score, int(rng.choice(categories))))
    return images, annotations, [found[i] for i in rng.permutation(len(found))]


def skeleton_of(rng: np.random.Generator) -> Skeleton:
    joints = int(rng.choice([17, 17, 17, 1, 3, 14, 26, 133]))
    if joints == 17:
        return COCO17
    names = tuple(f"joint {k}" for k in range(joints))
    return Skeleton("other", names, sigmas=tuple(rng.uniform(0.02, 0.2, joints).tolist()))


def both(truth: GroundTruth, found: Sequence[Entry], images: Sequence[int], skeleton: Skeleton = COCO17) -> Entry:
    ours = keypoint_metrics(truth, found, images, skeleton, "own")
    assert ours == keypoint_metrics(truth, found, images, skeleton, "pycocotools")
    return ours


@pytest.mark.parametrize("seed", range(200))
def test_random_sets_give_pycocotools_numbers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    skeleton = skeleton_of(rng)
    categories = (1,) if rng.random() < 0.7 else (4, 1, 2)
    images, annotations, found = random_case(rng, len(skeleton), categories)
    truth = truth_of(images, annotations, categories[:2] if rng.random() < 0.3 else categories)
    if rng.random() < 0.3:  # the pictures of a folder are a part of the ground truth's
        images = images[: max(1, len(images) - 1)]
        found = [entry for entry in found if entry["image_id"] in images]
    with np.errstate(all="ignore"):
        both(truth, found, images, skeleton)
        if found:  # float32 columns, as the evaluation keeps them
            columns = Results.of_entries(found, len(skeleton))
            scores = columns.scores.astype(np.float32)
            narrow = Results(
                columns.image_ids,
                columns.category_ids,
                columns.keypoints.astype(np.float32),
                scores,
                columns.boxes.astype(np.float32),
            )
            both(truth, narrow, images, skeleton)


def test_nobody_annotated_and_nobody_found() -> None:
    rng = np.random.default_rng(0)
    person = a_person(rng, 17, False)
    person[:, 2] = 2
    found = [detection(3, person, 0.5)]
    assert set(both(truth_of([3], []), found, [3]).values()) == {-1.0}
    assert set(both(truth_of([3], [annotation(1, 3, person)], categories=[]), found, [3]).values()) == {-1.0}
    truth = truth_of([3, 4], [annotation(1, 3, person), annotation(2, 4, person)])
    assert set(keypoint_metrics(truth, [], [3, 4]).values()) == {0.0}
    assert both(truth, found, [3, 4])["AR"] == 0.5
    assert both(truth, found, [3])["APm"] == pytest.approx(1)
    assert both(truth, found, [3])["APl"] == -1


def test_the_twenty_best_of_a_picture_count() -> None:
    person = np.full((17, 3), 2.0) * np.arange(17)[:, None]
    person[:, 2] = 2
    far = person + np.array([5000, 5000, 0])
    found = [detection(1, far, 0.9) for _ in range(19)] + [detection(1, person, 0.1), detection(1, person, 0.1)]
    assert both(truth_of([1], [annotation(1, 1, person)]), found, [1])["AR"] == 1
    assert both(truth_of([1], [annotation(1, 1, person)]), [detection(1, far, 0.1), *found], [1])["AR"] == 0


def test_more_images_than_the_kernel_takes_at_a_time() -> None:
    rng = np.random.default_rng(7)
    images = list(range(1, 300))
    annotations: list[Entry] = []
    found: list[Entry] = []
    for image in images:
        person = a_person(rng, 17, True)
        if image % 3:
            annotations.append(annotation(len(annotations) + 1, image, person))
        found += [
            detection(image, person + rng.normal(0, 3, person.shape), float(rng.random())) for _ in range(image % 4)
        ]
    both(truth_of(images, annotations), found, images)


@pytest.mark.parametrize("joints", [1, 2, 7, 8, 9, 15, 16, 17, 100, 127, 128, 129, 136, 200, 257, 300])
def test_a_similarity_is_numpys_to_the_last_bit(joints: int) -> None:
    """Its sum has NumPy's order: a threshold of exactly that value is reached, the next float is not."""
    rng = np.random.default_rng(joints)
    for _ in range(20):
        truth, found = rng.uniform(0, 9, (2, 1, joints, 3))
        variances = rng.uniform(0.5, 2, joints)
        offset = found[0] - truth[0]
        exponent = (offset[:, 0] ** 2 + offset[:, 1] ** 2) / variances / 30.0 / 2
        one = np.array([0, 1])
        persons = Persons(variances, one, truth, np.zeros((1, 4)), np.array([30.0]), one, found)
        exponents = _kernels.oks_exponents(persons)
        np.testing.assert_array_equal(exponents, -exponent)
        similarity = np.sum(np.exp(-exponent)) / joints
        for least, matched in ((similarity, 1), (np.nextafter(similarity, 2), 0)):
            assert match_one(persons, np.exp(exponents), least) == matched


def match_one(persons: Persons, exponentials: NDArray[np.float64], least: float) -> int:
    from hrnetae.evaluation.oks import Rules

    none, yes = np.zeros((1, 1), np.uint8), np.ones(1, np.uint8)
    rules = Rules(np.array([least]), none, none[0], yes, none)
    return int(_kernels.oks_match(persons, rules, exponentials)[0, 0, 0])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("keypoints", ["x"] * 51),
        ("keypoints", [[1]] * 51),
        ("keypoints", [float("nan")] * 51),
        ("bbox", [1, 2, 3]),
        ("bbox", [1, 2, 3, None]),
        ("bbox", [1, 2, 3, 10**400]),
        ("area", float("inf")),
    ],
)
def test_annotations_that_hold_no_numbers(field: str, value: Any) -> None:
    person = np.ones((17, 3))
    bad = annotation(8, 1, person) | {field: value}
    truth = truth_of([1], [annotation(7, 1, person), bad, annotation(9, 1, person)])
    with pytest.raises(DataError, match=f"truth.json: annotation 8 has {field} .*expected"):
        keypoint_metrics(truth, [detection(1, person, 0.5)], [1])


def test_results_are_what_the_poses_say() -> None:
    rng = np.random.default_rng(3)
    parts = []
    expected: list[Entry] = []
    for image, people in ((5, 3), (2, 0), (9, 1)):
        scores = rng.random((people, 17) if image == 9 else people).astype(np.float32)
        poses = Poses(rng.random((people, 17, 3)).astype(np.float32), scores, np.zeros((people, 17, 1), np.float32))
        parts.append(Results.of_poses(poses, image))
        expected += poses.to_coco(image)
    results = Results.joined(parts)
    assert list(results) == expected
    assert [results[i] for i in range(-4, 4)] == expected * 2
    assert list(results[1:3]) == expected[1:3]
    assert list(Results.of_entries(expected, 17)) == expected
    assert list(Results.of_entries([], 17)) == []
    assert list(METRICS) == list(keypoint_metrics(truth_of([5, 2, 9], []), results, [5, 2, 9]))
    with pytest.raises(IndexError):
        results[4]
