"""The same outputs give the same results file, byte for byte, whichever way they are decoded."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden import SHARED, Golden, own_cases
from numpy.typing import NDArray

from hrnetae import Decoder, Poses, dispatch
from hrnetae.evaluation.evaluate import EvalJob, evaluate
from hrnetae.evaluation.ground_truth import load_ground_truth
from hrnetae.evaluation.results import Results, write_results
from hrnetae.files import find_outputs, write_outputs
from hrnetae.params import DecodeParams
from hrnetae.skeleton import COCO17

NAMES = ("golden", "mmpose1", "tag_shared", "udp", "realnet")


# --------------------------------------------------------------------------------------------------------- the outputs


def golden_sets() -> dict[str, list[Golden]]:
    """The recorded cases that a folder of outputs can hold, by their parameters: one scale, COCO's joints."""
    sets: dict[str, list[Golden]] = {name: [] for name in NAMES[:-1]}
    for case in own_cases():
        golden = case.load()
        if golden.skeleton != COCO17 or "out" not in golden.arrays:
            continue
        names = [name for name in NAMES[1:-1] if name in golden.name]
        assert names or golden.params == DecodeParams()
        sets[names[0] if names else "golden"].append(golden)
    return sets


def write_folder(root: Path, cases: list[Golden]) -> EvalJob:
    lines, images = [], []
    for number, case in enumerate(cases):
        given = case.inputs()
        for suffix, stages in (("", given["output"]), ("_flip", given["flipped"])):
            stages = [stages] if isinstance(stages, np.ndarray) else stages
            write_outputs(root / "out" / f"output_{len(lines):06d}.npz", stages)
            lines.append(f"{case.name}{suffix}.npz\n")
        width, height = case.image_size
        images.append({"id": number, "file_name": f"{case.name}.jpg", "width": width, "height": height})
    (root / "list.txt").write_text("".join(lines))
    truth = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "person"}]}
    (root / "person_keypoints_val2017.json").write_text(json.dumps(truth))
    return EvalJob(root / "out", root / "list.txt", root, params=cases[0].params)


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, EvalJob]:
    """What is decoded, by name; "realnet" only where the recorded inputs are."""
    root = tmp_path_factory.mktemp("same")
    jobs = {name: write_folder(root / name, cases) for name, cases in golden_sets().items()}
    if SHARED is not None:
        sample = SHARED / "realnet" / "sample"
        jobs["realnet"] = EvalJob(sample, sample / "datalist.txt", SHARED / "coco")
    return jobs


