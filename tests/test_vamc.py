"""``hrnetae vamc``: what it prints, its exit codes, and handing over to the vendor's program."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from networks_small import SIDE, pose_network, run, write_pictures

from hrnetae.files.errors import DataError
from hrnetae.files.model_folder import find_model
from hrnetae.runtime.vacc import hand_over, vendor_tool
from hrnetae.tools import cli

# The page's own file with paths and sizes of ours.
BUILD = """\
name: hrnet

frontend:
  shape:
    input.1: [1,3,{side},{side}]
  checkpoint: ./model/hrnet.onnx

backend:
  type: tvm_vacc
  dtype: {dtype}
  compile:
    cluster_mode: 0

  quantize:
    calibrate_mode: max
    quantize_per_channel: true

dataset:
  path: ./pictures
  sampler:
    suffix: PNG
    get_data_num: 3
  process_ops:
    - type: DecodeImage
    - type: Resize
      size: [{side}, -1]
      adaptive_side: long
    - type: Pad
      pad_to_square: true
    - type: Normalize
      div255: true
      mean: [0.485, 0.456, 0.406]
      std: [0.229, 0.224, 0.225]
    - type: ToTensor

workspace:
  work_dir: ./vacc
  enable_ir: false
  save_log: true
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a network, pictures and build files, no vendor's program on PATH."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "hrnet.onnx").write_bytes(pose_network().SerializeToString())
    write_pictures(tmp_path / "pictures", 3)
    for dtype in ("fp32", "fp16", "int8"):
        (tmp_path / f"{dtype}.yaml").write_text(BUILD.format(dtype=dtype, side=SIDE))
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("dtype", "folder", "output"),
    [
        ("fp32", "hrnet-fp32-none-1_3_32_32-vacc", "float32"),
        ("fp16", "hrnet-fp16-none-1_3_32_32-vacc", "float16"),
        ("int8", "hrnet-int8-max-1_3_32_32-vacc", "float32"),
    ],
)
@pytest.mark.parametrize("action", ["build", "compile"])
def test_the_pages_line(
    place: Path, capsys: pytest.CaptureFixture[str], dtype: str, folder: str, output: str, action: str
) -> None:
    assert cli.main(["vamc", action, f"{dtype}.yaml"]) == 0
    printed, logged = capsys.readouterr()
    assert logged == ""
    assert printed.startswith(f"vacc/{folder}: hrnet, {dtype}, 0.0 MB\n")
    assert f"input input.1: [1, 3, {SIDE}, {SIDE}] float32" in printed and f"] {output}\n" in printed
    assert ("calibrated on 3 pictures, max, weights per channel" in printed) == (dtype == "int8")
    found = find_model(place / "vacc" / folder / "hrnet")
    assert found.manifest is not None and found.manifest.dtype == dtype
    x = np.zeros((1, 3, SIDE, SIDE), np.float32)
    assert str(run(str(found.onnx), x).dtype) == output


def test_json_is_one_object(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(place / "int8.yaml", "cluster_mode: 0", "cluster_mode: 0\n    flux: 1.21")
    assert cli.main(["vamc", "build", "int8.yaml", "--out", "here/model", "--threads", "1", "--json"]) == 0
    printed, logged = capsys.readouterr()
    report = json.loads(printed)
    assert report["folder"] == "here/model" and report["model"] == "here/model/mod.onnx"
    assert report["model_bytes"] == (place / "here" / "model" / "mod.onnx").stat().st_size
    assert report["dtype"] == "int8" and report["calibration"]["pictures"] == 3 and report["bad"] == []
    assert report["unknown"] == {"backend.compile.flux": 1.21}
    assert logged.count("\n") == 1 and logged.count("backend.compile.flux") == 1
    assert not (place / "vacc").exists()


def test_building_again_replaces_the_model(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert cli.main(["vamc", "build", "fp16.yaml"]) == 0
    assert [path.name for path in (place / "vacc").iterdir()] == ["hrnet-fp16-none-1_3_32_32-vacc"]


def test_pictures_left_out_are_listed_at_the_end(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "pictures" / "picture_001.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert cli.main(["vamc", "build", "int8.yaml"]) == 1
    printed, logged = capsys.readouterr()
    assert "calibrated on 2 pictures" in printed
    assert logged.count("\n") == 1 and "left out: pictures/picture_001.png" in logged
    assert find_model("vacc/hrnet-int8-max-1_3_32_32-vacc/mod").manifest is not None


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("name: hrnet", "title: hrnet", "no name"),
        ("  checkpoint: ./model/hrnet.onnx\n", "", "no frontend.checkpoint"),
        ("model/hrnet.onnx", "model/none.onnx", "model/none.onnx: no such file"),
        ("model/hrnet.onnx", "int8.yaml", "type yaml, expected onnx"),
        ("calibrate_mode: max", "calibrate_mode: median", "expected one of max, kl_divergence, percentile, mse"),
        ("suffix: PNG", "suffix: bmp", "pictures: no .bmp files"),
        ("path: ./pictures", "path: ./photos", "photos: no such folder"),
        ("[1,3,32,32]", "[1,3,32,64]", "shape [1, 3, 32, 32], expected [1, 3, 32, 64]"),
        ("pad_to_square: true", "pad_to_square: false", "expected [1, 3, 32, 32], the shape of the input"),
        ("type: DecodeImage", "type: Decode", "unknown operation"),
        ("type: ToTensor", "type: ToTensor\n  - [", "expected a build file"),
    ],
)
def test_bad_input_is_one_line(place: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, words: str) -> None:
    change(place / "int8.yaml", old, new)
    assert cli.main(["vamc", "build", "int8.yaml"]) == 1
    printed, logged = capsys.readouterr()
    lines = [line for line in logged.splitlines() if "warning" not in line]
    assert printed == "" and len(lines) == 1 and words in lines[0] and lines[0].startswith("hrnetae vamc: ")
    assert not (place / "vacc").exists()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="permissions bind other users alone")
