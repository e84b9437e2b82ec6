"""One run at a time: who is refused, who takes over, and what is left."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hrnetae.files.atomic import atomic_write
from hrnetae.files.errors import DataError
from hrnetae.files.lock import LOCK_NAME, Lock, beside, lock_file, lock_folder

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

# Holds the lock of the folder, says so, and keeps it until stdin ends.
HOLDER = """
import sys
from hrnetae.files.lock import lock_folder
with lock_folder(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_run(folder: Path, program: str = HOLDER) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_the_second_is_refused_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with another_run(folder) as other:
        begin = time.monotonic()
        with pytest.raises(DataError) as caught, lock_folder(folder):
            pass
        assert time.monotonic() - begin < 5
        message = str(caught.value)
        assert message.startswith(f"{folder}: another run writes there (process {other.pid} on ")
        assert re.search(r", since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\), expected to be the only one$", message)
        other.communicate("")  # it ends as it should
        assert other.returncode == 0
        assert not folder.exists()  # it made the folder and put nothing into it
    with lock_folder(folder):
        assert [path.name for path in folder.iterdir()] == [LOCK_NAME]


def test_one_process_cannot_hold_it_twice(tmp_path: Path) -> None:
    with lock_folder(tmp_path):
        with pytest.raises(DataError, match=f"process {os.getpid()} on "), lock_folder(tmp_path):
            pass
        with lock_folder(tmp_path / "below"), lock_file(tmp_path / "file"):
            pass  # others are free
        (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
        with pytest.raises(DataError, match="another run writes there"), lock_folder(tmp_path / "link"):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


def test_nothing_is_left_of_it(tmp_path: Path) -> None:
    with pytest.raises(KeyError), lock_folder(tmp_path / "a" / "b" / "c"):
        raise KeyError
    assert not (tmp_path / "a").exists()
    with lock_folder(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "mine").write_text("x")
    assert [path.name for path in (tmp_path / "a").rglob("*")] == ["b", "mine"]
    with lock_folder(tmp_path / "gone"):
        (tmp_path / "gone" / LOCK_NAME).unlink()
        (tmp_path / "gone").rmdir()


@posix
@pytest.mark.parametrize("text", [None, "", "{", "[1]", '{"pid": "x"}', '{"pid": 1, "host": "x", "since": "y"}'])
def test_who_was_killed_holds_nothing(tmp_path: Path, text: str | None) -> None:
    with another_run(tmp_path) as other:
        other.kill()
        other.wait()
    assert (tmp_path / LOCK_NAME).exists()
    if text is not None:  # whatever it says, and whoever has that number by now
        (tmp_path / LOCK_NAME).write_text(text)
    with lock_folder(tmp_path):
        assert json.loads((tmp_path / LOCK_NAME).read_text())["pid"] == os.getpid()
    assert not list(tmp_path.iterdir())


def test_of_many_at_once_one_has_it(tmp_path: Path) -> None:
    """In each of many rounds, while the file comes and goes."""
    inside, most, errors = 0, 0, []
    count, guard = 0, threading.Lock()

    def work() -> None:
        nonlocal inside, most, count
        until = time.monotonic() + 20
        for _ in range(30):
            while time.monotonic() < until:
                try:
                    with lock_folder(tmp_path):
                        with guard:
                            inside += 1
                            most = max(most, inside)
                            count += 1
                        (tmp_path / "mine").open("xb").close()
                        (tmp_path / "mine").unlink()
                        with guard:
                            inside -= 1
                    break
                except DataError:
                    time.sleep(0.0005)
                except OSError as error:
                    errors.append(error)
                    return

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and most == 1 and count == 120
    assert not list(tmp_path.iterdir())


def hold(lock: Lock | None, line: Any) -> None:
    line.send(os.getpid())
    time.sleep(60)  # killed before


PARENT = """
import multiprocessing, os, sys, time
from hrnetae.files.lock import lock_folder
from test_lock import hold
if __name__ == "__main__":
    with lock_folder(sys.argv[1]) as lock:
        ours, theirs = multiprocessing.Pipe()
        os.set_inheritable(ours.fileno(), False)
        process = multiprocessing.get_context("spawn").Process(target=hold, args=(LOCK, theirs))
        process.start()
        print(ours.recv(), flush=True)
        time.sleep(60)
"""


@posix
@pytest.mark.parametrize("sent", [True, False])
def test_a_worker_holds_what_was_sent_to_it(tmp_path: Path, sent: bool) -> None:
    folder, program = tmp_path / "out", tmp_path / "parent.py"
    program.write_text(PARENT.replace("LOCK", "lock" if sent else "None"))
    command = [sys.executable, str(program), str(folder)]
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path})
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    held: list[bool] = []

    def take() -> None:
        with lock_folder(folder):
            held.append(True)

    taker = threading.Thread(target=take)
    taker.start()
    try:
        if sent:  # the worker lives, and may write
            time.sleep(0.3)
            assert not held
            os.kill(worker, signal.SIGKILL)
    finally:
        taker.join()
        if not sent:
            os.kill(worker, signal.SIGKILL)
        parent.stdout.close()
    assert held


