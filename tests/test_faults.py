"""Faults in the midst of long work, for each of the five verbs: one line, nothing half-written, and --resume ends it.

Kills are in test_kills.py and in the campaign; that a run may not share its folder, in test_lock.py.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from five_verbs import GLANCE, RUN, VERBS, Run, Stage, Verb, call, make_stage
from kills import is_hidden

from hrnetae.evaluation.evaluate import EvalJob, evaluate
from hrnetae.files.errors import DataError
from hrnetae.runtime.conversion import ConvertJob, convert

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")

each_verb = pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
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


# -------------------------------------------------------------------------------------------------------- signals


@pytest.mark.parametrize(
    ("name", "number", "code", "word"),
    [
        *((name, signal.SIGTERM, 143, "ended by SIGTERM") for name in VERBS),
        *((name, signal.SIGINT, 130, "interrupted") for name in ("vamc", "runstream", "eval")),
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


@contextlib.contextmanager
def files_limited(stage: Stage, after: int, size: int) -> Iterator[None]:
    """As soon as there are so many files, no process may write more than ``size`` bytes to one (RLIMIT_FSIZE)."""
    over = threading.Event()

    def limit() -> None:
        while not over.is_set():
            if sum(not is_hidden(name) for name in stage.names()) >= after:
                for pid in (os.getpid(), *(process.pid for process in multiprocessing.active_children())):
                    with contextlib.suppress(ProcessLookupError):
                        resource.prlimit(pid or 0, resource.RLIMIT_FSIZE, (size, hard))
                return
            time.sleep(GLANCE)

    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    watcher = threading.Thread(target=limit)
    watcher.start()
    try:
        if not after:
            watcher.join()
        yield
    finally:
        over.set()
        watcher.join()
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))


@each_verb
def test_no_more_room_for_a_file(stage: Stage, quiet: Quiet, verb: Verb) -> None:
    want = quiet(verb)
    with files_limited(stage, MIDST.get(verb.name, 0), 5000):
        code, _, errors = call(*verb.words(stage))
    check_full(stage, want, code, errors, "File too large")
    assert_resumes(stage, verb, want)


def check_full(stage: Stage, want: dict[str, bytes], code: int, errors: str, reason: str) -> None:
    """One line names the file that there is no room for, one of the run's or, of vamc's, a temporary one."""
    assert code == 1
    (line,) = complaints(errors)
    assert re.fullmatch(rf"hrnetae [a-z-]+: ({stage.out}|{tempfile.gettempdir()}/tmp\w+)/\S+: {reason}(, .*)?", line), (
        line
    )
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


@each_verb
def test_a_full_disk(stage: Stage, quiet: Quiet, verb: Verb) -> None:
    want = quiet(verb)
    half = sum(map(len, want.values())) // 2
    with small_disk(stage.out, half) as enlarge:
        code, _, errors = call(*verb.words(stage))
        check_full(stage, want, code, errors, "No space left on device")
        enlarge(1 << 26)
        assert_resumes(stage, verb, want)


# ------------------------------------------------------------------------------------------------- two runs, a dead one


@each_verb
def test_a_second_run_is_refused_and_the_first_unharmed(stage: Stage, quiet: Quiet, verb: Verb) -> None:
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


@pytest.mark.parametrize("verb", [VERBS["convert-image"], VERBS["eval"]], ids=["convert-image", "eval"])
def test_the_lock_of_a_killed_run_is_taken_over(stage: Stage, quiet: Quiet, verb: Verb) -> None:
    want = quiet(verb)
    with Run(stage, verb) as run:
        assert run.wait_for(lambda: any(name.endswith(".lock") for name in stage.names())), run.errors
        run.signal(signal.SIGKILL)
        run.end()
    assert any(name.endswith(".lock") for name in stage.names())
    code, _, errors = call(*verb.words(stage))  # also without --resume
    assert code == 0, errors
    assert stage.left() == want


def test_a_run_whose_worker_died_is_resumed(stage: Stage, quiet: Quiet) -> None:
    verb = VERBS["vamp"]
    want = quiet(verb)
    with in_the_midst(stage, verb) as run:
        run.signal(signal.SIGKILL, run.workers()[0])
        assert run.end() == 1
        assert complaints(run.errors) == ["hrnetae vamp: a process of the run ended too early (exit code -9)"]
        assert run.wait_for_nobody()
    left = {name: content for name, content in stage.left().items() if not is_hidden(name)}
    assert left.items() <= want.items()
    assert_resumes(stage, verb, want)


# ------------------------------------------------------------------------------- inputs that vanish or change meanwhile


def test_pictures_that_vanish_or_change_while_they_are_converted(stage: Stage, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    shutil.copytree(stage.few, folder)
    first, *_, last = sorted(folder.iterdir())
    job = ConvertJob(folder, stage.out / "npz", stage.out / "list.txt", workers=1)

    def meddle(done: int, total: int) -> None:
        if done == 1:
            shutil.copy(last, first)  # it has been read
            last.rename(tmp_path / "aside")

    report = convert(job, meddle)
    assert report.failed == (f"{last}: no such file, expected a picture",)
    assert [path.stem for path in report.files[-2:]] == ["000000000005", "000000000005_flip"]
    assert (stage.out / "list.txt").read_text().count("\n") == 2 * (RUN - 1)
    (tmp_path / "aside").rename(last)
    assert convert(dataclasses.replace(job, resume=True)).kept == RUN - 2
    resumed = stage.left()
    stage.clear()
    convert(job)
    assert stage.left() == resumed


def _of_vamp(stage: Stage, folder: Path) -> tuple[list[Path], list[object]]:
    """Inputs of its own, and the words that tell of them."""
    shutil.copytree(stage.few_inputs, folder / "in")
    paths = [folder / "in" / Path(line).name for line in stage.few_list.read_text().splitlines()]
    (folder / "list.txt").write_text("".join(f"{path}\n" for path in paths))
    return paths, ["--datalist", folder / "list.txt", "-i", 1, "-p", 1]


def _of_runstream(stage: Stage, folder: Path) -> tuple[list[Path], list[object]]:
    shutil.copytree(stage.few, folder / "in")
    return sorted((folder / "in").iterdir()), ["--file_path", folder / "in"]


@pytest.mark.parametrize(
    ("name", "inputs_of", "failed"),
    [("vamp", _of_vamp, "1 of 12 inputs failed, 11"), ("runstream", _of_runstream, "1 pictures failed, 10")],
)
def test_inputs_that_vanish_or_change_while_the_network_runs(
    stage: Stage,
    tmp_path: Path,
    name: str,
    inputs_of: Callable[[Stage, Path], tuple[list[Path], list[object]]],
    failed: str,
) -> None:
    verb = VERBS[name]
    paths, words = inputs_of(stage, tmp_path)
    first, last = paths[0], paths[-1]
    with Run(stage, verb, *words) as run:
        assert run.wait_for_files(2), run.errors  # run.json and an output
        run.signal_all(signal.SIGSTOP)
        shutil.copy(paths[1], first)  # it has been read
        last.rename(tmp_path / "aside")
        run.signal_all(signal.SIGCONT)
        assert run.end() == 1
        reason, count = complaints(run.errors)
    assert f"{last}: no such file" in reason and failed in count
    (tmp_path / "aside").rename(last)
    code, _, errors = call(*verb.words(stage, *words, "--resume"))
    assert code == 0, errors
    resumed = stage.left()
    stage.clear()
    assert call(*verb.words(stage, *words))[0] == 0
    assert stage.left() == resumed


def test_outputs_that_vanish_or_are_cut_while_they_are_evaluated(stage: Stage, quiet: Quiet, tmp_path: Path) -> None:
    want = quiet(VERBS["eval"])
    folder = tmp_path / "outputs"
    shutil.copytree(stage.settings.outputs("fp16"), folder)
    last = sorted(folder.iterdir())[-1]
    whole = last.read_bytes()
    job = EvalJob(folder, stage.settings.datalist, ann_file=stage.settings.ground_truth, out=stage.out / "results.json")
    for harm in (last.unlink, lambda: last.write_bytes(whole[:1000])):
        with pytest.raises(DataError, match=re.escape(str(last))):
            evaluate(job, lambda done, _, harm=harm: harm() if done == 1 else None)  # type: ignore[misc]
        assert not any(not is_hidden(name) for name in stage.names())
        last.write_bytes(whole)
    evaluate(dataclasses.replace(job, resume=True))
    assert stage.left() == want
