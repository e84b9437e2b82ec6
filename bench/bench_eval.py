"""``hrnetae eval`` from end to end in a process of its own: a vamp folder in, ten metrics out, two workers.

The folder holds hard links to fewer distinct outputs, in the page cache. ``--full`` takes as many images as COCO's
validation set has.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.scenes import SEED, Inputs, arrays_of, copier, ring_of
from bench.timing import beside
from hrnetae.evaluation.synthetic import Scene, draw_scene, ground_truth
from hrnetae.files import write_outputs

SMALL, FULL = (200, 50), (5000, 200)  # images, distinct ones among them
SIZES = ((640, 480), (480, 640), (640, 427), (427, 640), (500, 375), (333, 500))
MEAN_PEOPLE = 2.5  # of the drawn scenes; COCO's pictures with people have about four, and every second has none
EVAL = "import sys; from hrnetae.tools.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.mark.usefixtures("suite")
def bench_eval(benchmark: BenchmarkFixture, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    images, scenes = draw_folder(tmp_path, request)
    ring = ring_of([Inputs(scene.output, scene.flipped, scene.image_size) for scene in scenes[:8]])
    arrays, copy = [arrays_of(inputs) for inputs in ring], copier(ring[0])
    reports: list[dict[str, Any]] = []
    peaks: list[int] = []

    def evaluate(folder: Path) -> None:
        report, peak = run_eval(folder)
        reports.append(report)
        peaks.append(peak)

    def copy_all(count: int) -> None:
        for i in range(count):
            copy(arrays[i % len(arrays)])

    title = f"{images} images, two workers"
    beside(benchmark, title, [tmp_path], evaluate, [images], copy_all, "cold copy of all inputs", seconds=0, fewest=2)
    report = reports[-1]
    benchmark.extra_info.update(
        images=images, persons=report["persons"], peak_mb=round(max(peaks) / 1e6), seconds=report["seconds"]
    )


def draw_folder(folder: Path, request: pytest.FixtureRequest) -> tuple[int, list[Scene]]:
    """Writes a folder of as many images as are asked for. Returns how many, and the distinct scenes among them."""
    images, distinct = FULL if request.config.getoption("--full") else SMALL
    rng = np.random.default_rng(SEED)
    scenes = [draw_scene(rng, int(rng.poisson(MEAN_PEOPLE)), SIZES[i % len(SIZES)], noise=1.0) for i in range(distinct)]
    write_folder(folder, scenes, images)
    return images, scenes


def write_folder(folder: Path, scenes: list[Scene], images: int) -> None:
    """output_000000.npz ... (image, flip, image, ...), datalist.txt, and the ground truth of all images."""
    lines: list[str] = []
    truth = ground_truth([scenes[i % len(scenes)] for i in range(images)])
    for i, image in enumerate(truth["images"]):
        scene, stem = scenes[i % len(scenes)], Path(image["file_name"]).stem
        for name, maps in ((stem, scene.output), (f"{stem}_flip", scene.flipped)):
            path = folder / f"output_{len(lines):06d}.npz"
            if i < len(scenes):
                write_outputs(path, [np.asarray(maps)])
            else:
                os.link(folder / f"output_{len(lines) % (2 * len(scenes)):06d}.npz", path)
            lines.append(f"{name}.npz\n")
    (folder / "datalist.txt").write_text("".join(lines))
    (folder / "person_keypoints_val2017.json").write_text(json.dumps(truth))


def run_eval(folder: Path) -> tuple[dict[str, Any], int]:
    """The report of one evaluation, and the peak memory in bytes of its process and that one's children together."""
    with subprocess.Popen(eval_command(folder), stdout=subprocess.PIPE) as process:
        done = threading.Event()
        peak = [0]

        def watch() -> None:
            while not done.wait(0.02):
                peak[0] = max(peak[0], sum(map(memory_of, family_of(process.pid))))

        watcher = threading.Thread(target=watch)
        watcher.start()
        text, _ = process.communicate()
        done.set()
        watcher.join()
    assert process.returncode == 0
    report: dict[str, Any] = json.loads(text)
    return report, peak[0]


def eval_command(folder: Path, *more: str | Path) -> list[str]:
    """hrnetae eval of such a folder, with two workers."""
    options = ["--data_root", folder, "--output_data", folder, "--datalist_txt", folder / "datalist.txt", *more]
    return [sys.executable, "-c", EVAL, "eval", *map(str, options), "--num_process", "2", "--json"]


def family_of(pid: int) -> list[int]:
    """A process and its descendants; empty where it is gone or the system does not tell."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return [pid, *(relative for child in children for relative in family_of(child))]


def memory_of(pid: int) -> int:
    """Bytes in memory; pages that several processes share count in parts (Linux's Pss)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:")), 0)