@pytest.fixture(scope="module")
def expected(jobs: Mapping[str, EvalJob], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    root = tmp_path_factory.mktemp("expected")
    return {name: run(job, root / name) for name, job in jobs.items()}


def run(job: EvalJob, out: Path, **changes: Any) -> bytes:
    evaluate(dataclasses.replace(job, out=out, **changes))
    return out.read_bytes()


# ------------------------------------------------------------------------------------------------------------ the ways

Arrays = list[NDArray[np.floating[Any]]]


def with_workers(count: int) -> Callable[[EvalJob, Path], bytes]:
    return lambda job, folder: run(job, folder / "r.json", workers=count)


def again(job: EvalJob, folder: Path) -> bytes:
    first, second = run(job, folder / "1.json"), run(job, folder / "2.json")
    assert first == second
    return second


def resumed(job: EvalJob, folder: Path) -> bytes:
    def told(done: int, total: int) -> None:
        if done == (total + 1) // 2:
            raise KeyboardInterrupt

    out = folder / "r.json"
    with pytest.raises(KeyboardInterrupt):
        evaluate(dataclasses.replace(job, out=out), told)
    return run(job, out, resume=True)


def loaded(job: EvalJob, folder: Path, mapped: bool) -> list[tuple[Arrays, Arrays, tuple[int, int], int]]:
    """Each picture's stages, plain and mirrored, its size and id; in memory or mapped from npy files."""
    truth = load_ground_truth(job.data_root / "person_keypoints_val2017.json")  # type: ignore[operator]
    pictures = []
    for number, sample in enumerate(find_outputs(job.output_data, job.datalist).samples):
        pair: list[Arrays] = []
        for path in (sample.output, sample.flipped):
            assert path is not None
            with np.load(path) as file:
                stages = [file[key] for key in sorted(file.files)]
            if mapped:
                for stage, array in enumerate(stages):
                    np.save(folder / f"{number}_{len(pair)}_{stage}.npy", array)
                    stages[stage] = np.load(folder / f"{number}_{len(pair)}_{stage}.npy", mmap_mode="r")
            pair.append(stages)
        picture = truth.picture(sample.stem)
        pictures.append((pair[0], pair[1], picture.size, picture.id))
    return pictures


def written(poses: list[Poses], ids: list[int], folder: Path) -> bytes:
    write_results(folder / "r.json", Results.joined(list(map(Results.of_poses, poses, ids))))
    return (folder / "r.json").read_bytes()


def one_by_one(job: EvalJob, folder: Path, mapped: bool = False) -> bytes:
    decoder, pictures = Decoder(job.params), loaded(job, folder, mapped)
    poses = [decoder.decode(output, flipped, image_size=size) for output, flipped, size, _ in pictures]
    return written(poses, [each[3] for each in pictures], folder)


def in_a_batch(job: EvalJob, folder: Path, mapped: bool = False, threads: int = 2) -> bytes:
    outputs, flipped, sizes, ids = (list(column) for column in zip(*loaded(job, folder, mapped), strict=True))
    return written(Decoder(job.params).decode_batch(outputs, flipped, image_sizes=sizes, threads=threads), ids, folder)


WAYS: dict[str, Callable[[EvalJob, Path], bytes]] = {
    "1 worker": with_workers(1),
    "2 workers": with_workers(2),
    "8 workers": with_workers(8),
    "a second time": again,
    "stopped and resumed": resumed,
    "checksums compared": lambda job, folder: run(job, folder / "r.json", verify=True),
    "one by one": one_by_one,
    "one by one, mapped": functools.partial(one_by_one, mapped=True),
    "a batch": in_a_batch,
    "a batch, 1 thread": functools.partial(in_a_batch, threads=1),
    "a batch, mapped, 8 threads": functools.partial(in_a_batch, mapped=True, threads=8),
}

needs_shared = [
    pytest.mark.shared,
    pytest.mark.skipif(SHARED is None, reason="the recorded inputs (../shared or HRNETAE_SHARED) are absent"),
]
each_folder = pytest.mark.parametrize("name", [*NAMES[:-1], pytest.param(NAMES[-1], marks=needs_shared)])


@pytest.mark.parametrize("way", WAYS)
@each_folder
def test_the_results_are_the_same_bytes(
    name: str, way: str, jobs: Mapping[str, EvalJob], expected: Mapping[str, bytes], tmp_path: Path
) -> None:
    assert len(json.loads(expected[name])) > 0
    assert WAYS[way](jobs[name], tmp_path) == expected[name]


# ---------------------------------------------------------------------------------------------------------- the levels

_ALL = """
import dataclasses, pickle, sys
from pathlib import Path
from hrnetae import dispatch
from hrnetae.evaluation.evaluate import evaluate
assert dispatch.LEVEL == sys.argv[2]
for name, job in pickle.loads(sys.stdin.buffer.read()).items():
    evaluate(dataclasses.replace(job, out=Path(sys.argv[1]) / name, workers=2))
"""


@pytest.fixture(scope="module", params=list(dispatch.LEVELS))
def of_level(
    request: pytest.FixtureRequest, jobs: Mapping[str, EvalJob], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """The results by a process that was told which instructions to use."""
    level = request.param
    if level not in dispatch.available_levels():
        pytest.skip(f"this processor does not have {level}")
    folder = tmp_path_factory.mktemp(level)
    command = [sys.executable, "-c", _ALL, str(folder), level]
    environment = os.environ | {dispatch.VARIABLE: level}
    subprocess.run(command, input=pickle.dumps(dict(jobs)), env=environment, check=True, timeout=300)
    return {name: (folder / name).read_bytes() for name in jobs}


@each_folder
def test_every_level_gives_the_same_bytes(
    name: str, of_level: Mapping[str, bytes], expected: Mapping[str, bytes]
) -> None:
    assert of_level[name] == expected[name]
