"""`hrnetae eval` of folders that are not complete: refused, or scored with what is missing told beside the metrics."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from drawn_outputs import PICTURES, Dataset, make_dataset

from hrnetae.evaluation.evaluate import EvalJob, evaluate
from hrnetae.evaluation.ground_truth import load_ground_truth
from hrnetae.evaluation.metrics import keypoint_metrics
from hrnetae.evaluation.results_file import read_results
from hrnetae.files.errors import DataError, some_names
from hrnetae.files.folders import IncompleteError, find_outputs
from hrnetae.files.run_record import RunRecord, write_record
from hrnetae.tools import eval as tool

IDS = [image_id for _, image_id, _, _ in PICTURES]


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return make_dataset(tmp_path / "data")


def record(folder: Path, *stems: str) -> None:
    """As a run leaves it that was to make these outputs."""
    run = RunRecord("runstream", "ONNX Runtime", "float32", "m", "v")
    write_record(folder, run, {f"{stem}.npz": "an input" for stem in stems})


def stems() -> list[str]:
    return [stem for stem, *_ in PICTURES]


def named(data: Dataset, *more: str) -> list[str]:
    return ["--data_root", str(data.root), "--output_data", str(data.runstream), *more]


def test_missing_outputs_are_listed_and_nothing_is_written(
    data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (0, 5):
        (data.vamp / f"output_{number:06d}.npz").unlink()
    for more in ((), ("--json",)):
        words = data.args("--out", str(tmp_path / "r.json"), "--report", str(tmp_path / "report"), *more)
        assert tool.main(words) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err == (
            f"hrnetae eval: {data.vamp}: 2 of 8 outputs are missing: output_000000.npz (c), output_000005.npz (b_flip)"
            "; expected all (--allow_missing counts their people as missed)\n"
        )
        assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_many_missing_outputs_are_counted(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "output_000003.npz").touch()
    (tmp_path / "list.txt").write_text("".join(f"p{number}.npz\n" for number in range(2000)))
    with pytest.raises(IncompleteError) as error:
        find_outputs(tmp_path / "out", tmp_path / "list.txt")
    assert "1999 of 2000 outputs are missing: output_000000.npz (p0), output_000001.npz (p1)" in str(error.value)
    assert str(error.value).endswith("output_000010.npz (p10) ... and 1,989 more")
    assert len(error.value.missing) == 1999 and error.value.missing[-1] == "output_001999.npz (p1999)"
    assert some_names(["a", "b"], 2) == "a, b"


def test_missing_people_count_as_missed(data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The metrics are those of all pictures that are listed, with nobody found where an output is missing."""
    whole, partial = tmp_path / "whole.json", tmp_path / "partial.json"
    assert tool.main(data.args("--out", str(whole))) == 0
    (data.vamp / "output_000003.npz").unlink()  # the flip of a
    (data.vamp / "output_000006.npz").unlink()  # d e.1
    capsys.readouterr()
    assert tool.main(data.args("--out", str(partial), "--json", "--allow-missing")) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    names = ["output_000003.npz (a_flip)", "output_000006.npz (d e.1)"]
    assert report["images"] == 4 and report["missing"] == {"images": 2, "outputs": names}
    assert err == (
        "hrnetae eval: warning: 2 of 4 pictures lack outputs and count as pictures in which nobody was found: "
        f"{', '.join(names)}\n"
    )
    left = [entry for entry in json.loads(whole.read_text()) if entry["image_id"] not in (7, 2)]
    assert json.loads(partial.read_text()) == left
    truth = load_ground_truth(data.ann_file)
    assert report["metrics"] == keypoint_metrics(truth, read_results(partial), IDS)
    assert report["metrics"] != keypoint_metrics(truth, read_results(partial), [30, 12])


