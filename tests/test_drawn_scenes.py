"""The drawn scenes: reproducible, their ground truth right by construction, and what a mirror does to them."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hrnetae.evaluation.drawn_figures import Canvas, Figure, paint_figure, random_figure
from hrnetae.evaluation.drawn_scenes import (
    DENSE,
    LONG_SIDE,
    LOOSE,
    MOST_FIGURES,
    DrawnScene,
    annotation_of,
    draw_scene,
    scenes_ground_truth,
)
from hrnetae.evaluation.ground_truth import load_ground_truth
from hrnetae.evaluation.metrics import keypoint_metrics
from hrnetae.files.errors import DataError
from hrnetae.skeleton import COCO17

SIZE = (240, 320)  # height, width
JOINT = {name: k for k, name in enumerate(COCO17.joints)}


@pytest.fixture(scope="module")
def scenes() -> list[DrawnScene]:
    return [draw_scene(seed) for seed in range(30)] + [draw_scene(seed, DENSE) for seed in range(30)]


def keypoints(annotation: dict[str, Any]) -> NDArray[np.float64]:
    return np.reshape(annotation["keypoints"], (17, 3)).astype(float)


def blank() -> Canvas:
    return Canvas(np.full((*SIZE, 3), 128, np.uint8), np.zeros(SIZE, np.int16))


def figure_of(seed: int, front: bool, middle: tuple[float, float] = (160.0, 120.0)) -> Figure:
    """The first figure after a seed that faces the way that is asked for."""
    rng = np.random.default_rng(seed)
    while True:
        figure = random_figure(rng, np.array(middle), 160.0, rng.uniform())
        if figure.front == front:
            return figure


def digest(scene: DrawnScene) -> str:
    return hashlib.sha256(scene.picture.tobytes() + json.dumps(scene.annotations).encode()).hexdigest()


# ------------------------------------------------------------------------------------------------------- reproducible


def test_same_seed_same_bytes_whatever_was_drawn_before() -> None:
    first = digest(draw_scene(7))
    assert digest(draw_scene(8)) != first
    assert digest(draw_scene(7)) == first


def test_same_seed_same_bytes_in_another_process() -> None:
    code = (
        "import hashlib, json; from hrnetae.evaluation.drawn_scenes import draw_scene; s = draw_scene(7);"
        "print(hashlib.sha256(s.picture.tobytes() + json.dumps(s.annotations).encode()).hexdigest())"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == digest(draw_scene(7))


@pytest.mark.parametrize(("seed", "error"), [(-1, ValueError), (1.0, TypeError), (True, TypeError)])
def test_a_wrong_seed_is_named(seed: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="seed"):
        draw_scene(seed)


# ------------------------------------------------------------------------------------------------------- ground truth


def test_scenes_are_varied(scenes: list[DrawnScene]) -> None:
    counts = [len(scene.annotations) for scene in scenes]
    assert min(counts) >= 1 and 5 <= max(counts) <= MOST_FIGURES and len(set(counts)) >= 5
    assert all(LONG_SIDE[0] <= max(scene.image_size) <= LONG_SIDE[1] for scene in scenes)
    assert {np.sign(scene.image_size[0] - scene.image_size[1]) for scene in scenes} >= {-1, 1}
    flags = np.concatenate([keypoints(a)[:, 2] for scene in scenes for a in scene.annotations])
    assert set(flags) == {0, 1, 2}
    assert 0.6 < np.mean(flags == 2) < 0.98  # most can be seen, not all


def test_ground_truth_lies_in_the_picture(scenes: list[DrawnScene]) -> None:
    for number, scene in enumerate(scenes):
        fewest = (LOOSE if number < 30 else DENSE).fewest_joints
        width, height = scene.image_size
        assert scene.picture.dtype == np.uint8 and scene.picture.shape == (height, width, 3)
        for annotation in scene.annotations:
            points = keypoints(annotation)
            labelled = points[:, 2] > 0
            assert annotation["num_keypoints"] == np.count_nonzero(labelled) >= fewest
            assert (points[~labelled] == 0).all()
            assert (points[labelled, :2] > 0).all() and (points[labelled, :2] < (width, height)).all()
            left, top, wide, high = annotation["bbox"]
            assert 0 <= left < left + wide <= width and 0 <= top < top + high <= height
            assert 0 < annotation["area"] <= wide * high
            seen = points[points[:, 2] == 2]
            # Half of a seen joint's disc shows, so the box reaches to within its radius.
            assert (seen[:, :2] > np.array([left, top]) - 10).all()
            assert (seen[:, :2] < np.array([left + wide, top + high]) + 10).all()


def test_seen_joints_have_the_hue_of_their_figure(scenes: list[DrawnScene]) -> None:
    """Ankles and knees are dark discs of the figure's hue: far from grey, unlike all that is not a figure."""
    found = []
    for scene in scenes:
        for annotation in scene.annotations:
            for x, y, v in keypoints(annotation)[[JOINT["left_knee"], JOINT["right_knee"]]]:
                if v == 2:
                    pixel = scene.picture[max(int(y) - 1, 0) : int(y) + 2, max(int(x) - 1, 0) : int(x) + 2].mean(
                        axis=(0, 1)
                    )
                    found.append(np.ptp(pixel) / pixel.max())
    assert len(found) > 80
    assert np.mean(np.array(found) > 0.3) > 0.9


