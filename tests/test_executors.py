"""`eval` and `convert` over executors of every kind: the same bytes, few pieces under way, small messages."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_outputs import Dataset, make_dataset
from PIL import Image

from hrnetae.evaluation.decoding import PieceDecoder, Task
from hrnetae.evaluation.evaluate import EvalJob, evaluate
from hrnetae.evaluation.ground_truth import Picture
from hrnetae.files import DataError, Sample, find_outputs
from hrnetae.files.errors import AbsentError, not_for_workers
from hrnetae.params import DecodeParams
from hrnetae.runtime import conversion
from hrnetae.runtime.conversion import ConvertJob, convert
from hrnetae.skeleton import COCO17
from hrnetae.work import WorkerLostError, in_pieces, ordered_map


class Done:
    """The least that may come back from ``submit``."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def result(self) -> Any:
        """As a process gives it back."""
        return pickle.loads(self._value)


class Plain:
    """The least that an executor is: it does what it is given at once, from a copy, as if it were elsewhere."""

    def __init__(self) -> None:
        self.taken: list[int] = []  # bytes

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Done:
        message = pickle.dumps((fn, args))
        self.taken.append(len(message))
        function, arguments = pickle.loads(message)
        return Done(pickle.dumps(function(*arguments)))


def processes() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    with processes() as pool:
        yield pool


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("executors") / "data")


