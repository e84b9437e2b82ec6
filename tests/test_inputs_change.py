"""Inputs that change or vanish while a run is at work: what vanished is named, what changed is made again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flows import make_flow, names, outputs_in, vamp
from PIL import Image
from small_networks import write_network, write_vdsp

from hrnetae.files.npz import write_arrays
from hrnetae.tools import cli


def run_and_meddle(words: list[str], meddle: Callable[[], None], out: Path) -> tuple[int, list[str]]:
    """Exit code and stderr's lines of a run in whose middle something happens."""
    command = [sys.executable, "-m", "hrnetae.tools.cli", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 60
        while not outputs_in(out):
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.002)
        meddle()
        assert process.poll() is None  # it was in the middle indeed
        _, errors = process.communicate(timeout=120)
    return process.returncode, errors.splitlines()


def test_vamp(tmp_path: Path) -> None:
    flow = make_flow(tmp_path, count=60, side=128, work=2)
    out, inputs = tmp_path / "out", tmp_path / "in"
    other = 255 - flow.pictures[58]

    def meddle() -> None:
        (inputs / "picture 59.npz").unlink()
        write_arrays(inputs / "picture 58.npz", {"input_0": other})

    code, lines = run_and_meddle(["vamp", *flow.listed(out)], meddle, out)
    assert code == 1 and len(lines) == 2
    assert lines[0].startswith(f"hrnetae vamp: line 60: {inputs / 'picture 59.npz'}: ")
    assert lines[1] == "hrnetae vamp: 1 of 60 inputs failed, 59 outputs made"
    assert list(outputs_in(out)) == names(59)
    kept = {name: (out / name).stat().st_mtime_ns for name in names(59)}
    write_arrays(inputs / "picture 59.npz", {"input_0": flow.pictures[59]})
    assert vamp(flow.listed(out, "--resume")) == 0
    remade = [name for name in names(59) if (out / name).stat().st_mtime_ns != kept[name]]
    assert remade == [names(60)[58]]
    assert vamp(flow.listed(tmp_path / "whole")) == 0
    assert outputs_in(out) == outputs_in(tmp_path / "whole")
    assert (out / "run.json").read_bytes() == (tmp_path / "whole" / "run.json").read_bytes()


@pytest.mark.parametrize("verb", ["convert-image", "runstream"])
def test_pictures(tmp_path: Path, verb: str) -> None:
    pictures = tmp_path / "in"
    pictures.mkdir()

    def draw(number: int, seed: int) -> None:
        pixels = np.random.default_rng(seed).integers(0, 256, (480, 640, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(pictures / f"{number:03d}.bmp")

    draw(0, 0)
    for number in range(1, 98):
        os.link(pictures / "000.bmp", pictures / f"{number:03d}.bmp")
    draw(98, 98)
    draw(99, 99)

    def words(out: str, *more: str) -> list[str]:
        place = ["--image_dir", pictures, "--save_dir", tmp_path / out, "--datalist", tmp_path / f"{out}.txt"]
        if verb == "runstream":
            model = ["--model", tmp_path / "m.onnx", "--vdsp_params_info", tmp_path / "v.json"]
            place = ["--file_path", pictures, "--save_dir", tmp_path / out, *model]
        else:
            place += ["--workers", 1, "--no_flip"]
        return [verb, *map(str, place), *more]

    write_network(tmp_path / "m.onnx")
    write_vdsp(tmp_path / "v.json")

    def meddle() -> None:
        (pictures / "099.bmp").unlink()
        before = (pictures / "098.bmp").stat()
        draw(98, 5)
        os.utime(pictures / "098.bmp", ns=(before.st_atime_ns, before.st_mtime_ns))  # as if nothing had happened

    code, lines = run_and_meddle(words("out"), meddle, tmp_path / "out")
    assert code == 1
    assert any(line.startswith(f"hrnetae {verb}: {pictures / '099.bmp'}: ") for line in lines)
    assert len(outputs_in(tmp_path / "out")) == 99
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.npz")}
    draw(99, 99)
    assert cli.main(words("out", "--resume")) == 0
    assert [path.name for path in before if path.stat().st_mtime_ns != before[path]] == ["098.npz"]
    assert cli.main(words("whole")) == 0
    assert outputs_in(tmp_path / "out") == outputs_in(tmp_path / "whole")
    assert (tmp_path / "out" / "run.json").read_bytes() == (tmp_path / "whole" / "run.json").read_bytes()
