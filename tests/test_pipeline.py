"""The pipeline: every sample once, memory that does not grow, errors that end it or do not."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from small_networks import SIDE, write_network

from hrnetae.files import DataError
from hrnetae.runtime.batches import Batches, LocalCounter
from hrnetae.runtime.channel import CalledOffError, Channel
from hrnetae.runtime.pipeline import Measurements, Pipeline
from hrnetae.runtime.processes import Work, run
from hrnetae.runtime.sessions import Session, SessionSettings


class Recorder:
    """Steps that count what is loaded and saved, and can be told to fail or to be slow."""

    def __init__(self, unreadable: Sequence[int] = (), unwritable: Sequence[int] = (), slow: float = 0.0) -> None:
        self.unreadable = unreadable
        self.unwritable = unwritable
        self.slow = slow
        self.lock = threading.Lock()
        self.loaded = 0
        self.saved: list[int] = []
        self.most = 0

    def steps(self, input_size: tuple[int, int]) -> Recorder:
        return self

    def load(self, sample: int) -> NDArray[np.float32]:
        if sample in self.unreadable:
            raise DataError(f"{sample}: broken\nin two lines")
        with self.lock:
            self.loaded += 1
            self.most = max(self.most, self.loaded - len(self.saved))
        return np.full((3, SIDE, SIDE), sample, np.float32)

    def save(self, sample: int, outputs: Sequence[NDArray[Any]]) -> None:
        if sample in self.unwritable:
            raise OSError(28, "No space left on device")
        time.sleep(self.slow)
        with self.lock:
            self.saved.append(sample)


@pytest.fixture(scope="module")
def onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("model") / "net.onnx", batch="N")


def put_through(
    onnx: Path, steps: Recorder, samples: Sequence[int], size: int = 1, sessions: int = 1, one_by_one: bool = False
) -> Measurements:
    settings = [SessionSettings(threads=1)] * sessions
    work = Work(onnx, settings, steps, samples, batch_size=size, one_by_one=one_by_one)
    (process,) = run(work, 1).processes
    return process.measured


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("sessions", [1, 3])
@pytest.mark.parametrize("size", [1, 4])
def test_every_sample_goes_through_once(onnx: Path, size: int, sessions: int, one_by_one: bool) -> None:
    steps = Recorder()
    measured = put_through(onnx, steps, range(50), size, sessions, one_by_one)
    assert sorted(steps.saved) == list(range(50))
    assert measured.samples == 50 and len(measured.model) == -(-50 // size) and not measured.failed
    assert min(measured.model) > 0 and max(measured.model) <= max(measured.end_to_end)


def test_samples_need_not_be_neighbours(onnx: Path) -> None:
    steps = Recorder()
    put_through(onnx, steps, [7, 3, 99], 2)
    assert sorted(steps.saved) == [3, 7, 99]


@pytest.mark.parametrize("one_by_one", [False, True])
def test_what_cannot_be_read_is_left_out(onnx: Path, one_by_one: bool) -> None:
    steps = Recorder(unreadable=(0, 4, 5, 9))
    measured = put_through(onnx, steps, range(10), 2, one_by_one=one_by_one)
    assert sorted(steps.saved) == [1, 2, 3, 6, 7, 8]
    assert sorted(measured.failed) == [(n, f"{n}: broken in two lines") for n in (0, 4, 5, 9)]


@pytest.mark.parametrize("one_by_one", [False, True])
def test_what_cannot_be_written_ends_the_run(onnx: Path, one_by_one: bool) -> None:
    begin = time.perf_counter()
    with pytest.raises(OSError, match="No space left"):
        put_through(onnx, Recorder(unwritable=(3,)), range(10**9), sessions=2, one_by_one=one_by_one)
    assert time.perf_counter() - begin < 5


def test_what_waits_is_bounded(onnx: Path) -> None:
    steps = Recorder(slow=0.002)
    put_through(onnx, steps, range(100), 1, sessions=1)
    # Two in each of the channels, one each with reader, session and writer.
    assert steps.most <= 7


def test_progress_counts_failures_too(onnx: Path) -> None:
    told: list[int] = []
    work = Work(onnx, [SessionSettings(threads=1)], Recorder(unreadable=(1,)), range(5))
    run(work, 1, told.append)
    assert told[-1] == 5 and told == sorted(told)


def test_the_clock_ends_a_run(onnx: Path) -> None:
    steps = Recorder()
    batches = Batches(range(10**9), 1, LocalCounter(), seconds=0.3)
    begin = time.perf_counter()
    Pipeline([Session(onnx)], steps, batches, LocalCounter()).run()
    assert 0.3 <= time.perf_counter() - begin < 3 and steps.saved


def test_a_pipeline_can_be_stopped(onnx: Path) -> None:
    steps = Recorder()
    pipeline = Pipeline([Session(onnx)], steps, Batches(range(10**9), 1, LocalCounter()), LocalCounter())
    threading.Timer(0.3, pipeline.stop).start()
    begin = time.perf_counter()
    pipeline.run()
    assert time.perf_counter() - begin < 3


def test_batches_are_dealt_out_once() -> None:
    batches = Batches(range(1000), 7, LocalCounter())
    taken: list[int] = []

    def take() -> None:
        while batch := batches.take():
            taken.extend(batch)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(1000))


def test_a_channel_ends_when_its_senders_have() -> None:
    channel: Channel[int] = Channel(capacity=2, senders=2)
    channel.put(1)
    channel.sender_is_done()
    channel.put(2)
    channel.sender_is_done()
    assert [channel.get(), channel.get(), channel.get(), channel.get()] == [1, 2, None, None]


def test_who_waits_at_a_channel_is_called_off() -> None:
    full: Channel[int] = Channel(capacity=1, senders=1)
    full.put(1)
    empty: Channel[int] = Channel(capacity=1, senders=1)
    seen: list[str] = []

    def wait(name: str, step: Any, *args: Any) -> None:
        with pytest.raises(CalledOffError):
            step(*args)
        seen.append(name)

    threads = [
        threading.Thread(target=wait, args=("put", full.put, 2)),
        threading.Thread(target=wait, args=("get", empty.get)),
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    assert not seen
    full.call_off()
    empty.call_off()
    for thread in threads:
        thread.join(5)
    assert sorted(seen) == ["get", "put"]
