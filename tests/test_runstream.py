"""`hrnetae runstream`: pictures in, their outputs out under their names, as `hrnetae eval` reads them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from small_networks import SIDE, expected, write_network, write_vdsp

from hrnetae.files import find_outputs
from hrnetae.tools import cli
from hrnetae.tools import runstream as tool

cv2 = pytest.importorskip("cv2")

STEMS = ("a", "b.1 c", "d")


class Street:
    """A folder of pictures, a model and its preprocessing."""

    def __init__(self, root: Path, stages: tuple[int, ...] = (34,)) -> None:
        self.root = root
        self.folder = root / "pictures"
        self.out = root / "out"
        self.model = write_network(root / "small" / "mod.onnx", stages=stages)
        self.vdsp = write_vdsp(root / "vdsp.json")
        self.pictures = {stem: self.draw(f"{stem}.png", seed) for seed, stem in enumerate(STEMS)}

    def draw(self, name: str, seed: int) -> NDArray[np.uint8]:
        """A picture (3, H, W), RGB, written without loss."""
        picture = np.random.default_rng(seed).integers(0, 256, (3, SIDE, SIDE), np.uint8)
        self.folder.mkdir(exist_ok=True)
        assert cv2.imwrite(str(self.folder / name), np.ascontiguousarray(picture[::-1].transpose(1, 2, 0)))
        return picture

    def words(self, *more: object, file_path: Path | None = None) -> list[str]:
        words = ["--file_path", file_path or self.folder, "--model", self.model.with_suffix("")]
        return [*map(str, [*words, "--vdsp_params_info", self.vdsp, "--save_dir", self.out, *more])]

    def outputs(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted(self.out.glob("*.npz"))}


@pytest.fixture
def street(tmp_path: Path) -> Street:
    return Street(tmp_path)


def test_outputs_go_by_the_pictures_names(street: Street, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["runstream", *street.words("--batch", 2)]) == 0
    assert list(street.outputs()) == [f"{stem}.npz" for stem in STEMS]
    for stem, picture in street.pictures.items():
        with np.load(street.out / f"{stem}.npz") as found:
            assert list(found) == ["output_0"]
            assert found["output_0"].dtype == np.float32 and found["output_0"].shape == (1, 34, 16, 16)
            np.testing.assert_allclose(found["output_0"][0], expected(picture), rtol=1e-5, atol=1e-4)
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [f"{street.folder / stem}.png ===> (1, 34, 16, 16)" for stem in STEMS]
    assert "ONNX Runtime" in captured.err


def test_flips_lie_where_eval_looks_for_them(street: Street, capsys: pytest.CaptureFixture[str]) -> None:
    assert tool.main(street.words("--flip")) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2 * len(STEMS)
    found = find_outputs(street.out)
    assert found.layout == "runstream" and found.flip and [sample.stem for sample in found.samples] == list(STEMS)
    for sample in found.samples:
        assert sample.flipped is not None
        with np.load(sample.flipped) as flipped:
            want = expected(street.pictures[sample.stem][:, :, ::-1])
            np.testing.assert_allclose(flipped["output_0"][0], want, rtol=1e-5, atol=1e-4)


def test_every_output_of_a_network_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    street = Street(tmp_path, stages=(34, 17))
    assert tool.main(street.words(file_path=street.folder / "a.png")) == 0
    assert capsys.readouterr().out == f"{street.folder / 'a.png'} ===> (1, 34, 16, 16), (1, 17, 16, 16)\n"
    with np.load(street.out / "a.npz") as found:
        np.testing.assert_allclose(found["output_1"][0], expected(street.pictures["a"], 17, 1), rtol=1e-5, atol=1e-4)


def test_bytes_do_not_depend_on_how_it_is_run(street: Street) -> None:
    seen = set()
    for words in ((), ("--batch", 2), ("--batch", 7, "--threads", 3)):
        assert tool.main(street.words("--flip", *words)) == 0
        seen.add(b"".join(street.outputs().values()))
    assert len(seen) == 1


def test_the_pages_model_info(street: Street, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    info = tmp_path / "model_info.json"
    parts = ["--file_path", street.folder, "--model_info", info, "--vdsp_params_info", street.vdsp]
    words = [*map(str, [*parts, "--save_dir", street.out, "--device", 0])]
    info.write_text(json.dumps({"model_name": "x", "model_lib_path": str(tmp_path / "small" / "mod.so")}))
    assert tool.main(words) == 0
    assert len(street.outputs()) == len(STEMS)
    for text, complaint in (("{}", "no model_lib_path"), ("[1]", "no model_lib_path"), ("{", "no JSON")):
        info.write_text(text)
        capsys.readouterr()
        assert tool.main(words) == 1
        assert complaint in capsys.readouterr().err
    info.unlink()
    assert tool.main(words) == 1
    assert "model_info.json: no such file" in capsys.readouterr().err


def test_pictures_that_cannot_be_read_are_listed(street: Street, capsys: pytest.CaptureFixture[str]) -> None:
    (street.folder / "a.png").write_bytes(b"")
    (street.folder / "c.jpg").write_text("no picture")
    assert tool.main(street.words("--flip")) == 1
    captured = capsys.readouterr()
    assert list(street.outputs()) == ["b.1 c.npz", "b.1 c_flip.npz", "d.npz", "d_flip.npz"]
    assert len(captured.out.splitlines()) == 4
    lines = captured.err.splitlines()
    assert len(lines) == 4  # the backend, two pictures, the sum
    assert "a.png: empty file" in lines[1] and "c.jpg: not a picture" in lines[2]
    assert "2 pictures failed, 4 outputs made" in lines[3]


def test_resume_makes_what_is_missing_to_the_same_bytes(street: Street, capsys: pytest.CaptureFixture[str]) -> None:
    assert tool.main(street.words("--flip")) == 0
    want = street.outputs()
    (street.out / "a.npz").unlink()
    (street.out / "d_flip.npz").write_bytes(b"PK")
    capsys.readouterr()
    assert tool.main(street.words("--flip", "--resume", "--json")) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["outputs"] == 2 and data["already_finished"] == 4 and "ONNX Runtime" in data["backend"]
    assert street.outputs() == want
    write_network(street.model, seed=9)
    assert tool.main(street.words("--flip", "--resume")) == 1
    assert "of another run, model" in capsys.readouterr().err


def test_resume_makes_outputs_of_other_pictures_anew(street: Street, tmp_path: Path) -> None:
    assert tool.main(street.words("--flip")) == 0
    twin = Street(tmp_path / "twin")
    for seed, stem in enumerate(STEMS):  # the same names, other content
        twin.draw(f"{stem}.png", seed + 50)
    assert tool.main(twin.words("--flip")) == 0
    assert tool.main(street.words("--flip", "--resume", file_path=twin.folder)) == 0
    assert street.outputs() == twin.outputs()
    twin.draw("d.png", 90)
    assert tool.main(twin.words("--flip")) == 0
    assert tool.main(street.words("--flip", "--resume", file_path=twin.folder)) == 0
    assert street.outputs() == twin.outputs()


def test_pictures_may_come_one_by_one(street: Street, capsys: pytest.CaptureFixture[str]) -> None:
    for stem in STEMS:
        assert tool.main(street.words(file_path=street.folder / f"{stem}.png")) == 0
    capsys.readouterr()
    assert tool.main(street.words("--resume", "--json")) == 0  # each is still known to be of its picture
    assert json.loads(capsys.readouterr().out)["already_finished"] == len(STEMS)


def test_outputs_of_another_model_do_not_stay_beside_the_new_ones(
    street: Street, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tool.main(street.words("--flip")) == 0
    write_network(street.model, seed=9)
    capsys.readouterr()
    assert tool.main(street.words()) == 0
    assert "3 outputs of an earlier run are removed (a_flip.npz ...)" in capsys.readouterr().err
    assert list(street.outputs()) == [f"{stem}.npz" for stem in STEMS]


def test_more_threads_than_any_machine_has(street: Street, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        tool.main(street.words("--threads", 100000))
    assert caught.value.code == 2 and "--threads: '100000', expected at most" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["none", "pictures/none.jpg"])
def test_a_path_that_is_not_there(street: Street, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert tool.main(street.words(file_path=street.root / name)) == 1
    message = capsys.readouterr().err
    assert f"{name}: no such file" in message and message.count("\n") == 1


def test_what_does_not_fit_is_refused(street: Street, capsys: pytest.CaptureFixture[str]) -> None:
    empty = street.root / "empty"
    empty.mkdir()
    assert tool.main(street.words(file_path=empty)) == 1
    assert "no pictures in the folder" in capsys.readouterr().err
    assert tool.main([*street.words(), "--save_dir", str(street.vdsp)]) == 1
    assert "a file, expected a folder" in capsys.readouterr().err
    street.draw("a.bmp", 8)
    assert tool.main(street.words()) == 1
    assert "its outputs would go to a.npz, as those of" in capsys.readouterr().err
    (street.folder / "a.bmp").unlink()
    street.draw("a_flip.png", 8)
    assert tool.main(street.words("--flip")) == 1
    assert "its outputs would go to a_flip.npz" in capsys.readouterr().err
    assert tool.main(street.words()) == 0  # flips of the user's own making
    with pytest.raises(SystemExit) as caught:
        tool.main(street.words("--batch", 0))
    assert caught.value.code == 2


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        tool.main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert caught.value.code == 0 and "example: hrnetae runstream --file_path" in text
    for option in (
        "--file_path",
        "--model",
        "--model_info",
        "--vdsp_params_info",
        "--save_dir",
        "--device_id",
        "--flip",
    ):
        assert f"{option} " in text
    assert "(default: configs/model_info.json)" in text and "(default: 1)" in text