def test_coco_file_is_read_and_its_own_people_score_1(scenes: list[DrawnScene], tmp_path: Path) -> None:
    truth = scenes_ground_truth(scenes)
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    loaded = load_ground_truth(tmp_path / "truth.json")
    assert loaded.picture("000000000003").size == scenes[2].image_size
    assert truth["images"][0]["file_name"] == "000000000001.png"
    results = [
        {
            "image_id": a["image_id"],
            "category_id": 1,
            "keypoints": a["keypoints"],
            "score": 1.0,
            "bbox": [float(value) for value in a["bbox"]],
        }
        for a in truth["annotations"]
    ]
    ids = range(1, len(scenes) + 1)
    for backend in ("own", "pycocotools"):
        metrics = keypoint_metrics(loaded, results, ids, backend=backend)
        assert metrics["AP"] == metrics["AR"] == 1


# ---------------------------------------------------------------------------------------------------------- visibility


@pytest.mark.parametrize("front", [True, False])
def test_a_free_figure_shows_its_joints(front: bool) -> None:
    canvas, figure = blank(), figure_of(3, front)
    paint_figure(canvas, figure, 0)
    points = keypoints(annotation_of(canvas, figure, 0))
    face = [JOINT[name] for name in ("nose", "left_eye", "right_eye")]
    limbs = [k for k in range(17) if k not in face]
    assert (points[limbs, 2] > 0).all()
    assert (points[face, 2] > 0).all() == front and (points[face, 2] == 0).all() == (not front)
    labelled = points[:, 2] > 0
    np.testing.assert_allclose(points[labelled, :2], figure.joints[labelled] + 0.5, atol=0.006)


@pytest.mark.parametrize(
    ("part", "owner", "expected"),
    [
        (1.2, 0, 0),  # clutter over all of the joint's disc
        (1.2, Canvas.PARTS * 1 + 1, 0),  # another figure over it
        (1.2, 1, 1),  # another part of the same figure over it
        (0.3, 0, 2),  # clutter over a small part of it
    ],
)
def test_visibility_follows_from_what_was_painted_over_the_joint(part: float, owner: int, expected: int) -> None:
    canvas, figure = blank(), figure_of(3, True)
    paint_figure(canvas, figure, 0)
    knee = JOINT["left_knee"]
    area = annotation_of(canvas, figure, 0)["area"]
    assert keypoints(annotation_of(canvas, figure, 0))[knee, 2] == 2
    canvas.disc(figure.joints[knee], part * 0.024 * figure.height + 1, (0, 0, 0), owner)
    annotation = annotation_of(canvas, figure, 0)
    assert keypoints(annotation)[knee, 2] == expected
    assert (annotation["area"] < area) == (owner != 1)
    others = [k for k in range(17) if k != knee]
    assert (keypoints(annotation)[others, 2] > 0).all()


def test_joints_outside_are_not_labelled() -> None:
    canvas, figure = blank(), figure_of(3, True, middle=(0.0, 120.0))
    paint_figure(canvas, figure, 0)
    points = keypoints(annotation_of(canvas, figure, 0))
    outside = figure.joints[:, 0] < 0
    assert 3 < np.count_nonzero(outside) < 14
    assert (points[outside] == 0).all()
    assert (points[figure.joints[:, 0] > 3, 2] > 0).any()
    canvas, figure = blank(), figure_of(3, True, middle=(-400.0, 120.0))
    paint_figure(canvas, figure, 0)
    assert annotation_of(canvas, figure, 0) == {"num_keypoints": 0}


# -------------------------------------------------------------------------------------------------------------- mirror


def mirrored(figure: Figure, exchange: bool) -> Figure:
    """The figure as a mirror shows it; without ``exchange`` its left stays its left, which no mirror does."""
    index = list(COCO17.flip_index) if exchange else list(range(17))
    flip = np.array([-1.0, 1.0]), np.array([SIZE[1] - 1.0, 0.0])
    joints = figure.joints[index] * flip[0] + flip[1]
    return Figure(joints, figure.height, figure.hue, figure.front, figure.head * flip[0] + flip[1])


@pytest.mark.parametrize("front", [True, False])
def test_a_mirror_exchanges_left_and_right(front: bool) -> None:
    """The flip test of the decoder stands on this: a mirrored figure is a figure, with left and right exchanged.

    Up to the order in which limbs that cross are painted, and to OpenCV's rounding.
    """
    right: list[float] = []
    wrong: list[float] = []
    for seed in range(8):
        figure = figure_of(seed, front)
        canvas = blank()
        paint_figure(canvas, figure, 0)
        for exchange, differences in ((True, right), (False, wrong)):
            other = blank()
            paint_figure(other, mirrored(figure, exchange), 0)
            painted = canvas.owner[:, ::-1] > 0
            difference = np.abs(other.picture.astype(int) - canvas.picture[:, ::-1]).max(axis=2) > 64
            differences.append(np.count_nonzero(difference & painted) / np.count_nonzero(painted))
    assert np.mean(right) < 0.06
    assert np.mean(wrong) > 3 * np.mean(right)


def test_without_opencv_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)  # as if it were not installed
    canvas = Canvas(np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9), np.int16))
    for paint in (lambda: draw_scene(0), lambda: canvas.disc(np.array((4.0, 4.0)), 2, (1, 2, 3), 1)):
        with pytest.raises(DataError, match=r"^OpenCV is missing"):
            paint()
