"""SIGINT, SIGTERM and SIGHUP end every verb in order, a second one at once; exit codes as shells have them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from flows import make_flow, outputs_in, vamp
from networks_small import pose_network
from PIL import Image
from test_build import build_file

from hrnetae.tools.signals import Ending

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

# Ends as the command does, but takes a minute to clean up.
SLOW = """
import sys, time
from hrnetae.tools.signals import Ending
ending = Ending()
try:
    with ending:
        try:
            print("ready", flush=True)
            time.sleep(60)
        finally:
            print("cleaning", flush=True)
            time.sleep(float(sys.argv[1]))
except KeyboardInterrupt:
    sys.exit(ending.exit_code)
"""


@contextmanager
def started(words: list[str]) -> Iterator[subprocess.Popen[str]]:
    """In a session of its own, whose processes are all gone in the end."""
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def hrnetae(*words: object) -> list[str]:
    return [sys.executable, "-m", "hrnetae.tools.cli", *map(str, words)]


def wait_until(true: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 60
    while not true():
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.005)


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_second_signal_ends_at_once(which: signal.Signals) -> None:
    with started([sys.executable, "-c", SLOW, "60"]) as process:
        assert line(process) == "ready\n"
        process.send_signal(which)
        assert line(process) == "cleaning\n"
        begin = time.monotonic()
        while process.poll() is None and time.monotonic() - begin < 20:
            time.sleep(0.2)
            process.send_signal(which)
        assert process.returncode == 128 + which
        assert time.monotonic() - begin > 0.4  # what comes twice at once is one


def test_a_signal_that_comes_twice_at_once_is_one() -> None:
    with started([sys.executable, "-c", SLOW, "1"]) as process:
        assert line(process) == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert line(process) == "cleaning\n"
        os.killpg(process.pid, signal.SIGTERM)
        begin = time.monotonic()
        assert process.wait(timeout=30) == 143
        assert time.monotonic() - begin > 0.5  # it was let finish


def test_what_others_handle_is_left_to_them() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with Ending():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
    finally:
        signal.signal(signal.SIGHUP, before)


def test_convert_image(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "in" / "0.bmp")
    for number in range(1, 150):
        os.link(tmp_path / "in" / "0.bmp", tmp_path / "in" / f"{number}.bmp")
    out = tmp_path / "out"
    words = ["--image_dir", tmp_path / "in", "--save_dir", out, "--datalist", tmp_path / "list.txt", "--workers", 1]
    with started(hrnetae("convert-image", *words)) as process:
        wait_until(lambda: len(outputs_in(out)) > 2, process)
        process.send_signal(signal.SIGTERM)
        _, message = process.communicate(timeout=30)
    assert process.returncode == 143 and message == "hrnetae convert-image: ended by SIGTERM\n"
    assert 2 < len(outputs_in(out)) < 300
    assert {path.name for path in out.iterdir()} == {*outputs_in(out), "run.json"}  # no lock, nothing temporary
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}


def test_vamp_whose_processes_all_hear_it(tmp_path: Path) -> None:
    """systemd and `docker stop` with an init send it to all, `kill` to the first alone."""
    flow = make_flow(tmp_path, count=50, side=128, work=3)
    out = tmp_path / "out"
    with started(hrnetae("vamp", *flow.listed(out, "-i", 2, "-p", 2))) as process:
        wait_until(lambda: len(outputs_in(out)) > 3, process)
        os.killpg(process.pid, signal.SIGTERM)
        _, message = process.communicate(timeout=30)  # the pipe ends with the last process that has it
    assert process.returncode == 143 and message == "hrnetae vamp: ended by SIGTERM\n"
    assert {path.name for path in out.iterdir()} == {*outputs_in(out), "run.json"}
    assert vamp(flow.listed(out, "--resume")) == 0
    assert len(outputs_in(out)) == 50


def test_vamc_build(tmp_path: Path) -> None:
    path = build_file(tmp_path, pose_network())
    for number in range(6, 3000):
        os.link(tmp_path / "pictures" / "picture_000.png", tmp_path / "pictures" / f"picture_{number:04d}.png")
    path.write_text(path.read_text().replace("get_data_num: 6", "get_data_num: 3000"))
    state = tmp_path / "out" / ".pose.calibration"
    with started(hrnetae("vamc", "build", path)) as process:
        wait_until(state.exists, process)
        process.send_signal(signal.SIGTERM)
        _, message = process.communicate(timeout=30)
    assert process.returncode == 143 and message == "hrnetae vamc: ended by SIGTERM\n"
    assert list((tmp_path / "out").iterdir()) == [state]  # --resume goes on with it
