"""The public API as its users write it. Never run, but checked by `mypy --strict`.

assert_type fails where a call gives another type than the one named.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import hrnetae
from hrnetae import COCO17, CROWDPOSE14, DecodeParams, Decoder, PoseEstimator, Poses, Skeleton, TopK
from hrnetae.compat import AssociativeEmbedding, HeatmapParser
from hrnetae.evaluation.evaluate import EvalJob, EvalReport, evaluate
from hrnetae.evaluation.results import Results
from hrnetae.geometry import Letterbox
from hrnetae.rescoring import Rescoring

Floats = NDArray[np.float32]


def decoder(output: NDArray[np.float16], flipped: Floats) -> None:
    params = DecodeParams(detection_threshold=0.2, input_size=(512, 512))
    assert_type(params.replace(refine=False), DecodeParams)
    assert_type(params.to_dict(), dict[str, Any])
    assert_type(DecodeParams.from_json("params.json"), DecodeParams)
    assert_type(params.rescoring, Rescoring | None)
    assert_type(params.input_size, tuple[int, int] | None)
    one = Decoder(params, skeleton=CROWDPOSE14)
    assert_type(one.params, DecodeParams)
    assert_type(one.skeleton, Skeleton)
    assert_type(one.decode(output, flipped, image_size=(640, 480)), Poses)
    assert_type(Decoder().decode([output, output], None, image_size=(640, 480)), Poses)
    assert_type(Decoder().decode([[output]] * 2, [[output]] * 2, image_size=(640, 480), scales=(1.0, 0.5)), Poses)
    assert_type(Decoder().decode_batch([output], [flipped], image_sizes=[(640, 480)], threads=2), list[Poses])
    assert_type(Decoder().decode_batch(np.stack([output]), image_sizes=[(640, 480)]), list[Poses])
    assert_type(Decoder().decode_features(output, image_size=(640, 480)), tuple[Poses, NDArray[np.float64]])


def poses(people: Poses) -> None:
    assert_type(people.keypoints, Floats)
    assert_type(people.scores, Floats)
    assert_type(people.tags, Floats)
    assert_type(len(people), int)
    assert_type(people[0], Poses)
    assert_type(people[1:], Poses)
    assert_type(list(people), list[Poses])
    assert_type(people.boxes(), Floats)
    assert_type(people.person_scores(), Floats)
    assert_type(people.to_coco(image_id=1), list[dict[str, Any]])
    assert_type(people.to_records("picture"), list[dict[str, Any]])
    assert_type(people.skeleton.joints, tuple[str, ...])


def steps(output: Floats) -> None:
    heat, tags = hrnetae.project(output, image_size=(640, 480), params=DecodeParams(), skeleton=COCO17)
    assert_type(heat, Floats)
    assert_type(tags, Floats)
    peaks = hrnetae.heatmap_nms(heat, kernel=5)
    assert_type(peaks, Floats)
    found = hrnetae.top_k(peaks, tags)
    assert_type(found, TopK)
    assert_type(found.values, Floats)
    assert_type(found.x, NDArray[np.int32])
    persons = hrnetae.group_by_tag(*found)
    assert_type(persons, Floats)
    assert_type(hrnetae.refine(hrnetae.adjust(persons, heat), heat, tags), Floats)


def skeleton() -> None:
    three = Skeleton("three", ("a", "b", "c"), flip_pairs=((1, 2),))
    assert_type(three.flip_index, tuple[int, ...])
    assert_type(len(three), int)


def evaluation(folder: Path) -> None:
    report = evaluate(EvalJob(output_data=folder, data_root=folder, workers=4, out=Path("results.json")))
    assert_type(report, EvalReport)
    assert_type(report.metrics["AP"], float)
    assert_type(report.results, Results)
    assert_type(report.images_per_s, float)


def estimator(picture: NDArray[np.uint8]) -> None:
    estimate = PoseEstimator("model", "vdsp.json", flip=False)
    assert_type(estimate, PoseEstimator)
    people = estimate(picture)
    assert_type(people, Poses)
    assert_type(hrnetae.draw(picture, people), NDArray[np.uint8])


def compat(heatmaps: object, tags: object) -> None:
    parser = HeatmapParser({"num_joints": 17})
    assert_type(parser.parse(heatmaps, tags)[0], list[Floats])
    assert_type(parser.nms(heatmaps), Floats)
    codec = AssociativeEmbedding(input_size=(512, 512), heatmap_size=(128, 128))
    assert_type(codec.batch_decode(heatmaps, tags), tuple[list[Floats], ...])


def geometry() -> None:
    where = Letterbox.fit((640, 480), (512, 512))
    assert_type(where, Letterbox)
    assert_type(where.to_image(np.zeros((3, 2))), NDArray[np.floating[Any]])


def native() -> None:
    assert_type(hrnetae.get_include(), str)
    assert_type(hrnetae.get_library(), str)
    assert_type(hrnetae.__version__, str)