@pytest.fixture(params=["threads", "processes", "the least"])
def executor(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "threads":
        with ThreadPoolExecutor(2) as threads:
            yield threads
    elif request.param == "processes":
        yield request.getfixturevalue("pool")
    else:
        yield Plain()


def job_of(data: Dataset, out: Path) -> EvalJob:
    return EvalJob(data.vamp, data.datalist, data.root, workers=2, out=out)


# --------------------------------------------------------------------------------------------------------- same bytes


def test_eval_gives_the_same_bytes(
    data: Dataset, executor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = evaluate(job_of(data, tmp_path / "here.json"))
    monkeypatch.chdir(data.root)  # relative paths mean the same to workers elsewhere
    relative = EvalJob(Path("vamp"), Path("datalist.txt"), Path(), workers=2, out=tmp_path / "there.json")
    there = evaluate(relative, executor=executor)
    assert (tmp_path / "there.json").read_bytes() == (tmp_path / "here.json").read_bytes()
    assert there.metrics == here.metrics


def pictures(folder: Path, count: int = 6) -> Path:
    folder.mkdir()
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (20 + number, 30, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.npz"))}


def test_convert_gives_the_same_bytes(executor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pictures(tmp_path / "in")
    (folder / "3.png").write_bytes(b"no picture")
    job = ConvertJob(folder, tmp_path / "here", tmp_path / "here.txt", workers=2)
    here = convert(job)
    monkeypatch.chdir(tmp_path)
    there = convert(ConvertJob(Path("in"), Path("there"), Path("there.txt"), workers=2), executor=executor)
    assert contents(tmp_path / "there") == contents(tmp_path / "here") and len(contents(tmp_path / "here")) == 10
    lines = (tmp_path / "here.txt").read_text().replace("/here/", "/there/")
    assert (tmp_path / "there.txt").read_text() == lines
    assert there.failed == here.failed and len(here.failed) == 1
    again = convert(dataclasses.replace(job, resume=True), executor=executor)
    assert again.kept == 5 and contents(tmp_path / "here") == contents(tmp_path / "there")


# ------------------------------------------------------------------------------------------------------------- limits


def test_the_first_error_in_the_order_of_the_list(executor: Any, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    for number in (6, 2, 4):
        (data.vamp / f"output_{number:06d}.npz").write_bytes(b"x")
    with pytest.raises(DataError, match=r"output_000002\.npz: truncated"):
        evaluate(job_of(data, tmp_path / "r.json"), executor=executor)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_few_pieces_are_under_way() -> None:
    class Counting(Plain):
        """Knows how many results were not asked for yet."""

        waiting = most = 0

        def submit(self, fn: Callable[..., Any], /, *args: Any) -> Done:
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            done = super().submit(fn, *args)
            asked = done.result

            def result() -> Any:
                self.waiting -= 1
                return asked()

            done.result = result  # type: ignore[method-assign]
            return done

    counting = Counting()
    assert list(ordered_map(abs, range(-100, 0), 3, counting)) == list(range(100, 0, -1))
    assert counting.most == 6


def test_pieces_cover_all() -> None:
    for count in (0, 1, 5, 31, 32, 33, 1000):
        for workers in (1, 2, 8):
            pieces = list(in_pieces(range(count), workers))
            assert [item for piece in pieces for item in piece] == list(range(count))
            assert all(1 <= len(piece) <= 16 for piece in pieces)
            assert len(pieces) >= min(count, 2 * workers)


def test_what_travels_is_small(data: Dataset, tmp_path: Path) -> None:
    folder = Path("/data/some/where/deep/down/in/a/file/system/of/many/users/model_throughput_npz")
    tasks = [task(folder / f"output_{2 * n:06d}.npz", folder / f"output_{2 * n + 1:06d}.npz", n) for n in range(16)]
    assert len(pickle.dumps((decoder(), tasks))) < 16 * 300
    samples = find_outputs(data.vamp, data.datalist).samples
    found = decoder()([task(sample.output, sample.flipped, n) for n, sample in enumerate(samples)])
    persons = len(found.results)
    assert persons and len(pickle.dumps(found)) < 1200 + 100 * len(samples) + 300 * persons


def decoder() -> PieceDecoder:
    return PieceDecoder(DecodeParams(), COCO17, False)


def task(output: Path, flipped: Path | None, number: int) -> Task:
    return Task(Sample(f"{number:012d}", output, flipped), Picture(number, (128, 96)))


# ---------------------------------------------------------------------------------------------------------------- ends


def test_a_worker_process_that_was_killed(data: Dataset, tmp_path: Path) -> None:
    with processes() as doomed:
        victims = [doomed.submit(os.getpid).result()]
        out = tmp_path / "r.json"

        def kill(done: int, total: int) -> None:
            os.kill(victims[0], signal.SIGKILL)

        with pytest.raises(WorkerLostError, match=r"a worker was lost: A (process|child process) "):
            for _ in range(100):  # the last piece may have come back before the signal
                evaluate(job_of(data, out), kill, doomed)
                out.unlink()
        assert not list(tmp_path.iterdir())
        folder = pictures(tmp_path / "in")
        with pytest.raises(WorkerLostError):
            convert(ConvertJob(folder, tmp_path / "out", workers=2), executor=doomed)
    assert len(evaluate(job_of(data, out)).results) > 0  # and nothing stays locked


def test_an_executor_that_was_shut_down(data: Dataset) -> None:
    with ThreadPoolExecutor(1) as threads:
        pass
    with pytest.raises(RuntimeError, match="after shutdown"):
        evaluate(EvalJob(data.vamp, data.datalist, data.root), executor=threads)


class Elsewhere(Plain):
    """A machine on which nothing lies under this path."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Done:
        away = self._folder.rename(self._folder.with_name("away"))
        try:
            return super().submit(fn, *args)
        finally:
            away.rename(self._folder)


def test_workers_that_see_other_files(data: Dataset, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "in")
    with pytest.raises(DataError, match=r"in/0\.png: not there for a worker, but here, expected files"):
        convert(ConvertJob(folder, tmp_path / "out", workers=2), executor=Elsewhere(folder))
    first = find_outputs(data.vamp, data.datalist).samples[0].output
    told = not_for_workers(AbsentError("no such file", str(first)))
    assert str(told) == f"{first}: not there for a worker, but here, expected files that all workers see"
    with pytest.raises(AbsentError) as error:
        decoder()([task(tmp_path / "x", None, 1)])
    assert not_for_workers(error.value) is error.value
    assert pickle.loads(pickle.dumps(error.value)).path == str(tmp_path / "x")


def test_files_that_a_worker_keeps_to_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "_PATIENCE", 0.2)
    folder = pictures(tmp_path / "in")

    class Local(Plain):
        """A machine whose files are its own."""

        def submit(self, fn: Callable[..., Any], /, *args: Any) -> Done:
            done = super().submit(fn, *args)
            for path in (tmp_path / "out").glob("*.npz"):
                path.unlink()
            return done

    with pytest.raises(DataError, match=r"out/0\.npz: made by a worker, but not there"):
        convert(ConvertJob(folder, tmp_path / "out", tmp_path / "list.txt", workers=2), executor=Local())
    assert not (tmp_path / "list.txt").exists()
