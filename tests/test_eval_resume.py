"""`hrnetae eval` stopped at any moment and taken up again; files that change under it; two that write to one place."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from drawn_outputs import Dataset, make_dataset

from hrnetae.evaluation.decoding import KEY_BYTES, Task, check_unchanged, key_of
from hrnetae.evaluation.evaluate import EvalJob, EvalReport, evaluate
from hrnetae.evaluation.ground_truth import Picture
from hrnetae.evaluation.parts import Part, PartsFile
from hrnetae.evaluation.results import Results
from hrnetae.files.errors import DataError
from hrnetae.files.folders import Sample
from hrnetae.files.lock import lock_file, lock_folder
from hrnetae.params import DecodeParams
from hrnetae.tools import eval as tool

MANY = 200


@dataclasses.dataclass(frozen=True)
class Many:
    """The drawn data set, each picture under many names."""

    data: Dataset
    out: Path

    @property
    def part(self) -> Path:
        return self.out.parent / f".{self.out.name}.part"

    @property
    def job(self) -> EvalJob:
        return EvalJob(self.data.vamp, self.data.datalist, self.data.root, out=self.out, resume=True)

    def words(self, *more: str) -> list[str]:
        return self.data.args("--out", str(self.out), "--resume", *more)

    def run(self, stop_at: int | None = None, **changes: object) -> EvalReport:
        """Evaluate; stop_at: ctrl-c after so many pictures."""

        def told(done: int, total: int) -> None:
            if done == stop_at:
                raise KeyboardInterrupt

        return evaluate(dataclasses.replace(self.job, **changes), told)  # type: ignore[arg-type]


def make_many(root: Path, count: int) -> Many:
    return Many(make_dataset(root / "few").under_many_names(root / "data", count), root / "results" / "r.json")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Many:
    return make_many(tmp_path_factory.mktemp("many"), MANY)


@pytest.fixture(scope="module")
def whole(many: Many) -> bytes:
    """The results of a run that nobody disturbs."""
    return results(many, dataclasses.replace(many.job, out=many.out.with_name("whole.json"), resume=False))


def results(many: Many, job: EvalJob) -> bytes:
    evaluate(job)
    assert job.out is not None
    return job.out.read_bytes()


@pytest.fixture(autouse=True)
def tidy(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test of `many` leaves beside the results is seen here, and gone for the next."""
    yield
    if "many" in request.fixturenames:
        many = request.getfixturevalue("many")
        for path in (many.out, many.part):
            path.unlink(missing_ok=True)
        assert {path.name for path in many.out.parent.glob("*")} <= {"whole.json"}


# ----------------------------------------------------------------------------------------------------------- resumed