def test_the_count_stands_beside_the_metrics(data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    complete = tmp_path / "complete"
    assert tool.main(data.args("--allow_missing", "--report", str(complete))) == 0
    out, err = capsys.readouterr()
    assert err == "" and "missing" not in out and "Incomplete" not in (complete / "index.html").read_text()
    assert json.loads((complete / "analysis.json").read_text())["missing_images"] == 0
    (data.vamp / "output_000001.npz").unlink()
    folder = tmp_path / "report"
    assert tool.main(data.args("--allow_missing", "--report", str(folder))) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[10] == "missing 1 of 4 pictures: their people count as missed"
    page = (folder / "index.html").read_text()
    assert "Incomplete: 1 of the 4 pictures lack outputs; their people count as missed." in page
    assert "output_000001.npz (c_flip)" in page
    assert json.loads((folder / "analysis.json").read_text())["missing_images"] == 1
    report = evaluate(EvalJob(data.vamp, data.datalist, data.root, allow_missing=True))
    assert (report.images, report.missing_images, report.missing) == (4, 1, ("output_000001.npz (c_flip)",))
    assert report.image_ids == tuple(IDS)


def test_without_flips_theirs_may_be_missing(data: Dataset) -> None:
    (data.vamp / "output_000001.npz").unlink()
    assert tool.main(data.args("--no_flip")) == 0


def test_an_unfinished_runstream_folder(data: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    """Its run.json tells what the run was to make; the folder itself would look complete."""
    assert tool.main(named(data)) == 0
    record(data.runstream, *stems(), "never made")
    (data.runstream / "b.npz").unlink()
    capsys.readouterr()
    assert tool.main(named(data)) == 1
    assert f"{data.runstream}: 2 of 5 outputs are missing: b.npz, never made.npz;" in capsys.readouterr().err
    assert tool.main(named(data, "--datalist_txt", str(data.datalist))) == 1  # the list promises flips beside them
    assert "a_flip.npz" in capsys.readouterr().err
    data.datalist.write_text("c.npz\na.npz\n")  # what the list names is there
    assert tool.main(named(data, "--datalist_txt", str(data.datalist))) == 0


def test_an_unfinished_runstream_folder_with_flips(data: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    record(data.runstream, *stems(), *(f"{stem}_flip" for stem in stems()))  # stopped before the first flip
    assert tool.main(named(data)) == 1
    assert "4 of 8 outputs are missing: a_flip.npz, b_flip.npz" in capsys.readouterr().err
    for path in data.flips.iterdir():
        shutil.copy(path, data.runstream / f"{path.stem}_flip.npz")
    (data.runstream / "a.npz").unlink()
    assert tool.main(named(data)) == 1
    assert "a_flip.npz: the output of a flip, but a.npz" in capsys.readouterr().err
    assert tool.main(named(data, "--allow_missing", "--json")) == 0
    assert json.loads(capsys.readouterr().out)["missing"] == {"images": 1, "outputs": ["a.npz"]}


def test_an_unfinished_second_folder(data: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    words = named(data, "--output_flip", str(data.flips))
    (data.flips / "c.npz").unlink()
    (data.runstream / "a.npz").unlink()
    assert tool.main(words) == 1
    assert f"{data.runstream}: 1 of 4 outputs is missing: a.npz;" in capsys.readouterr().err
    assert tool.main([*words, "--allow_missing", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["missing"] == {"images": 2, "outputs": ["a.npz", "c.npz"]}


def test_an_output_that_was_cut_is_bad_data_all_the_same(data: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    (data.vamp / "output_000001.npz").unlink()
    path = data.vamp / "output_000004.npz"
    path.write_bytes(path.read_bytes()[:5000])
    assert tool.main(data.args("--allow_missing")) == 1
    assert capsys.readouterr().err.startswith(f"hrnetae eval: {path}: truncated")


def test_nothing_whole_is_no_result(data: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (0, 3, 5, 6):
        (data.vamp / f"output_{number:06d}.npz").unlink()
    assert tool.main(data.args("--allow_missing")) == 1
    assert "no picture has all its outputs" in capsys.readouterr().err
    with pytest.raises(DataError, match="no such folder"):
        find_outputs(data.root / "absent", allow_missing=True)
