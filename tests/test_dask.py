"""`--dask ADDRESS` on a real cluster of worker processes: the same bytes, also where one is killed in the middle."""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from drawn_outputs import Dataset, make_dataset
from PIL import Image

import hrnetae
from hrnetae.evaluation.evaluate import EvalJob, evaluate
from hrnetae.files import DataError
from hrnetae.runtime.conversion import ConvertJob, convert
from hrnetae.tools import convert_image, dask_workers
from hrnetae.tools import eval as tool
from hrnetae.tools.dask_workers import look, workers_of
from hrnetae.work import WorkerLostError

distributed = pytest.importorskip("distributed", reason="the extra [dask] is not installed")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two workers, each a process of its own, which a nanny starts again when it dies."""
    dask = pytest.importorskip("dask")
    with dask.config.set({"distributed.scheduler.allowed-failures": 1}), local_cluster(2) as cluster:
        yield cluster


def local_cluster(workers: int) -> Any:
    return distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL
    )


@pytest.fixture(scope="module")
def address(cluster: Any) -> str:
    return str(cluster.scheduler_address)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("dask") / "data")


def pids(address: str) -> list[int]:
    with distributed.Client(address, set_as_default=False) as client:
        return list(client.run(os.getpid).values())


def test_eval_on_a_cluster(
    data: Dataset, address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tool.main(data.args("--out", str(tmp_path / "here.json"))) == 0
    capsys.readouterr()
    monkeypatch.chdir(data.root)
    words = ["--output_data", "vamp", "--datalist_txt", "datalist.txt", "--data_root", ".", "--json"]
    assert tool.main([*words, "--out", str(tmp_path / "there.json"), "--dask", address]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["images"] == 4 and err == ""
    assert (tmp_path / "there.json").read_bytes() == (tmp_path / "here.json").read_bytes()


def test_convert_image_on_a_cluster(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    for number in range(9):
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (20, 30, 3), np.uint8)).save(
            tmp_path / "in" / f"{number}.png"
        )
    words = ["--image_dir", str(tmp_path / "in"), "--datalist", str(tmp_path / "list.txt")]
    assert convert_image.main([*words, "--save_dir", str(tmp_path / "there"), "--dask", address]) == 0
    out, err = capsys.readouterr()
    assert "9 pictures made" in out and "on 2 workers" in out and err == ""
    convert(ConvertJob(tmp_path / "in", tmp_path / "here"))
    here = {path.name: path.read_bytes() for path in (tmp_path / "here").glob("*.npz")}
    assert here == {path.name: path.read_bytes() for path in (tmp_path / "there").glob("*.npz")} and len(here) == 18


def test_a_worker_that_is_killed_in_the_middle(data: Dataset, address: str, tmp_path: Path) -> None:
    """The scheduler has its pieces done again; the results are the same bytes."""
    many, out = data.under_many_names(tmp_path / "many", 640), tmp_path / "r.json"
    job = EvalJob(many.vamp, many.datalist, many.root, workers=2, out=out)
    evaluate(job)
    expected = out.read_bytes()
    out.unlink()
    victim = pids(address)[0]

    def kill(done: int, total: int) -> None:
        if done == 160:
            os.kill(victim, signal.SIGKILL)

    with workers_of(address, 1, [job.output_data]) as workers:
        report = evaluate(job, kill, workers.executor)
    assert out.read_bytes() == expected and report.images == 640
    assert victim not in pids(address)


def test_bad_data_on_a_cluster(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_dataset(tmp_path / "data")
    path = data.vamp / "output_000004.npz"
    path.write_bytes(path.read_bytes()[:1000])
    assert tool.main(data.args("--dask", address)) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"hrnetae eval: {path}: truncated") and err.count("\n") == 1


def test_work_that_kills_its_workers(address: str) -> None:
    with pytest.raises(WorkerLostError, match="workers died again and again"), workers_of(address, 1, []) as workers:
        assert workers.executor is not None
        workers.executor.submit(os._exit, 1).result()


# ---------------------------------------------------------------------------------------- clusters that do not fit


def refused(capsys: pytest.CaptureFixture[str], main: Callable[[list[str]], int], words: list[str]) -> str:
    assert main(words) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    return err


def test_no_scheduler(data: Dataset, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_workers, "_PATIENCE", 0.5)
    for address in ("tcp://127.0.0.1:1", "nonsense", "foo://x:1"):
        err = refused(capsys, tool.main, data.args("--dask", address))
        assert err.startswith(f"hrnetae eval: {address}: no Dask scheduler there (") and "tcp://host:8786" in err
    words = ["--image_dir", "x", "--save_dir", "y", "--datalist", "z", "--dask", "tcp://127.0.0.1:1"]
    assert "no Dask scheduler" in refused(capsys, convert_image.main, words)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense", "foo://x:1"])
def test_no_client_is_left_unfinished(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be ended whenever the garbage collector came upon it, in the start of another as well: a deadlock."""
    monkeypatch.setattr(dask_workers, "_PATIENCE", 0.5)
    gc.disable()
    try:
        with pytest.raises(DataError), workers_of(address, 1, []):
            pass
        clients = [one for one in gc.get_objects() if type(one) is distributed.Client]
    finally:
        gc.enable()
    assert {one.status for one in clients} <= {"running", "closed"}


