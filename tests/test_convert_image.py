"""convert-image: the files that it leaves, again after an interruption, and what it does about bad pictures."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden import SHARED
from numpy.typing import NDArray
from PIL import Image

from hrnetae.files import DataError, pair_by_name, read_datalist
from hrnetae.files.inputs import read_input
from hrnetae.files.run_record import RECORD_NAME
from hrnetae.runtime import conversion
from hrnetae.runtime.conversion import ConvertJob, convert
from hrnetae.tools import cli

SIZES = {"b.png": (31, 20), "a.v2.bmp": (7, 9), "c d.PNG": (64, 1), "10.png": (5, 5)}


def noise(width: int, height: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def pictures(folder: Path) -> dict[str, NDArray[np.uint8]]:
    """A folder of pictures in lossless files, with other files among them. Stem -> pixels (H, W, 3)."""
    folder.mkdir()
    drawn = {}
    for seed, (name, (width, height)) in enumerate(SIZES.items()):
        drawn[name.rpartition(".")[0]] = noise(width, height, seed)
        Image.fromarray(drawn[name.rpartition(".")[0]]).save(folder / name)
    (folder / "notes.txt").write_text("no picture")
    (folder / "sub.png").mkdir()
    return drawn


def run(folder: Path, *options: str) -> int:
    names = ["--image_dir", folder / "in", "--save_dir", folder / "out", "--datalist", folder / "list.txt"]
    return cli.main(["convert-image", *map(str, names), *options])


def contents(folder: Path) -> dict[str, bytes]:
    """Of all files but the run's record."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != RECORD_NAME}


def test_files_and_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = pictures(tmp_path / "in")
    assert run(tmp_path) == 0
    captured = capsys.readouterr()
    assert "4 pictures made" in captured.out and "8 files" in captured.out and captured.err == ""
    names = [f"{stem}{suffix}.npz" for stem in ("10", "a.v2", "b", "c d") for suffix in ("", "_flip")]
    assert (tmp_path / "list.txt").read_text() == "".join(f"{tmp_path / 'out' / name}\n" for name in names)
    assert sorted(contents(tmp_path / "out")) == sorted(names)
    for stem, pixels in drawn.items():
        for suffix, wanted in (("", pixels), ("_flip", pixels[:, ::-1])):
            with np.load(tmp_path / "out" / f"{stem}{suffix}.npz") as file:
                assert file.files == ["input_0"]
                planes = file["input_0"]
            assert planes.dtype == np.uint8 and planes.shape == (3, *pixels.shape[:2])
            np.testing.assert_array_equal(planes, wanted.transpose(2, 0, 1))
            with zipfile.ZipFile(tmp_path / "out" / f"{stem}{suffix}.npz") as archive:
                assert all(member.compress_type == zipfile.ZIP_STORED for member in archive.infolist())
    # Our own reader of the list agrees on what belongs together.
    pairs = pair_by_name(read_datalist(tmp_path / "list.txt"))
    assert [(pair.stem, pair.line, pair.flip) for pair in pairs] == [
        ("10", 0, 1),
        ("a.v2", 2, 3),
        ("b", 4, 5),
        ("c d", 6, 7),
    ]


def test_the_bytes_are_those_of_numpy(tmp_path: Path) -> None:
    drawn = pictures(tmp_path / "in")
    assert run(tmp_path, "--workers", "3") == 0
    stream = io.BytesIO()
    np.savez(stream, input_0=drawn["b"].transpose(2, 0, 1).copy())
    with zipfile.ZipFile(stream) as numpys, zipfile.ZipFile(tmp_path / "out" / "b.npz") as ours:
        assert numpys.read("input_0.npy") == ours.read("input_0.npy")
    first = contents(tmp_path / "out")
    assert run(tmp_path, "--workers", "1") == 0
    assert contents(tmp_path / "out") == first


