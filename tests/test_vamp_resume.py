"""`hrnetae vamp` interrupted at any moment, and taken up again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from flows import COUNT, make_flow, names, outputs_in, vamp
from small_networks import expected, write_network, write_vdsp

from hrnetae.files.npz import write_arrays


def test_resume_makes_what_is_missing_to_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flow = make_flow(tmp_path)
    out = tmp_path / "out"
    vamp(flow.listed(out))
    want = outputs_in(out)
    (out / names(COUNT)[2]).unlink()
    (out / names(COUNT)[5]).write_bytes(want[names(COUNT)[5]][:1000])
    kept = out / names(COUNT)[0]
    before = kept.stat().st_mtime_ns
    capsys.readouterr()
    assert vamp(flow.listed(out, "--resume", "--json", "-b", 2, "-i", 2)) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["already_finished"] == COUNT - 2 and data["runs"][0]["samples"] == 2
    assert outputs_in(out) == want and kept.stat().st_mtime_ns == before
    assert vamp(flow.listed(out, "--resume", "--json")) == 0  # nothing left to do
    assert json.loads(capsys.readouterr().out)["runs"][0]["samples"] == 0
    assert outputs_in(out) == want
    assert vamp(flow.listed(tmp_path / "new", "--resume")) == 0  # nothing there yet
    assert outputs_in(tmp_path / "new") == want


def test_resume_refuses_the_outputs_of_another_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flow = make_flow(tmp_path)
    out = tmp_path / "out"
    vamp(flow.listed(out))
    before = outputs_in(out)
    other_model = write_network(tmp_path / "other.onnx", seed=5)
    other_vdsp = write_vdsp(tmp_path / "other.json", "DIV255")
    other_list = tmp_path / "other.txt"
    other_list.write_text("".join(reversed(flow.datalist.read_text().splitlines(keepends=True))))
    for words, what in (
        (("-m", other_model), "model"),
        (("--vdsp_params", other_vdsp), "vdsp_params"),
        (("--datalist", other_list), "inputs"),
    ):
        capsys.readouterr()
        assert vamp(flow.listed(out, "--resume", *words)) == 1
        message = capsys.readouterr().err
        assert f"the outputs there are of another run, {what} " in message and message.count("\n") == 1
        assert outputs_in(out) == before
    (out / "run.json").unlink()
    assert vamp(flow.listed(out, "--resume")) == 1
    assert "outputs without run.json" in capsys.readouterr().err


def test_a_new_run_leaves_no_outputs_of_the_old_one(tmp_path: Path) -> None:
    flow = make_flow(tmp_path)
    out = tmp_path / "out"
    vamp(flow.listed(out))
    (tmp_path / "in" / "picture 3.npz").unlink()
    (out / "notes.txt").write_text("mine")
    assert vamp(flow.listed(out)) == 1
    assert sorted(path.name for path in out.iterdir()) == sorted(
        ["notes.txt", "run.json", *(name for name in names(COUNT) if name != "output_000003.npz")]
    )


def test_resume_makes_outputs_of_other_inputs_anew(tmp_path: Path) -> None:
    flow, other = make_flow(tmp_path / "a"), make_flow(tmp_path / "b")
    out = tmp_path / "out"
    assert vamp(flow.listed(out)) == 0
    for number, picture in enumerate(other.pictures):  # under the same names, of the same sizes and times
        path = other.root / "in" / f"picture {number}.npz"
        write_arrays(path, {"input_0": 255 - picture})
        before = (flow.root / "in" / path.name).stat()
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    words = ("--datalist", other.datalist)
    assert vamp(flow.listed(tmp_path / "fresh", *words)) == 0
    assert vamp(flow.listed(out, *words, "--resume")) == 0
    assert outputs_in(out) == outputs_in(tmp_path / "fresh")


def test_resume_makes_outputs_of_changed_inputs_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flow = make_flow(tmp_path)
    out = tmp_path / "out"
    gone, changed = (tmp_path / "in" / f"picture {number}.npz" for number in (1, 4))
    content = gone.read_bytes()
    gone.unlink()
    assert vamp(flow.listed(out)) == 1
    gone.write_bytes(content)  # what failed may be put right
    write_arrays(changed, {"input_0": 255 - flow.pictures[4]})
    capsys.readouterr()
    assert vamp(flow.listed(out, "--resume", "--json")) == 0
    assert json.loads(capsys.readouterr().out)["already_finished"] == COUNT - 2
    assert vamp(flow.listed(tmp_path / "fresh")) == 0
    assert outputs_in(out) == outputs_in(tmp_path / "fresh")
    gone.unlink()
    assert vamp(flow.listed(out, "--resume")) == 1
    assert names(COUNT)[1] not in outputs_in(out)


def test_a_shorter_run_leaves_no_outputs_of_the_longer_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flow = make_flow(tmp_path)
    out = tmp_path / "out"
    vamp(flow.listed(out))
    (out / "notes.npz").write_bytes(b"mine")
    short = tmp_path / "short.txt"
    short.write_text("".join(flow.datalist.read_text().splitlines(keepends=True)[:4]))
    other = write_network(tmp_path / "other.onnx", seed=5)
    capsys.readouterr()
    assert vamp(flow.listed(out, "-m", other, "--datalist", short)) == 0
    message = capsys.readouterr().err
    assert f"{out}: 3 outputs of an earlier run are removed" in message and message.count("\n") == 1
    assert list(outputs_in(out)) == ["notes.npz", *names(4)]
    assert sorted(json.loads((out / "run.json").read_text())["outputs"]) == names(4)


def test_outputs_that_no_record_tells_of_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flow = make_flow(tmp_path)
    out = tmp_path / "out"
    vamp(flow.listed(out))
    short = tmp_path / "short.txt"
    short.write_text("".join(flow.datalist.read_text().splitlines(keepends=True)[:4]))
    before = outputs_in(out)
    for record in (None, "{", json.dumps({"outputs": {"../in/picture 0.npz": "x"}})):
        (out / "run.json").unlink(missing_ok=True)
        if record is not None:
            (out / "run.json").write_text(record)
        capsys.readouterr()
        assert vamp(flow.listed(out, "--datalist", short)) == 1
        message = capsys.readouterr().err
        assert f"{out}: 3 outputs beyond the datalist" in message and message.count("\n") == 1
        assert outputs_in(out) == before


def test_a_record_removes_nothing_outside_of_its_folder(tmp_path: Path) -> None:
    flow = make_flow(tmp_path)
    out = tmp_path / "out"
    vamp(flow.listed(out))
    record = json.loads((out / "run.json").read_text())
    outside = tmp_path / "in" / "picture 0.npz"
    record["outputs"] |= {"../in/picture 0.npz": "x", str(outside): "x", "../datalist.txt": "x"}
    (out / "run.json").write_text(json.dumps(record))
    assert vamp(flow.listed(out)) == 0
    assert outside.exists() and flow.datalist.exists()


def start(words: Sequence[str]) -> subprocess.Popen[str]:
    # In a session of its own: a signal to it is one to all its processes, as ctrl-c is in a terminal.
    command = [sys.executable, "-m", "hrnetae.tools.cli", "vamp", *words]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def wait_for_outputs(folder: Path, count: int) -> None:
    until = time.monotonic() + 60
    while len(outputs_in(folder)) < count:
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("how", "to_all", "load"),
    [
        pytest.param(signal.SIGINT, True, ("-i", 1), marks=pytest.mark.slow),
        (signal.SIGINT, True, ("-i", 2, "-p", 2)),
        pytest.param(signal.SIGINT, False, ("-i", 2, "-p", 2), marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, True, ("-i", 2), marks=pytest.mark.slow),
        (signal.SIGKILL, False, ("-i", 2, "-p", 2)),
    ],
)
def test_interrupted_nothing_is_half_written(
    tmp_path: Path, how: signal.Signals, to_all: bool, load: tuple[object, ...]
) -> None:
    flow = make_flow(tmp_path, count=150, side=128, work=3)
    out = tmp_path / "out"
    process = start(flow.listed(out, *load))
    wait_for_outputs(out, 5)
    begin = time.monotonic()
    (os.killpg if to_all else os.kill)(process.pid, how)
    _, message = process.communicate(timeout=30)  # the pipe ends with the last process that holds it
    seconds = time.monotonic() - begin
    if how == signal.SIGINT:
        assert process.returncode == 130 and message == "hrnetae vamp: interrupted\n"
        assert not list(out.glob(".*.tmp"))
    assert seconds < 6
    found = outputs_in(out)
    assert 5 <= len(found) < 150
    for name in found:
        with np.load(out / name) as arrays:
            line = int(name[7:13])
            np.testing.assert_allclose(arrays["output_0"][0], expected(flow.pictures[line]), rtol=2e-3, atol=2e-3)
    if how == signal.SIGKILL and not to_all:
        assert vamp(flow.listed(out, "--resume", "-b", 4)) == 0
        assert vamp(flow.listed(tmp_path / "whole", "-b", 4)) == 0
        assert outputs_in(out) == outputs_in(tmp_path / "whole")


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks its processes up in /proc")
def test_a_process_that_was_killed_ends_the_run(tmp_path: Path) -> None:
    flow = make_flow(tmp_path, count=300, side=128, work=2)
    process = start(flow.listed(tmp_path / "out", "-i", 2, "-p", 2))
    wait_for_outputs(tmp_path / "out", 3)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    workers = [pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(workers) == 2
    os.kill(int(workers[0]), signal.SIGKILL)
    _, message = process.communicate(timeout=30)
    assert process.returncode == 1
    assert message == "hrnetae vamp: a process of the run ended too early (exit code -9)\n"