def test_no_distributed(data: Dataset, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    err = refused(capsys, tool.main, data.args("--dask", "tcp://127.0.0.1:1"))
    assert err == (
        "hrnetae eval: --dask: distributed is not installed, expected the extra: pip install 'hrnetae[dask]'\n"
    )


def test_no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_workers, "_PATIENCE", 1)
    with (
        local_cluster(0) as empty,
        pytest.raises(DataError, match="no worker after 1 s, expected at least one"),
        workers_of(empty.scheduler_address, 1, []),
    ):
        pass


def test_workers_with_another_version(
    data: Dataset, address: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hrnetae, "__version__", "99.0")
    err = refused(capsys, tool.main, data.args("--dask", address))
    assert "has hrnetae " in err and "expected 99.0 as here" in err


def test_workers_with_another_opencv(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which reads and resizes the pictures, each version with bytes of its own."""
    monkeypatch.setattr(cv2, "__version__", "99.0")
    words = ["--image_dir", str(tmp_path), "--datalist", str(tmp_path / "list"), "--save_dir", str(tmp_path / "there")]
    err = refused(capsys, convert_image.main, [*words, "--dask", address])
    assert "has cv2 " in err and "expected 99.0 as here" in err


def test_workers_without_the_package(
    data: Dataset, address: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def strange(paths: list[str], modules: list[str]) -> None:
        raise ModuleNotFoundError("No module named 'hrnetae'")

    monkeypatch.setattr(dask_workers, "look", strange)
    err = refused(capsys, tool.main, data.args("--dask", address))
    assert "a worker cannot do it (No module named 'hrnetae'), expected hrnetae" in err


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="a path that is there for one process alone")
def test_workers_that_do_not_see_the_files(address: str, tmp_path: Path) -> None:
    with (tmp_path / "x").open("w") as file:
        for descriptor in range(900, 0, -1):  # one that no worker has
            if not Path(f"/proc/self/fd/{descriptor}").exists():
                break
        os.dup2(file.fileno(), descriptor)
        try:
            mine = Path(f"/proc/self/fd/{descriptor}")
            assert look([str(mine)], [])[2] == []
            with pytest.raises(DataError, match=f"does not see {mine}, expected the same files"):
                workers_of(address, 1, [tmp_path, mine]).__enter__()
        finally:
            os.close(descriptor)


# ----------------------------------------------------------------------------------------------- clusters that go


def start(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("gone", "what"),
    [("scheduler", "its scheduler is gone"), pytest.param("worker", "its workers are gone", marks=pytest.mark.slow)],
)
def test_a_cluster_that_goes_in_the_middle(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str, what: str
) -> None:
    """It is not waited for: an error, and what was done before it is kept for --resume."""
    monkeypatch.setattr(dask_workers, "_NO_WORKER", 1)
    found = tmp_path / "scheduler.json"
    scheduler = start("distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(found))
    more = ("--no-dashboard", "--no-nanny", "--nthreads", "1", "--death-timeout", "180")
    worker = start("distributed.cli.dask_worker", "--scheduler-file", str(found), *more)
    many, out = data.under_many_names(tmp_path / "many", 320), tmp_path / "r.json"
    job = EvalJob(many.vamp, many.datalist, many.root, out=out, resume=True)
    try:
        until = time.monotonic() + 180  # a busy machine starts them late
        while not (found.exists() and found.read_bytes().endswith(b"}")):
            assert time.monotonic() < until
            time.sleep(0.05)
        monkeypatch.setattr(dask_workers, "_PATIENCE", 180)

        def kill(done: int, total: int) -> None:
            (scheduler if gone == "scheduler" else worker).kill()

        address = json.loads(found.read_bytes())["address"]
        with pytest.raises(WorkerLostError, match=what), workers_of(address, 1, []) as workers:
            evaluate(job, kill, workers.executor)
    finally:
        for process in (scheduler, worker):
            process.kill()
            process.wait()
    assert not out.exists()
    assert evaluate(job).kept >= 16