def test_without_flips_and_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures(tmp_path / "in")
    assert run(tmp_path, "--no-flip", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert {key: summary[key] for key in ("pictures", "files", "kept", "failed")} == {
        "pictures": 4,
        "files": 4,
        "kept": 0,
        "failed": [],
    }
    assert summary["datalist"] == str(tmp_path / "list.txt")
    assert [line.rpartition("/")[2] for line in (tmp_path / "list.txt").read_text().split("\n")] == [
        "10.npz",
        "a.v2.npz",
        "b.npz",
        "c d.npz",
        "",
    ]


def test_relative_folders_make_an_absolute_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures(tmp_path / "in")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["convert_image", "--image_dir=in", "--save_dir=./new/out", "--datalist=lists/list.txt"]) == 0
    lines = (tmp_path / "lists" / "list.txt").read_text().splitlines()
    assert lines[0] == str(tmp_path / "new" / "out" / "10.npz")
    assert all(Path(line).is_file() for line in lines) and len(lines) == 8


def test_the_other_script_s_option_names(tmp_path: Path) -> None:
    pictures(tmp_path / "in")
    options = ["--dataset_path", "in", "--target_path", "out", "--text_path", "list.txt"]
    paths = [option if option.startswith("--") else str(tmp_path / option) for option in options]
    assert cli.main(["convert-image", *paths]) == 0
    assert len((tmp_path / "list.txt").read_text().splitlines()) == 8


# ------------------------------------------------------------------------------------------------------- what is wrong


def test_bad_pictures_are_left_out_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures(tmp_path / "in")
    (tmp_path / "in" / "bad.jpg").write_bytes(b"no picture")
    (tmp_path / "in" / "z.png").write_bytes(b"")
    assert run(tmp_path) == 1
    captured = capsys.readouterr()
    assert "4 pictures made" in captured.out and "8 files" in captured.out
    lines = captured.err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"hrnetae convert-image: {tmp_path / 'in' / 'bad.jpg'}: not a picture")
    assert lines[1].startswith(f"hrnetae convert-image: {tmp_path / 'in' / 'z.png'}: empty file")
    listed = (tmp_path / "list.txt").read_text().splitlines()
    assert len(listed) == 8 and all(Path(line).is_file() for line in listed)
    assert len(contents(tmp_path / "out")) == 8


def test_opencv_does_not_speak_up(tmp_path: Path) -> None:
    """It logs what it cannot decode, past Python's stderr; only our line is wanted."""
    (tmp_path / "in").mkdir()
    for suffix in ("bmp", "tif"):
        path = tmp_path / "in" / f"{suffix}.{suffix}"
        Image.fromarray(noise(60, 50)).save(path)
        path.write_bytes(path.read_bytes()[:4000])
    options = ["--image_dir", "in", "--save_dir", "out", "--datalist", "list.txt"]
    done = subprocess.run(
        [sys.executable, "-m", "hrnetae.tools.cli", "convert-image", *options],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert [line.partition(": ")[2].partition(":")[0] for line in done.stderr.splitlines()] == [
        "in/bmp.bmp",
        "in/tif.tif",
    ]


def test_nothing_but_bad_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bad.jpg").write_bytes(b"no picture")
    assert run(tmp_path, "--json") == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["datalist"] is None and "bad.jpg" in captured.err
    assert not (tmp_path / "list.txt").exists()


@pytest.mark.parametrize(
    ("names", "options", "parts"),
    [
        ([], [], ["in: no pictures in it"]),
        (["a.txt"], [], ["in: no pictures in it"]),
        (["a.jpg", "a.png"], [], ["a.png", "same name as a.jpg", "a.npz"]),
        (["a.JPG", "a.jpg"], ["--no_flip"], ["a.jpg", "a.JPG"]),
        (["a.png", "a_flip.png"], [], ["a_flip.png", "ends with _flip", "--no_flip"]),
        (["a\nb.png"], ["--no_flip"], ["a line end in the path"]),
        (None, [], ["in: no such folder"]),
    ],
)
def test_what_stops_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], names: list[str] | None, options: list[str], parts: list[str]
) -> None:
    if names is not None:
        (tmp_path / "in").mkdir()
        for name in names:
            Image.fromarray(noise(3, 3)).save(tmp_path / "in" / name, "PNG")
    assert run(tmp_path, *options) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    for part in parts:
        assert part in captured.err
    assert not (tmp_path / "list.txt").exists()