def test_files_that_nobody_works_on_are_removed(tmp_path: Path) -> None:
    hexadecimal = "0123456789abcdef" * 2
    stay = ["a.tmp", ".0123.tmp", f"{hexadecimal}.tmp", f".{hexadecimal}.npz", f".{hexadecimal.upper()}.tmp", "b"]
    go = [f".{hexadecimal}.tmp", f".{hexadecimal}.mp4"]
    for name in (*stay, *go):
        (tmp_path / name).write_text(name)
    (tmp_path / f".{'f' * 32}.tmp").mkdir()
    with atomic_write(tmp_path / "living") as handle:
        handle.write(b"half")
        with lock_folder(tmp_path):
            assert not any((tmp_path / name).exists() for name in go)
        handle.write(b" whole")
    assert (tmp_path / "living").read_bytes() == b"half whole"
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {*stay, "living", f".{'f' * 32}.tmp"}


def test_the_lock_of_a_file_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "results.json"
    with lock_file(path):
        assert [found.name for found in path.parent.iterdir()] == [".results.json.lock"]
        with lock_file(path.with_name("others.json")):
            pass
        with pytest.raises(DataError, match=r"results\.json: another run writes there"), lock_file(path):
            pass
        path.write_text("x")
    assert [found.name for found in path.parent.iterdir()] == ["results.json"]
    with lock_file(tmp_path / ("x" * 250)):
        assert len(os.fsencode(beside(tmp_path / ("x" * 250), "lock").name)) < 100


@posix
def test_a_device_is_not_locked() -> None:
    with lock_file("/dev/null"), lock_file("/dev/null"):
        pass


@pytest.mark.skipif(sys.platform == "win32" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may")
def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir(mode=0o500)
    with pytest.raises(PermissionError, match="shut"), lock_folder(tmp_path / "shut"):
        pass
    with pytest.raises(PermissionError, match="shut/below"), lock_folder(tmp_path / "shut" / "below"):
        pass


def test_a_file_in_the_folder_s_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for name in ("file", "file/below"):
        with pytest.raises((DataError, OSError), match="file"), lock_folder(tmp_path / name):
            pass


@posix
def test_a_link_in_the_lock_s_place_is_not_followed(tmp_path: Path) -> None:
    """A folder that was unpacked may hold one to any file of its user's."""
    precious = tmp_path / "precious"
    precious.write_text("kept")
    folder = tmp_path / "outputs"
    folder.mkdir()
    (folder / LOCK_NAME).symlink_to(precious)
    with lock_folder(folder):
        assert not (folder / LOCK_NAME).is_symlink()
    assert precious.read_text() == "kept"
    assert list(folder.iterdir()) == []


def test_a_file_that_takes_its_name_is_no_leftover_of_others(tmp_path: Path) -> None:
    """The lock of another file in the folder removes leftovers while this one is about to be renamed."""
    real_replace = Path.replace

    def replace(self: Path, target: Path) -> Path:
        with lock_file(tmp_path / "b.json"):
            assert self.exists()
        return real_replace(self, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        with atomic_write(tmp_path / "a.json") as stream:
            stream.write(b"whole")
    assert (tmp_path / "a.json").read_bytes() == b"whole"
