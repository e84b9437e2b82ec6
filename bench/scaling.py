"""``python -m bench.scaling``: eval and convert-image on 1 and 2 workers: threads, processes, a Dask cluster.

The ways take turns on the same files, which the page cache holds, with their workers started and warm; so the ratios
are what to look at. The cluster, which uses a little of a processor all the time, runs after the others. Prints the
median of images a second by the clock and of processor seconds an image, of this process and its workers (which other
load on the machine spoils less), with their ratios to one thread's; and what travels: bytes of an image on its way to
a worker and of what comes back, and the bytes that are read beside it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import pickle
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench import machine
from bench.bench_eval import MEAN_PEOPLE, SIZES, family_of, write_folder
from bench.scenes import SEED
from hrnetae.evaluation.decoding import PieceDecoder, Task
from hrnetae.evaluation.evaluate import EvalJob, evaluate
from hrnetae.evaluation.ground_truth import load_ground_truth
from hrnetae.evaluation.synthetic import draw_scene
from hrnetae.files import find_outputs
from hrnetae.runtime.conversion import ConvertJob, convert
from hrnetae.tools.dask_workers import workers_of

PIECE = 16  # images


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--images", type=int, default=800, help="network outputs, and half as many pictures")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args(argv)
    others = machine.Others()
    with tempfile.TemporaryDirectory() as name:
        outputs, pictures = Path(name) / "outputs", Path(name) / "pictures"
        draw_outputs(outputs, args.images)
        draw_pictures(pictures, args.images // 2)
        found: dict[str, dict[str, list[Seconds]]] = {"eval": {}, "convert-image": {}}
        for kinds in TOGETHER:
            with ExitStack() as stack:
                ways = {
                    f"{kind}, {count}": stack.enter_context(KINDS[kind](count)) for count in (1, 2) for kind in kinds
                }
                found["eval"] |= measure(partial(run_eval, outputs), ways, args.rounds)
                found["convert-image"] |= measure(partial(run_convert, pictures), ways, args.rounds)
        report("eval", found["eval"], args.images)
        report("convert-image", found["convert-image"], args.images // 2)
        print_travel(outputs)
    print(f"others kept {others.processors()} processors busy meanwhile; {machine.describe()}")
    return 0


# ----------------------------------------------------------------------------------------------------------- the files


def draw_outputs(folder: Path, images: int) -> None:
    """As vamp leaves them: float16, 34 x 128 x 128, with flips; a hundred different ones."""
    folder.mkdir()
    rng = np.random.default_rng(SEED)
    count = min(images, 100)
    scenes = [draw_scene(rng, int(rng.poisson(MEAN_PEOPLE)), SIZES[i % len(SIZES)], noise=1.0) for i in range(count)]
    write_folder(folder, scenes, images)


def draw_pictures(folder: Path, images: int) -> None:
    """JPEG files of 640 x 480, smooth enough to be of a photograph's size."""
    import cv2

    folder.mkdir()
    rng = np.random.default_rng(SEED)
    for number in range(images):
        coarse = rng.integers(0, 256, (60, 80, 3), np.uint8)
        cv2.imwrite(str(folder / f"{number:06d}.jpg"), cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC))


# ------------------------------------------------------------------------------------------------------------ the ways

Seconds = tuple[float, float]  # by the clock, and of the processors
Way = tuple[int, Any]  # workers, and their executor; None: threads of this process


@contextmanager
def threads(count: int) -> Iterator[Way]:
    yield count, None


@contextmanager
def processes(count: int) -> Iterator[Way]:
    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield count, pool


@contextmanager
def dask(count: int) -> Iterator[Way]:
    import distributed

    cluster = distributed.LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=":0", silence_logs=50)
    with cluster, workers_of(cluster.scheduler_address, 1, []) as workers:
        yield workers.count, workers.executor


KINDS = {"threads": threads, "processes": processes, "dask": dask}
TOGETHER = (("threads", "processes"), ("dask",))  # a cluster is busy when it has nothing to do, too


def run_eval(folder: Path, workers: int, executor: Any) -> float:
    """Seconds of reading and decoding."""
    job = EvalJob(folder, folder / "datalist.txt", folder, workers=workers)
    return evaluate(job, executor=executor).seconds["wall"]


def run_convert(folder: Path, workers: int, executor: Any) -> float:
    with tempfile.TemporaryDirectory(dir=folder.parent) as target:
        start = time.perf_counter()
        convert(ConvertJob(folder, Path(target), workers=workers), executor=executor)
        return time.perf_counter() - start


def measure(run: Callable[[int, Any], float], ways: dict[str, Way], rounds: int) -> dict[str, list[Seconds]]:
    found: dict[str, list[Seconds]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            before = used_so_far()
            took = run(*way)
            if number:  # the first round starts the workers
                found[name].append((took, used_so_far() - before))
    return found


def used_so_far() -> float:
    """Processor seconds of this process and all that it has started and that live."""
    ticks = 0
    for pid in family_of(os.getpid()):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


# --------------------------------------------------------------------------------------------------------- the figures


def report(title: str, found: dict[str, list[Seconds]], images: int) -> None:
    wall_of_one, used_by_one = (median(column) for column in zip(*next(iter(found.values())), strict=True))
    for name, samples in found.items():
        wall, used = (median(column) for column in zip(*samples, strict=True))
        print(
            f"{title:14} {name:13} {images / wall:8.1f} images/s, {wall_of_one / wall:5.2f} of one thread"
            f"   {1000 * used / images:8.2f} ms of a processor an image, {used / used_by_one:5.2f} of one thread"
        )


def print_travel(folder: Path) -> None:
    """What of an image goes to a worker, comes back, and is read there."""
    truth = load_ground_truth(folder / "person_keypoints_val2017.json")
    samples = find_outputs(folder, folder / "datalist.txt").samples[:PIECE]
    piece = [Task(sample, truth.picture(sample.stem)).absolute() for sample in samples]
    decode = PieceDecoder(EvalJob(folder).params, EvalJob(folder).skeleton, False)
    there, back = len(pickle.dumps((decode, piece))), len(pickle.dumps(decode(piece)))
    read = sum(path.stat().st_size for sample in samples for path in (sample.output, sample.flipped) if path)
    persons = len(decode(piece).results)
    print(
        f"eval, an image: {there / len(piece):.0f} bytes to the worker, {back / len(piece):.0f} back "
        f"({persons / len(piece):.1f} persons), {read / len(piece):,.0f} read there"
    )


if __name__ == "__main__":
    sys.exit(main())
