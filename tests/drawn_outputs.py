"""A small data set of drawn network outputs in every layout, with its ground truth, for the tests of `hrnetae eval`."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.files import write_outputs
from hrnetae.skeleton import COCO17

SIDE = 32  # of the drawn maps
# stem, id, (width, height), people; not in the order of the names, so that order is seen to be the datalist's
PICTURES = (("c", 30, (128, 96), 2), ("a", 7, (97, 128), 1), ("b", 12, (64, 64), 0), ("d e.1", 2, (111, 77), 3))


def place(seed: int, people: int) -> NDArray[np.int64]:
    """(P, 17, 2) cells (x, y), each person in a strip of its own."""
    rng = np.random.default_rng(seed)
    strip = SIDE // max(people, 1)
    x = rng.integers(1, strip - 1, (people, 17)) + strip * np.arange(people)[:, None]
    return np.stack([x, rng.integers(1, SIDE - 1, (people, 17))], axis=-1)


def draw(cells: NDArray[np.int64]) -> NDArray[np.float32]:
    """(1, 34, SIDE, SIDE): a blob per joint in the heatmaps, and the person's tag around it."""
    maps = np.zeros((1, 34, SIDE, SIDE), np.float32)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for person, joints in enumerate(cells):
        for joint, (x, y) in enumerate(joints):
            squared = (columns - x) ** 2 + (rows - y) ** 2
            maps[0, joint] = np.maximum(maps[0, joint], (0.9 - 0.1 * person) * np.exp(-squared / 2))
            maps[0, 17 + joint][squared <= 8] = 2.0 * person
    return maps


def mirrored(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    index = [*COCO17.flip_index, *(17 + k for k in COCO17.flip_index)]
    return maps[:, index, :, ::-1]


def annotate(cells: NDArray[np.int64], size: tuple[int, int], image_id: int) -> list[dict[str, Any]]:
    scale, entries = max(size) / SIDE, []
    for number, joints in enumerate(cells):
        points = (joints + 0.5) * scale + np.array(size) / 2 - max(size) / 2
        low, high = points.min(axis=0), points.max(axis=0)
        width, height = (high - low).tolist()
        entries.append(
            {
                "id": 100 * image_id + number,
                "image_id": image_id,
                "category_id": 1,
                "keypoints": np.c_[points, np.full(17, 2)].ravel().tolist(),
                "num_keypoints": 17,
                "area": width * height * 4,
                "bbox": [*low.tolist(), width, height],
                "iscrowd": 0,
            }
        )
    return entries


@dataclasses.dataclass(frozen=True)
class Dataset:
    """The same drawn outputs as vamp and as runstream leave them."""

    root: Path

    @property
    def vamp(self) -> Path:
        return self.root / "vamp"

    @property
    def runstream(self) -> Path:
        return self.root / "runstream"

    @property
    def flips(self) -> Path:
        return self.root / "flip" / "img"

    @property
    def datalist(self) -> Path:
        return self.root / "datalist.txt"

    @property
    def ann_file(self) -> Path:
        return self.root / "person_keypoints_val2017.json"

    def args(self, *more: str) -> list[str]:
        data = ["--data_root", self.root, "--output_data", self.vamp, "--datalist_txt", self.datalist]
        return [*map(str, data), "--num_process", "2", *more]

    def edit(self, change: Callable[[dict[str, Any]], None]) -> None:
        truth = json.loads(self.ann_file.read_text())
        change(truth)
        self.ann_file.write_text(json.dumps(truth))

    def under_many_names(self, root: Path, count: int) -> Dataset:
        """So many pictures, whose outputs are these again and again; links to them, except for few."""
        many = Dataset(root)
        many.vamp.mkdir(parents=True)
        truth, lines = json.loads(self.ann_file.read_text()), []
        images, truth["images"] = truth["images"], []
        for number in range(count):
            at = number % len(images)
            truth["images"].append(images[at] | {"id": 1000 + number, "file_name": f"p{number}.jpg"})
            for kind in range(2):
                source = self.vamp / f"output_{2 * at + kind:06d}.npz"
                (os.link if count > 100 else shutil.copy)(source, many.vamp / f"output_{len(lines):06d}.npz")
                lines.append(f"p{number}{'_flip' * kind}.npz\n")
        many.datalist.write_text("".join(lines))
        many.ann_file.write_text(json.dumps(truth))
        return many


def make_dataset(root: Path) -> Dataset:
    data = Dataset(root)
    lines: list[str] = []
    truth: dict[str, Any] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "person"}]}
    for number, (stem, image_id, size, people) in enumerate(PICTURES):
        cells = place(number, people)
        # The mirrored outputs have other noise, so that a mix-up of the two would be seen.
        noise = np.random.default_rng(number).normal(scale=0.02, size=(2, 1, 34, SIDE, SIDE)).astype(np.float32)
        output, flipped = draw(cells) + noise[0], mirrored(draw(cells) + noise[1])
        write_outputs(data.vamp / f"output_{len(lines):06d}.npz", [output])
        write_outputs(data.vamp / f"output_{len(lines) + 1:06d}.npz", [flipped])
        write_outputs(data.runstream / f"{stem}.npz", [output])
        write_outputs(data.flips / f"{stem}.npz", [flipped])
        lines += [f"npz/{stem}.npz\n", f"npz/{stem}_flip.npz\n"]
        truth["images"].append({"id": image_id, "file_name": f"{stem}.jpg", "width": size[0], "height": size[1]})
        truth["annotations"] += annotate(cells, size, image_id)
    data.datalist.write_text("".join(lines))
    data.ann_file.write_text(json.dumps(truth))
    return data
