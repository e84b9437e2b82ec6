"""What ``hrnetae vamc`` says of a build file before any work is done for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from networks_small import SIDE, pose_network, write_pictures
from test_vamc import BUILD, change

from hrnetae.tools import cli


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a network, pictures and build files."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "hrnet.onnx").write_bytes(pose_network().SerializeToString())
    write_pictures(tmp_path / "pictures", 3)
    for dtype in ("fp32", "int8"):
        (tmp_path / f"{dtype}.yaml").write_text(BUILD.format(dtype=dtype, side=SIDE))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("size: [32, -1]", "size: [9999999, -1]", "int8.yaml: process_ops[1] Resize: size [9999999, -1], expected"),
        ("mean: [0.485,", "mean: [.nan,", "int8.yaml: process_ops[3] Normalize: mean [nan, 0.456, 0.406], expected"),
        ("./vacc", '"va\\0cc"', "int8.yaml: workspace.work_dir is 'va\\x00cc', expected text"),
        ("./model/hrnet.onnx", '"a\\0b.onnx"', "int8.yaml: frontend.checkpoint is 'a\\x00b.onnx', expected text"),
        (
            "./vacc",
            "./fp32.yaml",
            "fp32.yaml/hrnet-int8-max-1_3_32_32-vacc: fp32.yaml above it is a file, expected",
        ),
        ("./vacc", "x" * 300, "x-dtype: File name too long"),
    ],
)
def test_what_stops_a_build_before_its_work(
    place: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, complaint: str
) -> None:
    change(place / "int8.yaml", old, new)
    before = sorted(place.rglob("*"))
    assert cli.main(["vamc", "build", "int8.yaml"]) == 1
    out, err = capsys.readouterr()
    if complaint.startswith("x-"):
        complaint = f"{'x' * 300}/hrnet-int8-max-1_3_32_32-vacc: File name too long\n"
    assert out == "" and err.startswith(f"hrnetae vamc: {complaint}") and err.count("\n") == 1
    assert sorted(place.rglob("*")) == before
