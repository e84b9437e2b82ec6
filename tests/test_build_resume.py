"""`hrnetae vamc build --resume`: what is kept, what goes on, and that it ends with an undisturbed build's model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from networks_small import pose_network, write_pictures
from test_build import build_file, build_in

from hrnetae.files.lock import lock_file
from hrnetae.files.vamc_config import read_vamc_config
from hrnetae.runtime.build import BuildReport, build
from hrnetae.tools import cli

STATE = ".pose.calibration"


def contents(folder: Path) -> dict[str, bytes]:
    """Of all files below it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def resumed(path: Path) -> tuple[BuildReport, list[int]]:
    """The report of a resumed build, and the pictures that it counted."""
    seen: list[int] = []
    report = build(read_vamc_config(path), progress=lambda done, total: seen.append(done), resume=True)
    return report, seen


def interrupted(path: Path, after: int) -> None:
    """A build that the user stops after so many pictures."""

    def stop(done: int, total: int) -> None:
        if done == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(read_vamc_config(path), progress=stop)


@pytest.mark.parametrize("mode", ["max", "percentile", "kl_divergence", "mse"])
def test_a_calibration_goes_on_where_it_was_stopped(tmp_path: Path, mode: str) -> None:
    path = build_file(tmp_path, pose_network(), calibrate_mode=mode)
    interrupted(path, 4)
    assert list(contents(tmp_path / "out")) == [STATE]
    report, seen = resumed(path)
    assert not report.kept and 1 < seen[0] <= 5 and seen[-1] == 6
    found = contents(tmp_path / "out")
    build(read_vamc_config(path), threads=3)
    assert found == contents(tmp_path / "out") and sorted(found) == ["pose/mod.json", "pose/mod.onnx"]


def test_without_resume_it_begins_anew(tmp_path: Path) -> None:
    path = build_file(tmp_path, pose_network())
    interrupted(path, 4)
    seen: list[int] = []
    build(read_vamc_config(path), progress=lambda done, total: seen.append(done))
    assert seen == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("dtype", ["fp32", "fp16", "int8"])
def test_a_model_of_the_same_making_is_kept(tmp_path: Path, dtype: str) -> None:
    path = build_file(tmp_path, pose_network(), dtype)
    build(read_vamc_config(path))
    target = tmp_path / "out" / "pose" / "mod.onnx"
    before, found = target.stat().st_mtime_ns, contents(tmp_path / "out")
    for picture in (tmp_path / "pictures").iterdir():
        os.utime(picture)  # as a copy has it; the bytes count
    report, seen = resumed(path)
    assert report.kept and not seen and report.model_bytes == len(found["pose/mod.onnx"])
    assert contents(tmp_path / "out") == found and target.stat().st_mtime_ns == before


def overwrite_a_picture(folder: Path) -> None:
    """With another one, of the same name, size and times."""
    path = folder / "pictures" / "picture_003.png"
    before = path.stat()
    path.write_bytes(path.read_bytes()[:-4] + b"1234")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES: dict[str, Callable[[Path], Any]] = {
    "network": lambda folder: (folder / "net.onnx").write_bytes(pose_network(seed=5).SerializeToString()),
    "mode": lambda folder: build_file(folder, pose_network(), calibrate_mode="percentile"),
    "setting": lambda folder: build_file(folder, pose_network(), weight_scale="power2"),
    "picture": overwrite_a_picture,
    "pictures": lambda folder: (folder / "pictures" / "picture_002.png").unlink(),
    "model": lambda folder: (folder / "out" / "pose" / "mod.onnx").write_bytes(b"cut off"),
    "manifest": lambda folder: (folder / "out" / "pose" / "mod.json").unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_is_built_anew(tmp_path: Path, change: str) -> None:
    path = build_file(tmp_path, pose_network())
    build(read_vamc_config(path))
    CHANGES[change](tmp_path)
    report, seen = resumed(path)
    assert not report.kept and seen[0] == 1
    found = contents(tmp_path / "out")
    build(read_vamc_config(path))
    assert contents(tmp_path / "out") == found


@pytest.mark.parametrize("change", ["network", "mode", "setting", "picture", "pictures"])
def test_counts_of_something_else_are_not_gone_on_with(tmp_path: Path, change: str) -> None:
    path = build_file(tmp_path, pose_network())
    interrupted(path, 4)
    CHANGES[change](tmp_path)
    assert resumed(path)[1][0] == 1
    found = contents(tmp_path / "out")
    build(read_vamc_config(path))
    assert contents(tmp_path / "out") == found


@pytest.mark.parametrize(
    "spoil", [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: b"PK" + data[2:-90] + b"x"]
)
def test_damaged_counts_are_no_counts(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = build_file(tmp_path, pose_network())
    interrupted(path, 4)
    state = tmp_path / "out" / STATE
    state.write_bytes(spoil(state.read_bytes()))
    assert resumed(path)[1] == [1, 2, 3, 4, 5, 6]


def test_what_was_left_out_is_said_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = build_file(tmp_path, pose_network())
    (tmp_path / "pictures" / "picture_001.png").write_bytes(b"no picture")
    assert cli.main(["vamc", "build", str(path)]) == 1
    assert "left out: " in capsys.readouterr().err
    assert cli.main(["vamc", "build", str(path), "--resume"]) == 1
    out, err = capsys.readouterr()
    assert "kept: it was there already" in out
    assert (
        err
        == f"hrnetae vamc: left out: {tmp_path / 'pictures' / 'picture_001.png'}: of no use when the model was built\n"
    )
    (tmp_path / "pictures" / "picture_001.png").unlink()
    write_pictures(tmp_path / "pictures", 6)
    assert cli.main(["vamc", "build", str(path), "--resume", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["kept"] is False and data["calibration"]["pictures"] == 6 and data["calibration"]["left_out"] == []


def test_two_builds_of_one_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = build_file(tmp_path, pose_network())
    with lock_file(tmp_path / "out" / "pose"):
        assert cli.main(["vamc", "build", str(path)]) == 1
        err = capsys.readouterr().err
        assert f"{tmp_path / 'out' / 'pose'}: another run writes there (process {os.getpid()} on " in err
        assert err.count("\n") == 1
        assert cli.main(["vamc", "build", str(path), "--out", str(tmp_path / "out" / "other")]) == 0
    assert [name for name in contents(tmp_path / "out") if "pose" in name] == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_killed_again_and_again_it_ends_with_the_same_model(tmp_path: Path) -> None:
    """At moments all over the run; each build goes on, so that the last one may take as long as it needs."""
    build_in(tmp_path, calibrate_mode="percentile")
    wanted = contents(tmp_path / "out")
    for name in ("mod.onnx", "mod.json"):
        (tmp_path / "out" / "pose" / name).unlink()
    command = [sys.executable, "-m", "hrnetae.tools.cli", "vamc", "build", str(tmp_path / "build.yaml"), "--resume"]
    for moment in range(4):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while process.poll() is None and not list((tmp_path / "out").glob(".pose.*")):
            assert time.monotonic() < until
            time.sleep(0.002)
        time.sleep(0.02 * moment)  # any moment will do
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    assert contents(tmp_path / "out") == wanted
