"""The demo from end to end, the scenes it is made of, and the READMEs that show it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import hrnetae
from hrnetae.evaluation import synthetic
from hrnetae.files import read_datalist, read_outputs
from hrnetae.tools import cli, demo

ROOT = Path(__file__).parents[1]
READMES = ("README.md", "README.zh-CN.md")


# ---------------------------------------------------------------------------------------------------------------------
# The demo


def run_json(capsys: pytest.CaptureFixture[str], folder: Path) -> dict[str, float]:
    assert demo.main(["--out", str(folder), "--json"]) == 0
    found: dict[str, dict[str, float]] = json.loads(capsys.readouterr().out)
    assert list(found) == ["synthetic"]
    return found["synthetic"]


def test_demo_finds_the_drawn_people_and_repeats_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "demo"
    first = run_json(capsys, folder)
    results = (folder / "results.json").read_bytes()
    assert first["images"] == len(synthetic.load_demo())
    assert 0.5 < first["AP"] < 1  # people were drawn, imperfectly
    assert 0.5 < first["AR"] < 1
    assert first["decode_images_per_s"] > 0

    second = run_json(capsys, folder)
    assert (folder / "results.json").read_bytes() == results
    for name in ("AP", "AR", "images", "persons"):
        assert second[name] == first[name]


def test_demo_folder_is_a_vamp_folder(tmp_path: Path) -> None:
    demo.write_folder(tmp_path)
    scenes = synthetic.load_demo()
    listed = read_datalist(tmp_path / "datalist.txt")
    assert listed.stems[:2] == ("000000000001", "000000000001_flip")
    files = sorted((tmp_path / "vamp").iterdir())
    assert [path.name for path in files] == [f"output_{i:06d}.npz" for i in range(2 * len(scenes))]
    with np.load(files[0]) as arrays:
        assert list(arrays) == ["output_0"]
        assert arrays["output_0"].dtype == np.float16
        assert arrays["output_0"].shape == (1, 34, 128, 128)
    for i, scene in enumerate(scenes):
        np.testing.assert_array_equal(read_outputs(files[2 * i])[0], scene.output)
        np.testing.assert_array_equal(read_outputs(files[2 * i + 1])[0], scene.flipped)


def test_demo_prints_every_metric_and_the_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "--out", str(tmp_path / "demo")]) == 0
    out = capsys.readouterr().out
    for word in ("AP ", "AP50", "AP75", "APm", "APl", "AR ", "AR50", "AR75", "ARm", "ARl", "ms an image", "images/s"):
        assert word in out


def test_demo_leaves_the_folders_of_others_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    assert demo.main(["--out", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "thesis.txt" in error and error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    assert demo.main(["--out", str(tmp_path / "thesis.txt")]) == 1
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_demo_keeps_what_was_added_to_its_folder(tmp_path: Path) -> None:
    demo.write_folder(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "vamp" / "output_000999.npz").write_bytes(b"of an older demo with more pictures")
    demo.write_folder(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert not (tmp_path / "vamp" / "output_000999.npz").exists()


# ---------------------------------------------------------------------------------------------------------------------
# The scenes


def test_bundled_scenes_are_small_and_varied() -> None:
    scenes = synthetic.load_demo()
    people = [len(scene.annotations) for scene in scenes]
    assert len(scenes) == len(synthetic.DEMO_SCENES) == 12
    assert [(count, scene.image_size) for count, scene in zip(people, scenes, strict=True)] == list(
        synthetic.DEMO_SCENES
    )
    assert (min(people), max(people)) == (1, 10)
    size = sum(path.stat().st_size for path in Path(hrnetae.__file__).with_name("data").iterdir() if path.is_file())
    assert size <= 500_000


def test_bundled_scenes_have_coco_ground_truth() -> None:
    truth = synthetic.demo_ground_truth()
    sizes = {image["id"]: (image["width"], image["height"]) for image in truth["images"]}
    assert truth["categories"][0]["keypoints"] == list(hrnetae.COCO17.joints)
    assert len({annotation["id"] for annotation in truth["annotations"]}) == len(truth["annotations"])
    for annotation in truth["annotations"]:
        x, y, v = np.array(annotation["keypoints"]).reshape(17, 3).T
        width, height = sizes[annotation["image_id"]]
        assert set(v) <= {0, 2}
        assert annotation["num_keypoints"] == np.count_nonzero(v) > 0
        assert (x >= 0).all() and (x < width).all() and (y >= 0).all() and (y < height).all()
        left, top, box_width, box_height = annotation["bbox"]
        seen = v > 0
        assert (x[seen] >= left - 0.1).all() and (x[seen] <= left + box_width + 0.1).all()
        assert (y[seen] >= top - 0.1).all() and (y[seen] <= top + box_height + 0.1).all()
        assert annotation["area"] > 0


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


# ---------------------------------------------------------------------------------------------------------------------
# The READMEs

needs_readme = pytest.mark.skipif(
    not all((ROOT / name).exists() for name in READMES), reason="no README here: not a source checkout"
)


def blocks(name: str) -> list[tuple[str, str]]:
    """(language, text) of every fenced block."""
    return re.findall(r"^```(\w+)\n(.*?)^```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@needs_readme
def test_readmes_show_the_same_commands() -> None:
    assert blocks(READMES[0]) == blocks(READMES[1])
    assert {language for language, _ in blocks(READMES[0])} == {"console", "python"}


@needs_readme
def test_readme_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    for language, text in blocks(READMES[0]):
        if language == "python":
            exec(compile(text, READMES[0], "exec"), {"__name__": "readme"})
    assert "17, 3)" in capsys.readouterr().out


@needs_readme
def test_readme_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [line for language, text in blocks(READMES[0]) if language == "console" for line in text.splitlines()]
    commands = [shlex.split(line) for line in lines if line.startswith("hrnetae ")]
    assert {words[1] for words in commands} == {"demo", "eval"}
    for words in commands:
        assert cli.main(words[1:]) == 0


@needs_readme
@pytest.mark.parametrize("name", READMES)
def test_readme_links_lead_somewhere(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("https://") or (ROOT / target).exists(), target
