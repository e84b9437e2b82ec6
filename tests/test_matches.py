"""Metrics from matches that were kept: equal to a new evaluation of the same pictures, however often each is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from test_oks import annotation, detection, random_case, truth_of

from hrnetae.evaluation.ground_truth import GroundTruth
from hrnetae.evaluation.matches import ap_of, image_matches, metrics_of
from hrnetae.evaluation.metrics import METRICS, keypoint_metrics
from hrnetae.evaluation.results import Results
from hrnetae.files import DataError

Case = tuple[list[int], list[dict[str, Any]], list[dict[str, Any]]]


@pytest.mark.parametrize("seed", range(40))
def test_of_all_pictures_once_it_is_the_evaluation(seed: int) -> None:
    images, annotations, found = random_case(np.random.default_rng(seed), 17, (1,))
    truth, results = truth_of(images, annotations), Results.of_entries(found, 17)
    matches = image_matches(truth, results, images)
    assert ap_of(matches) == keypoint_metrics(truth, results, images)
    assert (np.diff(matches.scores) <= 0).all()
    assert np.array_equal(matches.image_ids[matches.image], results.image_ids[matches.rows])
    assert np.array_equal(matches.scores, results.scores[matches.rows])


def drawn(case: Case, weights: NDArray[np.int64]) -> tuple[GroundTruth, Results, list[int]]:
    """The case with picture i (by id) written ``weights[i]`` times, under ids of their own."""
    images, annotations, found = case
    new_images: list[int] = []
    new_annotations: list[dict[str, Any]] = []
    new_found: list[dict[str, Any]] = []
    for image, often in zip(sorted(set(images)), weights.tolist(), strict=True):
        for _ in range(often):
            number = len(new_images) + 1000
            new_images.append(number)
            for entry in annotations:
                if entry["image_id"] == image:
                    new_annotations.append(entry | {"image_id": number, "id": len(new_annotations) + 1})
            new_found += [entry | {"image_id": number} for entry in found if entry["image_id"] == image]
    return truth_of(new_images, new_annotations), Results.of_entries(new_found, 17), new_images


@pytest.mark.parametrize("seed", range(40))
def test_of_drawn_pictures_it_is_the_evaluation_of_copies(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images, annotations, found = random_case(rng, 17, (1,))
    annotations = [entry | {"id": number} for number, entry in enumerate(annotations, 1)]
    scores = rng.permutation(len(found)) / 1000  # copies alone are equal, so that their order cannot matter
    found = [entry | {"score": score} for entry, score in zip(found, scores.tolist(), strict=True)]
    matches = image_matches(truth_of(images, annotations), Results.of_entries(found, 17), images)
    weights = np.bincount(rng.integers(0, len(images), len(images)), minlength=len(images))
    truth, results, copies = drawn((images, annotations, found), weights)
    if not len(results):
        assert ap_of(matches, weights)["AP"] in (0.0, -1.0)
        return
    assert ap_of(matches, weights) == keypoint_metrics(truth, results, copies)


def test_many_draws_at_once() -> None:
    rng = np.random.default_rng(5)
    images, annotations, found = random_case(rng, 17, (1,))
    matches = image_matches(truth_of(images, annotations), Results.of_entries(found, 17), images)
    weights = rng.integers(0, 4, (7, len(images)))
    many = metrics_of(matches, weights)
    assert many.shape == (7, 10)
    for row, values in zip(weights, many.tolist(), strict=True):
        assert dict(zip(METRICS, values, strict=True)) == ap_of(matches, row)


def test_one_weight_per_picture_is_expected() -> None:
    points = np.full((17, 3), 2.0)
    results = Results.of_entries([detection(1, points, 0.5)], 17)
    matches = image_matches(truth_of([1, 2], [annotation(1, 1, points)]), results, [1, 2])
    with pytest.raises(ValueError, match=r"weights: shape \(3,\), expected \(2,\)"):
        ap_of(matches, np.ones(3))


def test_persons_of_several_categories_are_refused() -> None:
    points = np.full((17, 3), 2.0)
    annotations = [annotation(1, 1, points), annotation(2, 1, points, category_id=2)]
    truth = truth_of([1], annotations, (1, 2))
    with pytest.raises(DataError, match=r"truth.json: persons of the categories \[1, 2\], expected one category"):
        image_matches(truth, Results.of_entries([detection(1, points, 0.5)], 17), [1])


@pytest.mark.parametrize("found", [0, 3])
def test_pictures_of_nobody(found: int) -> None:
    points = np.full((17, 3), 2.0)
    results = Results.of_entries([detection(1, points, 0.5)] * found, 17)
    truth = truth_of([1, 2], [])
    assert ap_of(image_matches(truth, results, [1, 2])) == keypoint_metrics(truth, results, [1, 2])