@pytest.mark.parametrize(("stop_at", "workers", "then"), [(17, 1, 1), (100, 2, 8), (199, 8, 2), (MANY, 1, 3)])
def test_what_was_decoded_is_not_decoded_again(many: Many, whole: bytes, stop_at: int, workers: int, then: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        many.run(stop_at, workers=workers)
    assert many.part.exists() and not many.out.exists()
    report = many.run(workers=then)
    assert stop_at <= report.kept <= MANY
    assert many.out.read_bytes() == whole
    assert not many.part.exists()
    assert many.run().kept == 0  # a finished one leaves nothing
    assert many.out.read_bytes() == whole


def test_an_interrupted_one_is_resumed_though_it_was_not_asked_for(many: Many, whole: bytes) -> None:
    with pytest.raises(KeyboardInterrupt):
        many.run(50, resume=False)
    assert many.run(resume=False).kept == 0  # begins anew
    with pytest.raises(KeyboardInterrupt):
        many.run(50, resume=False)
    assert many.run().kept >= 50
    assert many.out.read_bytes() == whole


def test_a_torn_end_is_dropped(many: Many, whole: bytes) -> None:
    with pytest.raises(KeyboardInterrupt):
        many.run(120, workers=1)
    content = many.part.read_bytes()
    for damaged in (content[:-1], content[:1000], content[: len(content) // 2] + content[len(content) // 2 + 1 :]):
        many.part.write_bytes(damaged)
        many.run()
        assert many.out.read_bytes() == whole


def test_wherever_a_file_of_parts_is_cut_or_damaged(tmp_path: Path) -> None:
    """What comes back is the first parts, as they were: as many as lie before the damage, or one less."""
    results, path = tmp_path / "r.json", tmp_path / ".r.json.part"
    parts = PartsFile(results, 17, {}, resume=False)
    ends = []
    for number in range(3):
        parts.add(Part((bytes([number]) * KEY_BYTES,), some_persons()[:number]))
        ends.append(path.stat().st_size)
    parts.close()
    content = path.read_bytes()

    def found_in(damaged: bytes) -> list[int]:
        path.write_bytes(damaged)
        again = PartsFile(results, 17, {}, resume=True)
        again.close()
        assert content.startswith(path.read_bytes())  # what cannot be used is cut off
        return [part.keys[0][0] for part in again.found]

    for at in {*range(0, len(content), 7), *ends, *(end - 1 for end in ends), *(end + 1 for end in ends[:-1])}:
        whole_ones = [number for number, end in enumerate(ends) if end <= at]
        assert found_in(content[:at]) == whole_ones
        if at < len(content):
            assert found_in(content[:at] + bytes([content[at] ^ 0x41]) + content[at + 1 :]) == whole_ones


def test_parts_of_another_decoder_are_dropped(many: Many, whole: bytes) -> None:
    for changes in ({"params": DecodeParams(tag_threshold=0.5)}, {"verify": True}, {"use_flip": False}):
        with pytest.raises(KeyboardInterrupt):
            many.run(100, **changes)
        assert many.run().kept == 0
        assert many.out.read_bytes() == whole


def test_any_rest_of_any_list_is_found_again(many: Many, tmp_path: Path) -> None:
    """Pictures that were decoded for a list which has changed meanwhile, in runs of the order that they had."""
    with pytest.raises(KeyboardInterrupt):
        many.run(160, workers=1)
    lines = many.data.datalist.read_text().splitlines(keepends=True)
    other = tmp_path / "short.txt"
    other.write_text("".join(lines[: 2 * 150]))
    report = many.run(datalist=other)
    assert report.images == 150 and report.kept == 144  # nine pieces of sixteen
    expected = results(many, dataclasses.replace(many.job, datalist=other, out=tmp_path / "x.json", resume=False))
    assert many.out.read_bytes() == expected


def test_changed_inputs_are_decoded_again(tmp_path: Path) -> None:
    many = make_many(tmp_path, 12)
    with pytest.raises(KeyboardInterrupt):
        many.run(9, workers=1)  # pieces of 6
    path = many.data.vamp / "output_000009.npz"
    other = (many.data.vamp / "output_000001.npz").read_bytes()
    path.unlink()  # the name alone gets another content
    path.write_bytes(other)
    assert many.run().kept == 6
    expected = results(many, dataclasses.replace(many.job, out=tmp_path / "x.json"))
    assert many.out.read_bytes() == expected


def test_bad_data_leaves_parts_only_where_going_on_was_asked_for(tmp_path: Path) -> None:
    many = make_many(tmp_path, 12)
    path = many.data.vamp / "output_000022.npz"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:100])
    for resume in (False, True):
        with pytest.raises(DataError, match="output_000022"):
            many.run(resume=resume, workers=1)
        assert many.part.exists() == resume and not many.out.exists()
    path.write_bytes(content)
    assert many.run(workers=1).kept == 6
    assert not many.part.exists()


def test_a_file_of_something_else_is_no_part(many: Many, whole: bytes) -> None:
    settings = {"version": "none"}
    many.out.parent.mkdir(exist_ok=True)
    for content in (b"", b"{}", b"\xff" * 100, bytes(1000)):
        many.part.write_bytes(content)
        many.run()
        assert many.out.read_bytes() == whole
    part = Part((bytes(KEY_BYTES),), some_persons())
    parts = PartsFile(many.out, 17, settings, resume=False)
    parts.add(part)
    parts.close()
    assert many.run().kept == 0
    assert many.out.read_bytes() == whole


def some_persons() -> Results:
    columns = np.arange(1, 3), np.ones(2, int), np.ones((2, 17, 3), np.float32), np.ones(2, np.float32)
    return Results(*columns, np.ones((2, 4), np.float32))


def test_parts_come_back_as_they_were(tmp_path: Path) -> None:
    persons = some_persons()
    persons.keypoints[1, 3] = 1 / 3, -0.0, 1e-42
    added = [Part((bytes([number]) * KEY_BYTES,) * 3, persons[:number]) for number in (2, 0, 1)]
    first = PartsFile(tmp_path / "r.json", 17, {"x": 1}, resume=True)
    assert first.found == []
    for part in added:
        first.add(part)
    first.close()
    again = PartsFile(tmp_path / "r.json", 17, {"x": 1}, resume=True)
    for found, part in zip(again.found, added, strict=True):
        assert found.keys == part.keys
        for field in dataclasses.fields(Results):
            mine, theirs = getattr(found.results, field.name), getattr(part.results, field.name)
            assert mine.dtype == theirs.dtype and mine.shape == theirs.shape and mine.tobytes() == theirs.tobytes()
    again.remove()
    assert not list(tmp_path.iterdir())
    for joints, settings in ((14, {"x": 1}), (17, {"x": 2})):
        other = PartsFile(tmp_path / "r.json", joints, settings, resume=True)
        assert other.found == []
        other.remove()


# ------------------------------------------------------------------------------------------------------------ killed


def start(many: Many, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "hrnetae.tools.cli", "eval", *many.words("--num_process", "1", *more)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_killed_again_and_again_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    many = make_many(tmp_path, 1200)
    expected = results(many, dataclasses.replace(many.job, out=tmp_path / "whole.json", resume=False))
    stopped = 0
    for how, size in ((signal.SIGTERM, 1), (signal.SIGKILL, 100_000)):
        process = start(many)
        until = time.monotonic() + 60
        while process.poll() is None and not (many.part.exists() and many.part.stat().st_size >= size):
            assert time.monotonic() < until
            time.sleep(0.001)
        process.send_signal(how)
        process.communicate()
        if process.returncode:
            stopped += 1
            assert process.returncode == (-signal.SIGKILL if how == signal.SIGKILL else 128 + signal.SIGTERM)
            assert not many.out.exists() and many.part.exists()
    last = start(many, "--json")
    out, err = last.communicate(timeout=60)
    assert (last.returncode, err) == (0, "")
    assert stopped and json.loads(out)["kept"] > 0
    assert many.out.read_bytes() == expected
    assert [path.name for path in many.out.parent.iterdir()] == ["r.json"]


# ------------------------------------------------------------------------------------------------- beside other things


def test_a_file_that_changes_or_goes_during_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, (stop_at, what) in enumerate([(1, "vanish"), (50, "vanish"), (50, "change"), (50, "replace")]):
        many = make_many(tmp_path / str(number), 50)
        path = many.data.vamp / "output_000099.npz"

        def disturb(done: int, total: int, path: Path = path, stop_at: int = stop_at, what: str = what) -> None:
            if done == stop_at:
                if what == "change":
                    os.utime(path, ns=(0, 0))
                else:
                    path.replace(path.with_suffix(".bak"))
                if what == "replace":
                    path.write_bytes(path.with_suffix(".bak").read_bytes())

        with pytest.raises(DataError) as error:
            evaluate(dataclasses.replace(many.job, resume=False), disturb)
        assert str(error.value).startswith(f"{path}: ")
        assert ("no such file" if stop_at == 1 else "since it was read") in str(error.value)
        assert not many.out.parent.exists()


def test_the_first_that_changed_is_named(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "abcd"]
    for path in paths:
        path.write_text("x")
    tasks = [Task(Sample("p", *paths[:2]), Picture(1, (2, 3))), Task(Sample("q", *paths[2:]), Picture(2, (2, 3)))]
    keys = [key_of(task) for task in tasks]
    check_unchanged(tasks, keys)
    paths[3].write_text("xy")
    with pytest.raises(DataError, match="/d: changed since it was read"):
        check_unchanged(tasks, keys)
    paths[1].unlink()
    with pytest.raises(DataError, match="/b: gone since it was read"):
        check_unchanged(tasks, keys)


def test_two_that_write_to_one_place(many: Many, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with lock_file(many.out):
        assert tool.main(many.words()) == 1
        out, err = capsys.readouterr()
        assert out == "" and f"{many.out}: another run writes there" in err and err.count("\n") == 1
        assert tool.main(many.data.args("--out", str(tmp_path / "other.json"))) == 0
    with lock_folder(tmp_path / "report"):
        assert tool.main(many.data.args("--report", str(tmp_path / "report"))) == 1
        assert f"{tmp_path / 'report'}: another run writes there" in capsys.readouterr().err


def test_resume_needs_a_place(many: Many, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        tool.main(many.data.args("--resume"))
    assert error.value.code == 2
    assert "--resume: expected --out" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="a limit of POSIX")
@pytest.mark.parametrize("limit", [3000, 200_000])
def test_a_full_disk(many: Many, limit: int) -> None:
    """A limit on the size of files, which the decoded parts run into or the results."""
    code = f"import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); "
    code += "from hrnetae.tools.cli import main; sys.exit(main(sys.argv[1:]))"
    words = many.data.args("--out", str(many.out))
    done = subprocess.run([sys.executable, "-c", code, "eval", *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    named = many.part if limit == 3000 else many.out
    assert done.stderr == f"hrnetae eval: {named}: File too large\n"
    assert not many.out.parent.exists() or {path.name for path in many.out.parent.iterdir()} <= {"whole.json"}


def test_a_device_is_written_to_without_parts(many: Many) -> None:
    assert tool.main(many.data.args("--out", os.devnull, "--resume")) == 0


def test_two_reports_differ_in_time_and_command_alone(many: Many, tmp_path: Path) -> None:
    pages = []
    for number, more in enumerate(([], ["--resume"])):
        folder = tmp_path / str(number)
        if more:
            with contextlib.suppress(KeyboardInterrupt):
                many.run(90)
        assert tool.main(many.data.args("--out", str(many.out), "--report", str(folder), *more)) == 0
        page = (folder / "index.html").read_text()
        before, _, after = page.partition("<h3>Command</h3>")
        rest = after.partition("<h3>Data</h3>")[2]
        shown, _, times = rest.partition("<h3>Times</h3>")
        pages.append((before, shown, times.partition("<h3>Versions</h3>")[2], (folder / "analysis.json").read_bytes()))
        assert all(pages[-1])
    assert pages[0] == pages[1]
