"""A disk that is full: one line that names the file, nothing half-written, and --resume goes on once there is room.

The limit of a file's size stands for it: where it is reached, writing fails as on a full disk, only with another word.
"""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from flows import make_flow, names, outputs_in, vamp
from networks_small import pose_network
from PIL import Image
from small_networks import write_network, write_vdsp
from test_build import build_file

from hrnetae.files.atomic import atomic_write
from hrnetae.tools import cli

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")

LIMITED = """
import resource, sys
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from hrnetae.tools.cli import main
if __name__ == "__main__":
    sys.exit(main(sys.argv[2:]))
"""


def run_limited(tmp_path: Path, limit: int, words: Sequence[object]) -> tuple[int, list[str]]:
    """Exit code, and what was said on stderr, of a run whose files may have so many bytes."""
    (tmp_path / "limited.py").write_text(LIMITED)
    command = [sys.executable, str(tmp_path / "limited.py"), str(limit), *map(str, words)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stderr.splitlines()


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as caught, atomic_write(tmp_path / "x"):
        raise OSError(errno.ENOSPC, "No space left on device")  # as write() raises it, which knows no names
    assert caught.value.filename == str(tmp_path / "x") and not files(tmp_path)


def test_convert_image(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number, side in enumerate((20, 30, 100, 20)):
        pixels = np.random.default_rng(number).integers(0, 256, (side, side, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number}.png")
    place = ["--image_dir", tmp_path / "in", "--datalist", tmp_path / "list.txt", "--workers", 1]
    words = ["convert-image", *place, "--save_dir", tmp_path / "out"]
    code, lines = run_limited(tmp_path, 15_000, words)
    assert code == 1 and lines == [f"hrnetae convert-image: {tmp_path / 'out' / '2.npz'}: File too large"]
    finished = files(tmp_path / "out")
    assert {"0.npz", "0_flip.npz", "1.npz", "1_flip.npz", "run.json"} <= set(finished)
    assert not any(name.startswith((".", "2")) for name in finished) and not (tmp_path / "list.txt").exists()
    before = (tmp_path / "out" / "1.npz").stat().st_mtime_ns
    assert cli.main([*map(str, words), "--resume"]) == 0
    assert (tmp_path / "out" / "1.npz").stat().st_mtime_ns == before
    assert cli.main(["convert-image", *map(str, place), "--save_dir", str(tmp_path / "whole")]) == 0
    for name in files(tmp_path / "whole"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert files(tmp_path / "out") == files(tmp_path / "whole")


@pytest.mark.parametrize("load", [(), ("-i", 2, "-p", 2)])
def test_vamp(tmp_path: Path, load: tuple[object, ...]) -> None:
    flow = make_flow(tmp_path)
    out = tmp_path / "out"
    code, lines = run_limited(tmp_path, 5_000, ["vamp", *flow.listed(out, *load)])
    assert code == 1 and len(lines) == 1
    assert lines[0].startswith(f"hrnetae vamp: {out / 'output_0000'}")
    assert lines[0].endswith(".npz: File too large, the outputs could not be written")
    assert files(out) == ["run.json"]
    assert vamp(flow.listed(out, "--resume")) == 0
    assert files(out) == [*names(7), "run.json"] and len(outputs_in(out)) == 7


def test_runstream(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(tmp_path / "in" / "a.png")
    place = ["--model", write_network(tmp_path / "m.onnx"), "--vdsp_params_info", write_vdsp(tmp_path / "v.json")]
    words = ["runstream", "--file_path", tmp_path / "in", *place, "--save_dir", tmp_path / "out"]
    code, lines = run_limited(tmp_path, 5_000, words)
    assert code == 1 and len(lines) == 2  # the backend, too
    assert lines[1].startswith(f"hrnetae runstream: {tmp_path / 'out' / 'a.npz'}: File too large")
    assert files(tmp_path / "out") == ["run.json"]
    assert cli.main([*map(str, words), "--resume"]) == 0
    assert files(tmp_path / "out") == ["a.npz", "run.json"]


def test_not_even_the_record(tmp_path: Path) -> None:
    flow = make_flow(tmp_path)
    code, lines = run_limited(tmp_path, 200, ["vamp", *flow.listed(tmp_path / "out")])
    assert code == 1 and lines == [f"hrnetae vamp: {tmp_path / 'out' / 'run.json'}: File too large"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("dtype", "mode", "limit", "complaint"),
    [
        ("fp32", "max", 10_000, "out/pose: File too large"),
        ("int8", "max", 10_000, "simple.onnx: could not be written, expected room for a copy of"),
        ("int8", "percentile", 50_000, "out/.pose.calibration: File too large"),
    ],
)
def test_vamc_build(tmp_path: Path, dtype: str, mode: str, limit: int, complaint: str) -> None:
    path = build_file(tmp_path, pose_network(), dtype, calibrate_mode=mode)
    code, lines = run_limited(tmp_path, limit, ["vamc", "build", path])
    assert code == 1 and len(lines) == 1 and complaint in lines[0]
    assert not (tmp_path / "out").exists()
    assert cli.main(["vamc", "build", str(path), "--resume"]) == 0
    assert files(tmp_path / "out") == ["pose"]
    assert cli.main(["vamc", "build", str(path), "--out", str(tmp_path / "whole")]) == 0
    for name in ("mod.onnx", "mod.json"):
        assert (tmp_path / "out" / "pose" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