def test_flips_of_somebody_else_are_pictures_without_ours(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(noise(3, 3)).save(tmp_path / "in" / "a_flip.png")
    assert run(tmp_path, "--no_flip") == 0
    assert list(contents(tmp_path / "out")) == ["a_flip.npz"]


@pytest.mark.parametrize("what", ["out", "list.txt"])
def test_where_nothing_can_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str) -> None:
    pictures(tmp_path / "in")
    if what == "list.txt":
        (tmp_path / what).mkdir()
    else:
        (tmp_path / what).write_text("a file, not a folder")
    assert run(tmp_path) == 1
    captured = capsys.readouterr()
    assert str(tmp_path / what) in captured.err and captured.err.count("\n") == 1
    assert not list((tmp_path).glob("out/*"))  # said before the work, not after it


def test_a_full_disk_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not the picture's fault: the rest is not tried, and no list is written."""
    pictures(tmp_path / "in")

    def full(path: Any, arrays: Any) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(conversion, "write_arrays", full)
    with pytest.raises(OSError, match="No space left"):
        convert(ConvertJob(tmp_path / "in", tmp_path / "out", tmp_path / "list.txt"))
    assert not (tmp_path / "list.txt").exists()


def test_missing_options_are_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        cli.main(["convert-image", "--image_dir", "x"])
    assert error.value.code == 2
    with pytest.raises(SystemExit) as error:
        run(tmp_path, "--workers", "0")
    assert error.value.code == 2
    assert "expected a whole number of 1 or more" in capsys.readouterr().err


def test_help_shows_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        cli.main(["convert-image", "--help"])
    assert error.value.code == 0
    text = capsys.readouterr().out
    for word in (
        "--image_dir",
        "--save_dir",
        "--datalist",
        "--no_flip",
        "--resume",
        "--workers",
        "default:",
        "example:",
    ):
        assert word in text


# ------------------------------------------------------------------------------------------------------- interruptions


def test_resume_keeps_what_is_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures(tmp_path / "in")
    assert run(tmp_path) == 0
    whole, listed = contents(tmp_path / "out"), (tmp_path / "list.txt").read_bytes()
    stamps = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in whole}
    (tmp_path / "list.txt").unlink()
    (tmp_path / "out" / "b_flip.npz").unlink()  # interrupted between the two
    (tmp_path / "out" / "10.npz").write_bytes(whole["10.npz"][:-30])  # somebody else cut it off
    (tmp_path / "out" / "a.v2.npz").write_bytes(whole["b.npz"])  # another picture's
    time.sleep(0.01)
    capsys.readouterr()
    assert run(tmp_path, "--resume", "--json") == 0
    assert json.loads(capsys.readouterr().out)["kept"] == 1
    assert contents(tmp_path / "out") == whole and (tmp_path / "list.txt").read_bytes() == listed
    for name in whole:
        kept = (tmp_path / "out" / name).stat().st_mtime_ns == stamps[name]
        assert kept == name.startswith("c d")


def test_without_resume_everything_is_made_anew(tmp_path: Path) -> None:
    pictures(tmp_path / "in")
    assert run(tmp_path) == 0
    whole = contents(tmp_path / "out")
    (tmp_path / "out" / "b.npz").write_bytes(whole["b_flip.npz"])
    assert run(tmp_path) == 0
    assert contents(tmp_path / "out") == whole


