"""Faults in the midst of long work, for each of the five verbs: one line, nothing half-written, and --resume ends it.

Beside this: kills in test_kills.py, locks in test_lock.py, signals in test_signals.py, limits of a file's size in
test_disk_full.py, inputs that change in test_inputs_change.py; vamc's and eval's own in test_build_resume.py and
test_eval_resume.py.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from five_verbs import VERBS, Run, Stage, Verb, call, make_stage

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")

PROGRESS = (".part", ".calibration")  # how far eval and vamc are
MIDST = {"convert-image": 10, "runstream": 3, "vamp": 3}  # files; the others have theirs at the end


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return make_stage(tmp_path_factory.mktemp("faults") / "stage")


@pytest.fixture
def stage(made: Stage) -> Stage:
    made.clear()
    return made


class Quiet:
    """What undisturbed runs leave, each made once."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._left: dict[str, dict[str, bytes]] = {}

    def __call__(self, verb: Verb) -> dict[str, bytes]:
        if verb.name not in self._left:
            self._stage.clear()
            code, _, errors = call(*verb.alone(self._stage))
            assert code == 0, errors
            self._left[verb.name] = self._stage.left()
            self._stage.clear()
        return self._left[verb.name]


@pytest.fixture(scope="module")
def quiet(made: Stage) -> Quiet:
    return Quiet(made)


@contextlib.contextmanager
def in_the_midst(stage: Stage, verb: Verb, *more: object) -> Iterator[Run]:
    """A run that has written something and is far from its end."""
    with Run(stage, verb, *more) as run:
        count = MIDST.get(verb.name)
        if count is None:
            assert run.wait_for(lambda: any(name.endswith(PROGRESS) for name in stage.names())), run.errors
        else:
            assert run.wait_for_files(count), run.errors
        yield run


def complaints(errors: str) -> list[str]:
    """Lines on stderr, other than remarks."""
    return [line for line in errors.splitlines() if ": backend: " not in line and ": warning: " not in line]


def assert_nothing_half_written(stage: Stage, want: dict[str, bytes]) -> None:
    """What is there has its final bytes; nothing temporary is there, and of hidden files only what --resume uses."""
    left = {name: content for name, content in stage.left().items() if not name.endswith(PROGRESS)}
    assert left.items() <= want.items(), {name for name in left if left[name] != want.get(name)}


def assert_resumes(stage: Stage, verb: Verb, want: dict[str, bytes]) -> None:
    code, _, errors = call(*verb.alone(stage, "--resume"))
    assert code == 0, errors
    assert stage.left() == want


# ------------------------------------------------------------------------------------------------------------- signals


TERM, INT = signal.SIGTERM, signal.SIGINT


@pytest.mark.parametrize(
    ("name", "number", "code", "word"),
    [
        ("convert-image", TERM, 143, "ended by SIGTERM"),
        ("vamc", INT, 130, "interrupted"),
        ("runstream", TERM, 143, "ended by SIGTERM"),
        ("runstream", INT, 130, "interrupted"),
        ("eval", TERM, 143, "ended by SIGTERM"),
        ("eval", INT, 130, "interrupted"),
    ],
)
def test_a_signal_ends_a_run(
    stage: Stage, quiet: Quiet, name: str, number: signal.Signals, code: int, word: str
) -> None:
    verb = VERBS[name]
    want = quiet(verb)
    with in_the_midst(stage, verb) as run:
        run.signal(number)
        assert run.end() == code
        assert complaints(run.errors) == [f"hrnetae {name}: {word}"]
        assert run.wait_for_nobody()
    assert_nothing_half_written(stage, want)
    assert_resumes(stage, verb, want)


# ------------------------------------------------------------------------------------------------------- a full disk


def check_full(stage: Stage, want: dict[str, bytes], code: int, errors: str, reason: str) -> None:
    """One line names the file that there is no room for."""
    assert code == 1
    (line,) = complaints(errors)
    assert re.fullmatch(f"hrnetae [a-z-]+: {re.escape(str(stage.out))}/\\S+: {reason}(, .*)?", line), line
    assert_nothing_half_written(stage, want)


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Callable[[int], None]]:
    """A file system of so many bytes in the folder's place. Yields what enlarges it."""

    def mount(*words: str) -> int:
        return subprocess.run(["mount", *words], check=False, capture_output=True).returncode

    if os.geteuid() != 0 or shutil.which("mount") is None or mount("-t", "tmpfs", f"-osize={size}", "x", str(folder)):
        pytest.skip("only root may mount a file system, and not everywhere")
    try:
        yield lambda larger: subprocess.run(
            ["mount", "-o", f"remount,size={larger}", str(folder)], check=True, capture_output=True
        )
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_a_full_disk(stage: Stage, quiet: Quiet, verb: Verb) -> None:
    want = quiet(verb)
    half = sum(map(len, want.values())) // 2
    with small_disk(stage.out, half) as enlarge:
        code, _, errors = call(*verb.alone(stage))
        check_full(stage, want, code, errors, "No space left on device")
        enlarge(1 << 26)
        assert_resumes(stage, verb, want)


# ------------------------------------------------------------------------------------------------- --------- two runs


@pytest.mark.parametrize("name", MIDST)
def test_a_second_run_is_refused_and_the_first_unharmed(stage: Stage, quiet: Quiet, name: str) -> None:
    verb = VERBS[name]
    want = quiet(verb)
    with in_the_midst(stage, verb) as first:
        first.signal_all(signal.SIGSTOP)  # so that it does not end before the second one has tried
        codes = [call(*verb.alone(stage, *more)) for more in ((), ("--resume",))]
        first.signal_all(signal.SIGCONT)
        for code, _, errors in codes:
            assert code == 1
            (line,) = complaints(errors)
            holder = f"another run writes there (process {first.process.pid} on "
            assert line.startswith(f"hrnetae {verb.name}: {stage.out}") and holder in line
        assert first.end() == 0, first.errors
    assert stage.left() == want


def test_the_lock_of_a_killed_run_is_taken_over(stage: Stage, quiet: Quiet) -> None:
    verb = VERBS["convert-image"]
    want = quiet(verb)
    with Run(stage, verb) as run:
        assert run.wait_for(lambda: any(name.endswith(".lock") for name in stage.names())), run.errors
        run.signal(signal.SIGKILL)
        run.end()
    assert any(name.endswith(".lock") for name in stage.names())
    code, _, errors = call(*verb.words(stage))  # also without --resume
    assert code == 0, errors
    assert stage.left() == want
