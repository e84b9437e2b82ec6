"""What the tests of the report look at: drawn pictures with planted errors, and a large data set without pictures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.evaluation.analysis import analyse
from hrnetae.evaluation.drawn_scenes import draw_scene, scenes_ground_truth
from hrnetae.evaluation.findings import Analysis
from hrnetae.evaluation.ground_truth import GroundTruth, load_ground_truth
from hrnetae.evaluation.report.html import ReportJob
from hrnetae.evaluation.results import Results
from hrnetae.files.pictures import write_picture

PERSON = {"id": 1, "name": "person"}


@dataclass(frozen=True)
class Evaluated:
    """Ground truth, results and their analysis; the pictures lie in folder/val2017."""

    folder: Path
    truth: GroundTruth
    results: Results
    analysis: Analysis

    def job(self, out: Path, **settings: Any) -> ReportJob:
        return ReportJob(self.analysis, self.truth, self.results, out, **settings)


def results_of(found: list[tuple[int, NDArray[np.float64], float]]) -> Results:
    """found: (image id, (17, 3) keypoints, score)."""
    entries = []
    for image_id, points, score in found:
        low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
        entries.append(
            {
                "image_id": image_id,
                "category_id": 1,
                "keypoints": points.ravel().tolist(),
                "score": score,
                "bbox": [*low.tolist(), *(high - low).tolist()],
            }
        )
    return Results.of_entries(entries, 17)


def drawn(folder: Path, count: int) -> Evaluated:
    """So many drawn pictures. Everybody is found but in picture 1 one; in picture 2 there are two strangers, a strong
    and a weak one; in picture 3 everybody's left and right wrists are exchanged."""
    scenes = [draw_scene(seed) for seed in range(count)]
    dataset = scenes_ground_truth(scenes)
    for image, scene in zip(dataset["images"], scenes, strict=True):
        path = folder / "val2017" / image["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        write_picture(path, scene.picture)
    found = []
    lacking = True
    for number, annotation in enumerate(dataset["annotations"]):
        points = np.array(annotation["keypoints"], np.float64).reshape(17, 3)
        points[:, 2] = np.where(points[:, 2] > 0, 0.9, 0.01)
        if annotation["image_id"] == 1 and lacking:
            lacking = False
            continue
        if annotation["image_id"] == 3:
            points[[9, 10]] = points[[10, 9]]
        found.append((annotation["image_id"], points, 0.9 - 0.001 * number))
    for score in (0.8, 0.1):
        found.append((2, np.c_[np.linspace(1, 40, 17), np.linspace(60, 1, 17), np.full(17, 0.8)], score))
    return evaluated(folder, dataset, results_of(found))


def evaluated(folder: Path, dataset: dict[str, Any], results: Results, name: str = "truth.json") -> Evaluated:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(dataset))
    truth = load_ground_truth(folder / name)
    analysis = analyse(truth, results, [image["id"] for image in dataset["images"]])
    return Evaluated(folder, truth, results, analysis)


def large(folder: Path, pictures: int) -> Evaluated:
    """A data set as large as COCO's, each picture of 640 x 480 pixels; all its names lead to one file of noise, which
    is as large as a picture gets."""
    rng = np.random.default_rng(0)
    (folder / "val2017").mkdir(parents=True)
    write_picture(folder / "noise.jpg", rng.integers(0, 256, (480, 640, 3)).astype(np.uint8))
    images, annotations, found = [], [], []
    for image_id in range(1, pictures + 1):
        name = f"{image_id:012d}.jpg"
        images.append({"id": image_id, "file_name": name, "width": 640, "height": 480})
        (folder / "val2017" / name).symlink_to(folder / "noise.jpg")
        for _ in range(rng.integers(1, 5)):
            height = rng.uniform(40, 400)
            middle = rng.uniform((60, 60), (580, 420))
            points = middle + rng.uniform(-0.5, 0.5, (17, 2)) * (height / 2.5, height)
            seen = rng.choice(3, 17, p=(0.3, 0.2, 0.5))
            seen[0] = 2
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": 1,
                    "iscrowd": 0,
                    "keypoints": np.c_[points * (seen > 0)[:, None], seen].ravel().tolist(),
                    "num_keypoints": int(np.count_nonzero(seen)),
                    "area": height * height / 4,
                    "bbox": [*(middle - (height / 5, height / 2)).tolist(), height / 2.5, height],
                }
            )
            if rng.random() < 0.9:
                off = rng.normal(0, 0.02 * height, (17, 2)) + rng.normal(0, 80, (17, 2)) * (rng.random((17, 1)) < 0.05)
                found.append((image_id, np.c_[points + off, rng.uniform(0.2, 1, 17)], float(rng.random())))
        if rng.random() < 0.8:
            found.append((image_id, np.c_[rng.uniform(0, 480, (17, 2)), rng.random(17)], 0.4 * float(rng.random())))
    dataset = {"images": images, "annotations": annotations, "categories": [PERSON]}
    return evaluated(folder, dataset, results_of(found))