def test_resume_sees_that_a_picture_has_changed(tmp_path: Path) -> None:
    pictures(tmp_path / "in")
    assert run(tmp_path) == 0
    Image.fromarray(noise(31, 20, 99)).save(tmp_path / "in" / "b.png")
    later = time.time() + 10
    os.utime(tmp_path / "in" / "b.png", (later, later))
    assert run(tmp_path, "--resume") == 0
    np.testing.assert_array_equal(read_input(tmp_path / "out" / "b.npz"), noise(31, 20, 99).transpose(2, 0, 1))


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_stopped_in_mid_run(tmp_path: Path, stop: signal.Signals) -> None:
    """No half file under a final name, no list; and --resume ends with the bytes of a run that nobody stopped."""
    (tmp_path / "in").mkdir()
    for number in range(60):
        Image.fromarray(noise(640, 480, number)).save(tmp_path / "in" / f"{number:03d}.bmp")
    command = [sys.executable, "-m", "hrnetae.tools.cli", "convert-image", "--image_dir", str(tmp_path / "in")]
    command += ["--save_dir", str(tmp_path / "out"), "--datalist", str(tmp_path / "list.txt"), "--workers", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    while process.poll() is None and len(list((tmp_path / "out").glob("0*.npz"))) < 4:
        time.sleep(0.001)
    process.send_signal(stop)
    _, errors = process.communicate(timeout=60)
    made = list((tmp_path / "out").glob("*.npz"))
    if process.returncode:  # else it was done before the signal came
        assert len(made) < 120 and not (tmp_path / "list.txt").exists()
        assert process.returncode == (130 if stop == signal.SIGINT else -stop)
        assert stop == signal.SIGKILL or errors == "hrnetae convert-image: interrupted\n"
    for path in made:
        assert read_input(path).shape == (3, 480, 640)
    assert subprocess.run([*command, "--resume"], check=False, capture_output=True).returncode == 0
    resumed = contents(tmp_path / "out")
    resumed = {name: data for name, data in resumed.items() if not name.startswith(".")}
    again = ConvertJob(tmp_path / "in", tmp_path / "again", tmp_path / "again.txt")
    assert convert(again).pictures == 60
    assert resumed == contents(tmp_path / "again")
    assert (tmp_path / "list.txt").read_text() == (tmp_path / "again.txt").read_text().replace("/again/", "/out/")


# --------------------------------------------------------------------------------------------------------------- shared


@pytest.mark.shared
@pytest.mark.skipif(SHARED is None, reason="the recorded inputs (../shared or HRNETAE_SHARED) are absent")
def test_real_pictures(tmp_path: Path) -> None:
    assert SHARED is not None
    folder = SHARED / "coco" / "val2017"
    report = convert(ConvertJob(folder, tmp_path / "out", tmp_path / "list.txt"))
    names = sorted(path.stem for path in folder.iterdir())
    assert report.failed == () and report.pictures == len(names)
    assert [path.stem for path in report.files] == [name + end for name in names for end in ("", "_flip")]
    for name in names[::40]:
        with Image.open(folder / f"{name}.jpg") as image:
            wanted = np.asarray(image.convert("RGB")).transpose(2, 0, 1).astype(int)
        # Two decoders, which round the colours differently.
        assert np.abs(read_input(tmp_path / "out" / f"{name}.npz") - wanted).mean() < 1
        flipped = read_input(tmp_path / "out" / f"{name}_flip.npz")
        np.testing.assert_array_equal(flipped[..., ::-1], read_input(tmp_path / "out" / f"{name}.npz"))


def test_a_missing_folder_is_an_error_of_the_function_too(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        convert(ConvertJob(tmp_path / "absent", tmp_path / "out"))


def test_a_line_end_in_a_name_stops_it_before_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures(tmp_path / "in")
    Image.fromarray(noise(4, 4)).save(tmp_path / "in" / "z\nz.png")
    assert run(tmp_path) == 1
    err = capsys.readouterr().err
    assert "a line end in the path" in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists() and not (tmp_path / "list.txt").exists()


@pytest.mark.parametrize(
    ("option", "place", "complaint"),
    [
        ("--save_dir", "file", "file/10.npz: file above it is a file, expected a folder"),
        ("--save_dir", "file/below", "file/below/10.npz: file above it is a file, expected a folder"),
        ("--datalist", "in", "in: a folder, expected the name of a file to write"),
        ("--datalist", "file/list", "file/list: file above it is a file, expected a folder"),
        ("--image_dir", "file", "file: a file, expected a folder of pictures"),
    ],
)
def test_files_and_folders_in_each_other_s_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, place: str, complaint: str
) -> None:
    pictures(tmp_path / "in")
    (tmp_path / "file").write_text("x")
    assert run(tmp_path, option, str(tmp_path / place)) == 1
    assert capsys.readouterr().err == f"hrnetae convert-image: {tmp_path}/{complaint}\n"
    assert not (tmp_path / "out").exists() and not (tmp_path / "list.txt").exists()
