"""What people look at, beside the plain evaluation of the same folder: its report, and the comparison of two results.

Each in a process of its own, with two workers; ``--full`` takes as many images as COCO's validation set has.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.bench_eval import EVAL, draw_folder, eval_command
from bench.timing import beside

ROUNDS = 1000  # of the bootstrap


def run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.usefixtures("suite")
def bench_report(benchmark: BenchmarkFixture, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    images, _ = draw_folder(tmp_path, request)
    with_report = eval_command(tmp_path, "--report", tmp_path / "report")
    title = f"eval --report, {images} images"
    beside(benchmark, title, [with_report], run, [eval_command(tmp_path)], run, "eval alone", seconds=0, fewest=2)
    benchmark.extra_info.update(images=images)


@pytest.mark.usefixtures("suite")
def bench_compare(benchmark: BenchmarkFixture, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Two results files, a thousand draws of the images."""
    images, _ = draw_folder(tmp_path, request)
    columns = []
    for name, more in (("flip", ()), ("plain", ("--no_flip",))):
        run(eval_command(tmp_path, "--out", tmp_path / f"{name}.json", *more))
        columns.append(str(tmp_path / f"{name}.json"))
    words = ["--ann_file", str(tmp_path / "person_keypoints_val2017.json"), "--num_process", "2"]
    command = [sys.executable, "-c", EVAL, "compare", *columns, *words, "--rounds", str(ROUNDS), "--json"]
    title = f"compare, {images} images, {ROUNDS} draws"
    beside(benchmark, title, [command], run, [eval_command(tmp_path)], run, "eval alone", seconds=0, fewest=2)
    benchmark.extra_info.update(images=images)
