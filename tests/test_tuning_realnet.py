"""The tuning on outputs of a trained network: what it finds on one half of the pictures holds on the other half."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
from golden import SHARED
from test_flow import run_flow

from hrnetae.decoder import Decoder
from hrnetae.evaluation.ground_truth import GroundTruth, Picture, load_ground_truth
from hrnetae.evaluation.matches import ap_of, image_matches
from hrnetae.evaluation.results import Results
from hrnetae.files.folders import Sample, find_outputs
from hrnetae.params import DecodeParams
from hrnetae.tuning import Outputs, Trials, Tuning, sieve_of, tune

MEMORY = 1 << 30
pytestmark = [
    pytest.mark.shared,
    pytest.mark.slow,
    pytest.mark.skipif(SHARED is None, reason="the recorded inputs (../shared or HRNETAE_SHARED) are absent"),
]
Half = tuple[list[Sample], list[Picture]]


@pytest.fixture(scope="module")
def truth() -> GroundTruth:
    assert SHARED is not None
    return load_ground_truth(SHARED / "coco" / "person_keypoints_val2017.json")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    """The network's outputs of all pictures, with flips."""
    assert SHARED is not None
    root = tmp_path_factory.mktemp("realnet")
    out = run_flow(root, SHARED / "coco" / "val2017")
    return list(find_outputs(out, root / "datalist.txt").samples)


def halves(samples: Sequence[Sample], truth: GroundTruth, seed: int) -> tuple[Half, Half]:
    order = np.random.default_rng(seed).permutation(len(samples))
    parts = [[samples[at] for at in sorted(part)] for part in np.array_split(order, 2)]
    first, second = [(part, [truth.picture(sample.stem) for sample in part]) for part in parts]
    return first, second


def tuned_on(half: Half, truth: GroundTruth, seed: int = 0) -> Tuning:
    samples, pictures = half
    outputs = Outputs(samples, pictures, MEMORY)
    return tune(Trials(outputs, truth, sieve_of(len(pictures), seed), workers=2), seed=seed)


def ap_on(half: Half, truth: GroundTruth, params: DecodeParams) -> float:
    samples, pictures = half
    outputs, decoder = Outputs(samples, pictures, MEMORY), Decoder(params)
    parts = []
    for at, picture in enumerate(pictures):
        output, flipped = outputs.pair(at)
        parts.append(Results.of_poses(decoder.decode(output, flipped, image_size=picture.size), picture.id))
    return ap_of(image_matches(truth, Results.joined(parts), [picture.id for picture in pictures]))["AP"]


def shuffled(truth: GroundTruth, pictures: Sequence[Picture], seed: int) -> GroundTruth:
    """The same annotations, each picture's given to another picture of ``pictures``."""
    ids = [picture.id for picture in pictures]
    given = dict(zip(ids, np.random.default_rng(seed).permutation(ids).tolist(), strict=True))
    annotations = [
        {**one, "image_id": given[one["image_id"]]} for one in truth.dataset["annotations"] if one["image_id"] in given
    ]
    return dataclasses.replace(truth, dataset={**truth.dataset, "annotations": annotations})


def test_what_one_half_finds_is_worth_a_point_on_the_other(samples: list[Sample], truth: GroundTruth) -> None:
    gains = []
    for seed in range(2):
        first, second = halves(samples, truth, seed)
        for training, held_out in ((first, second), (second, first)):
            tuning = tuned_on(training, truth)
            assert tuning.params == (tuning.found if tuning.verdict.significant else DecodeParams())
            gains.append(ap_on(held_out, truth, tuning.params) - ap_on(held_out, truth, DecodeParams()))
    assert np.mean(gains) >= 0.01, gains


def test_of_other_pictures_people_there_is_nothing_to_learn(samples: list[Sample], truth: GroundTruth) -> None:
    pictures = [truth.picture(sample.stem) for sample in samples]
    found = [tuned_on((samples, pictures), shuffled(truth, pictures, seed)) for seed in range(2)]
    assert [tuning.verdict.significant for tuning in found] == [False, False]
    assert [tuning.params for tuning in found] == [DecodeParams()] * 2
