"""The demo from end to end, and the scenes it is made of."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import hrnetae
from hrnetae.evaluation import synthetic
from hrnetae.files import read_datalist
from hrnetae.files.pictures import read_picture
from hrnetae.tools import demo, demo_flow

ROOT = Path(__file__).parents[1]


# ---------------------------------------------------------------------------------------------------------------------
# The demo


PICTURES = demo_flow.PICTURES
FEW = 6  # where any will do


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, float]]]:
    """The demo's folder and what it printed."""
    folder = tmp_path_factory.mktemp("demo") / "demo_output"
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert demo.main(["--out", str(folder), "--json"]) == 0
    return folder, json.loads(out.getvalue())


def test_demo_finds_the_drawn_people(made: tuple[Path, dict[str, dict[str, float]]]) -> None:
    _, found = made
    assert list(found) == ["fp32", "fp16", "int8"]
    for one in found.values():
        assert list(one) == ["AP", "AR", "network_images_per_s", "decode_images_per_s", "model_bytes"]
        assert one["AR"] > one["AP"]
        assert one["network_images_per_s"] > 0 and one["decode_images_per_s"] > 0
    assert found["fp32"]["AP"] >= 0.8
    assert abs(found["fp16"]["AP"] - found["fp32"]["AP"]) <= 0.002
    assert found["int8"]["AP"] >= found["fp32"]["AP"] - 0.015
    assert found["fp32"]["model_bytes"] > found["fp16"]["model_bytes"] > found["int8"]["model_bytes"]


def test_demo_leaves_every_step_s_files(made: tuple[Path, dict[str, dict[str, float]]]) -> None:
    folder, _ = made
    stems = [f"{number:012d}" for number in range(1, PICTURES + 1)]
    listed = read_datalist(folder / "datalist.txt")
    assert listed.stems == tuple(name for stem in stems for name in (stem, f"{stem}_flip"))
    for dtype in demo_flow.DTYPES:
        files = sorted(path.name for path in (folder / "outputs" / dtype).glob("*.npz"))
        assert files == [f"output_{line:06d}.npz" for line in range(2 * PICTURES)]
        with np.load(folder / "outputs" / dtype / files[0]) as arrays:
            assert {name: (arrays[name].dtype, arrays[name].shape) for name in arrays} == {
                "output_0": (np.float16, (1, 34, 64, 64))
            }
        for stem in stems:
            plain, drawn = (
                read_picture(path / f"{stem}.png") for path in (folder / "val2017", folder / "drawn" / dtype)
            )
            assert plain.shape == drawn.shape and not np.array_equal(plain, drawn)


@pytest.mark.slow
def test_demo_repeats_itself(tmp_path: Path) -> None:
    first, second = (demo_flow.Folder(tmp_path / name) for name in ("first", "second"))
    for folder in (first, second):
        demo.run(folder, FEW)
    for name in ("person_keypoints_val2017.json", "results_fp32.json", "results_fp16.json", "results_int8.json"):
        assert (first.root / name).read_bytes() == (second.root / name).read_bytes()


def test_demo_prints_a_table() -> None:
    row = {
        "AP": 0.5,
        "AR": 0.625,
        "network_images_per_s": 12.5,
        "decode_images_per_s": 4000.0,
        "model_bytes": 2_000_000,
    }
    text = demo.as_text(demo_flow.Folder(Path("here")), 64, {"fp32": row, "int8": row}, 60.0)
    assert [line.split()[0] for line in text.splitlines()[1:3]] == ["fp32", "int8"]
    assert text.splitlines()[1].split() == ["fp32", "0.5000", "0.6250", "12.5", "4000", "2.00", "MB"]


def test_demo_leaves_the_folders_of_others_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    assert demo.main(["--out", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "thesis.txt" in error and error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    assert demo.main(["--out", str(tmp_path / "thesis.txt")]) == 1
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_demo_without_opencv_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)  # as if it were not installed
    assert demo.main(["--out", str(tmp_path / "demo")]) == 1
    assert capsys.readouterr().err == (
        "hrnetae demo: OpenCV is missing: pip install opencv-python (or opencv-python-headless)\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_demo_keeps_what_was_added_to_its_folder(tmp_path: Path) -> None:
    folder = demo_flow.Folder(tmp_path)
    demo.claim(folder)
    (tmp_path / "notes.txt").write_text("mine")
    folder.outputs("fp32").mkdir(parents=True)
    (folder.outputs("fp32") / "output_000999.npz").write_bytes(b"of an older demo with more pictures")
    demo.claim(folder)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert not folder.outputs("fp32").exists()


def test_the_network_is_small_enough_to_carry() -> None:
    assert len(demo_flow.demo_network()) <= 4_000_000


# ---------------------------------------------------------------------------------------------------------------------
# Scenes of network outputs


@pytest.mark.parametrize("skeleton", [hrnetae.COCO17, hrnetae.CROWDPOSE14, hrnetae.Skeleton("dots", ("a", "b", "c"))])
@pytest.mark.parametrize("stages", [1, 2])
def test_clean_scene_decodes_to_the_drawn_people(skeleton: hrnetae.Skeleton, stages: int) -> None:
    """One figure, no noise: every drawn joint is found to within half a map cell (cells are 5 pixels).

    Near the left and right edges, where the map ends, the reference has its quirk: the resized heat is constant over
    the last half-cell, and such a plateau of the same tag takes over the joint. Those joints are left out.
    """
    for seed in range(5):
        scene = synthetic.draw_scene(np.random.default_rng(seed), 1, (640, 480), stages=stages, skeleton=skeleton)
        poses = hrnetae.Decoder(skeleton=skeleton).decode(scene.output, scene.flipped, image_size=scene.image_size)
        truth = np.array(scene.annotations[0]["keypoints"]).reshape(-1, 3)
        seen = (truth[:, 2] > 0) & (truth[:, 0] > 32) & (truth[:, 0] < 608)
        assert len(poses) == 1
        assert np.abs(poses.keypoints[0, seen, :2] - truth[seen, :2]).max() < 2.5


@pytest.mark.parametrize("size", [(640, 480), (33, 47), (7, 5), (1, 1), (1920, 1080)])
@pytest.mark.parametrize("people", [0, 1, 30])
def test_scenes_of_any_size_and_crowd(size: tuple[int, int], people: int) -> None:
    rng = np.random.default_rng(5)
    scene = synthetic.draw_scene(rng, people, size, map_size=(40, 24), stages=2, noise=1.0)
    assert [maps.shape for maps in scene.output] == [(34, 24, 40), (17, 48, 80)]
    assert [maps.dtype for maps in scene.flipped] == [np.float16, np.float16]
    assert len(scene.annotations) == people
    assert all(annotation["num_keypoints"] > 0 for annotation in scene.annotations)


def test_scene_follows_from_its_seed_alone() -> None:
    first, second, other = (
        synthetic.draw_scene(np.random.default_rng(seed), 3, (320, 240), noise=1.0) for seed in (1, 1, 2)
    )
    assert np.array_equal(first.output, second.output) and np.array_equal(first.flipped, second.flipped)
    assert first.annotations == second.annotations
    assert not np.array_equal(first.output, other.output)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("people", -1), ("stages", 3), ("noise", -0.5), ("image_size", (0, 4)), ("map_size", (8, 0))],
)
def test_scene_names_the_wrong_argument(argument: str, value: object) -> None:
    arguments: dict[str, object] = {"people": 1, "image_size": (64, 48), argument: value}
    with pytest.raises(ValueError, match=argument):
        synthetic.draw_scene(np.random.default_rng(0), **arguments)  # type: ignore[arg-type]