def test_no_write_permission(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "vacc").mkdir(mode=0o500)
    assert cli.main(["vamc", "build", "fp16.yaml"]) == 1
    assert "Permission denied" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "vacc").write_text("a file in the way")
    assert cli.main(["vamc", "build", "fp16.yaml"]) == 1
    logged = capsys.readouterr().err
    assert logged.count("\n") == 1 and "vacc" in logged and (place / "vacc").read_text() == "a file in the way"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["build"],
        ["link", "int8.yaml"],
        ["build", "int8.yaml", "--backend", "tpu"],
        ["build", "a", "b"],
        ["build", "int8.yaml", "--backend", "vacc", "--json"],
    ],
)
def test_wrong_usage_exits_with_2(place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["vamc", *arguments])
    assert caught.value.code == 2 and capsys.readouterr().out == ""


def test_help_shows_every_option_and_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["vamc", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert caught.value.code == 0
    for words in ("--backend", "(default: onnxruntime)", "--out", "--threads", "--json", "example: hrnetae vamc build"):
        assert words in text


# ------------------------------------------------------------------------------------------------- the vendor's program

posix = pytest.mark.skipif(os.name != "posix", reason="the stand-in for the vendor's program is a shell script")


def install(folder: Path, name: str, help_text: str, rest: str = "exit 0") -> Path:
    """A program that prints a help text, and runs ``rest`` otherwise."""
    path = folder / name
    path.write_text(f'#!/bin/sh\nif [ "$1" = --help ]; then echo "{help_text}" >&2; exit 3; fi\n{rest}\n')
    path.chmod(0o755)
    return path


def test_without_the_vendors_program(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["vamc", "build", "int8.yaml", "--backend", "vacc"]) == 1
    logged = capsys.readouterr().err
    assert logged.count("\n") == 1 and "not on PATH" in logged


@posix
def test_another_program_of_the_name_is_not_taken(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for help_text in ("a player of chiptunes", "vamc: compile chiptunes for the vaccination", "usage: vamc play"):
        install(place / "bin", "vamc", help_text)
        assert cli.main(["vamc", "build", "int8.yaml", "--backend", "vacc"]) == 1
        assert "not on PATH" in capsys.readouterr().err


@posix
@pytest.mark.parametrize(("code", "help_text"), [(0, "Usage: vamc compile CONFIG"), (7, "Compile networks for VACC")])
def test_the_vendors_program_is_called(place: Path, code: int, help_text: str) -> None:
    tool = install(place / "bin", "vamc", help_text, f'echo "$@" > called; exit {code}')
    assert vendor_tool("vamc", ("compile",)) == tool and vendor_tool("vamc", ("compile", "else")) is None
    assert cli.main(["vamc", "compile", "int8.yaml", "--backend", "vacc"]) == code
    assert (place / "called").read_text() == "compile int8.yaml\n"
    assert not (place / "vacc").exists()


@posix
def test_a_program_that_dies_or_does_not_start(place: Path) -> None:
    assert hand_over(install(place / "bin", "dies", "x", "kill -9 $$"), []) == 137
    broken = place / "bin" / "broken"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o755)
    with pytest.raises(DataError, match="broken"):
        hand_over(broken, [])
    assert vendor_tool("broken", ("x",)) is None
