"""A long evaluation: memory holds what is kept of each person, and does not grow with the pictures beside that.

    python tests/soak_eval.py --pictures 20000

The folder has as many outputs as the list has pictures, hard links to a few drawn ones, so that it takes little room.
Memory is taken while the evaluation goes on, after the first pictures and after the last. What malloc has given out
between the two is the persons' columns and a tenth; what the process has got is that, the arrays' own words and those
of the two paths of each picture, which a path keeps once it has been opened.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import memory
import numpy as np

from hrnetae.evaluation.evaluate import EvalJob, EvalReport, evaluate
from hrnetae.evaluation.results import Results
from hrnetae.evaluation.synthetic import draw_scene
from hrnetae.files.npz import write_outputs

AROUND = 1.1  # what malloc takes for the columns, as a multiple of their bytes
PER_PICTURE = 384  # bytes beside the columns
SLACK = 1.0  # MiB: pictures in work
_DRAWN = 16  # different pictures
_SIZE, _MAPS = (160, 120), (40, 40)
_FLIP = "_flip"


@dataclass(frozen=True)
class Moment:
    """pictures: done by then. resident: MiB. in_use: of it."""

    pictures: int
    resident: float
    in_use: memory.InUse


@dataclass(frozen=True)
class Held:
    """What an evaluation had in memory, early and after the last picture."""

    report: EvalReport
    early: Moment
    late: Moment

    @property
    def columns(self) -> float:
        """MiB of the persons that were found between the two."""
        share = 1 - self.early.pictures / self.late.pictures
        return share * bytes_per_person(self.report.results) * self.report.persons / memory.MIB

    @property
    def heap(self) -> tuple[float, float]:
        """MiB that malloc gave out between the two, and what is allowed."""
        return (self.late.in_use - self.early.in_use).heap / memory.MIB, AROUND * self.columns + SLACK

    @property
    def resident(self) -> tuple[float, float]:
        """MiB that the process got between the two, and what is allowed."""
        around = PER_PICTURE * (self.late.pictures - self.early.pictures) / memory.MIB
        return self.late.resident - self.early.resident, self.columns + around + SLACK

    @property
    def is_bounded(self) -> bool:
        return all(grown <= allowed for grown, allowed in (self.heap, self.resident))


def bytes_per_person(results: Results) -> float:
    """What the columns take for one person."""
    columns = [getattr(results, field.name) for field in fields(results)]
    return sum(column.nbytes for column in columns) / max(1, len(results))


def make_folder(folder: Path, pictures: int, seed: int = 0) -> EvalJob:
    """Outputs, their flips, a datalist and ground truth of so many pictures."""
    rng = np.random.default_rng(seed)
    scenes = [draw_scene(rng, int(rng.integers(0, 5)), _SIZE, _MAPS) for _ in range(_DRAWN)]
    outputs = folder / "outputs"
    outputs.mkdir(parents=True)
    for number, scene in enumerate(scenes):
        write_outputs(folder / f"drawn_{number}.npz", [scene.output])
        write_outputs(folder / f"drawn_{number}{_FLIP}.npz", [scene.flipped])
    images, annotations = [], []
    for number in range(pictures):
        drawn = number % _DRAWN
        for line, suffix in ((2 * number, ""), (2 * number + 1, _FLIP)):
            os.link(folder / f"drawn_{drawn}{suffix}.npz", outputs / f"output_{line:06d}.npz")
        images.append({"id": number, "file_name": f"{number:012d}.jpg", "width": _SIZE[0], "height": _SIZE[1]})
        for person in scenes[drawn].annotations:
            annotations.append(person | {"id": len(annotations) + 1, "image_id": number})
    names = (f"{number:012d}{suffix}.npz\n" for number in range(pictures) for suffix in ("", _FLIP))
    (folder / "datalist.txt").write_text("".join(names))
    truth = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    (folder / "truth.json").write_text(json.dumps(truth))
    return EvalJob(outputs, folder / "datalist.txt", ann_file=folder / "truth.json", workers=2)


def evaluate_measured(job: EvalJob, early: int, told: Callable[[], None] | None = None) -> Held:
    """The evaluation of `make_folder`'s job, and what it held after ``early`` pictures and the last. told: of each."""
    moments = []

    def look(done: int, total: int) -> None:
        if told is not None:
            told()
        if done in (early, total):
            moments.append(Moment(done, memory.settled(), memory.in_use()))

    report = evaluate(job, look)
    return Held(report, *moments)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if memory grew by the persons' columns alone."""
    parser = argparse.ArgumentParser(description="An evaluation of many pictures in bounded memory.")
    parser.add_argument("--pictures", type=int, default=20_000, help="how many (default: %(default)s)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        held = evaluate_measured(make_folder(Path(folder), options.pictures), options.pictures // 10)
    report = held.report
    print(f"{report.images} pictures, {report.persons} persons, {report.seconds['total']:.1f} s")
    print(f"{bytes_per_person(report.results):.0f} bytes a person; peak of the process {memory.peak():.1f} MiB")
    for moment in (held.early, held.late):
        print(f"after {moment.pictures} pictures {moment.resident:.1f} MiB")
    for what, (grown, allowed) in (("in use", held.heap), ("resident", held.resident)):
        print(f"{what}: grown by {grown:.2f} MiB, allowed {allowed:.2f}")
    print("bounded" if held.is_bounded else "memory grew")
    return 0 if held.is_bounded else 1


if __name__ == "__main__":
    raise SystemExit(main())
