"""People drawn into pictures: where, how thick, in which colours, at any size of picture and person."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import hrnetae
from hrnetae import COCO17, Poses, Skeleton
from hrnetae.evaluation.drawing import LEFT, MIDDLE, OUTLINE, RIGHT, limb_thickness, write_corner

pytest.importorskip("cv2")

GROUND = np.array((70, 140, 90), np.uint8)  # no mixture of the colours that are drawn with
# An upright person, seen from the front, in shares of its height: x, y of COCO's joints.
FIGURE = np.array(
    [(0, .06), (.03, .03), (-.03, .03), (.06, .05), (-.06, .05), (.13, .2), (-.13, .2), (.17, .36), (-.17, .36),
     (.18, .5), (-.18, .5), (.08, .52), (-.08, .52), (.09, .75), (-.09, .75), (.09, .97), (-.09, .97)]
)  # fmt: skip
NAMES = {name: index for index, name in enumerate(COCO17.joints)}


def people(*keypoints: NDArray[Any], scores: Any = None) -> Poses:
    stacked = np.array(keypoints, np.float32).reshape(-1, 17, 3)
    count = len(stacked)
    return Poses(stacked, np.array([0.9] * count if scores is None else scores, np.float32), np.zeros((count, 17, 2)))  # type: ignore[arg-type]


def figure(x: float, y: float, height: float) -> NDArray[np.float32]:
    """(17, 3): the person with its middle at x and its top at y."""
    points = np.array((x, y)) + FIGURE * height
    return np.column_stack([points, np.ones(17)]).astype(np.float32)


def ground(width: int, height: int) -> NDArray[np.uint8]:
    return np.broadcast_to(GROUND, (height, width, 3)).copy()


def middle_of(person: NDArray[np.float32], a: str, b: str) -> tuple[int, int]:
    """Row and column of the pixel in the middle of a limb."""
    x, y = (person[NAMES[a], :2] + person[NAMES[b], :2]) / 2
    return int(y), int(x)


def distance_to_limbs(person: NDArray[np.float32], width: int, height: int) -> NDArray[np.float64]:
    """(height, width): each pixel centre's distance from the person's limbs, by the textbook's formula."""
    across, down = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    at = np.stack([across, down], axis=-1)
    nearest = np.full((height, width), np.inf)
    for a, b in COCO17.limbs:
        start, way = person[a, :2].astype(float), (person[b, :2] - person[a, :2]).astype(float)
        share = np.clip(((at - start) @ way) / max(way @ way, 1e-9), 0, 1)
        nearest = np.minimum(nearest, np.linalg.norm(at - start - share[..., None] * way, axis=-1))
    return nearest


@pytest.mark.parametrize("height", [24, 56, 140, 400, 1500])
def test_limbs_lie_where_the_joints_are_and_nowhere_else(height: int) -> None:
    wide, high = round(0.7 * height), round(1.1 * height)
    person = figure(0.35 * height, 0.05 * height, height)
    drawn = hrnetae.draw(ground(wide, high), people(person))
    changed = (drawn != GROUND).any(axis=2)
    away = distance_to_limbs(person, wide, high)
    thick = limb_thickness(person[:, :2])
    assert changed[away < 0.3 * thick].all()
    # Half a limb with its outline, or a joint's dot with its rim; a pixel for the smooth edges.
    assert not changed[away > 1.3 * thick + 2.2].any()


@pytest.mark.parametrize("height", [56, 140, 400, 1500])
def test_sides_show_in_the_colours(height: int) -> None:
    person = figure(0.35 * height, 0.05 * height, height)
    drawn = hrnetae.draw(ground(round(0.7 * height), round(1.1 * height)), people(person))
    for a, b, color in (
        ("left_hip", "left_knee", LEFT),
        ("left_shoulder", "left_elbow", LEFT),
        ("right_hip", "right_knee", RIGHT),
        ("right_knee", "right_ankle", RIGHT),
        ("left_shoulder", "right_shoulder", MIDDLE),
    ):
        found = drawn[middle_of(person, a, b)].astype(int)
        others = [other for other in (LEFT, RIGHT, MIDDLE) if other != color]
        near = np.abs(found - color).sum()
        assert all(near < np.abs(found - other).sum() for other in others), (a, b, found)
        if height >= 400:
            assert near == 0


def test_left_is_orange_and_right_is_blue() -> None:
    assert LEFT[0] > LEFT[1] > LEFT[2] and RIGHT[2] > RIGHT[1] > RIGHT[0]


def test_thickness_goes_by_the_person() -> None:
    widths = []
    for height in (150, 300, 600, 1200):
        person = figure(500, 20, height)
        drawn = hrnetae.draw(ground(1000, 1300), people(person))
        row = drawn[middle_of(person, "left_hip", "left_knee")[0]]
        widths.append(int((row == LEFT).all(axis=1).sum()))
    assert widths[0] >= 1 and widths[3] > widths[2] > widths[1] > widths[0]
    assert widths[3] / widths[2] == pytest.approx(2, rel=0.2)


@pytest.mark.parametrize("shift", [0.0, 0.25, 0.5, 0.75])
def test_small_people_are_placed_finer_than_pixels(shift: float) -> None:
    person = np.zeros((17, 3), np.float32)
    for name, y in (("left_hip", 10.0), ("left_knee", 50.0)):
        person[NAMES[name]] = (30 + shift, y, 1)
    drawn = hrnetae.draw(ground(64, 64), people(person)).astype(float)
    change = np.abs(drawn - GROUND.astype(float)).sum(axis=2)[20:40]
    across = (change.sum(axis=0) * (np.arange(64) + 0.5)).sum() / change.sum()
    assert across == pytest.approx(30 + shift, abs=0.15)


def test_the_given_picture_stays_as_it_is() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (90, 70, 3), np.uint8)
    before = picture.copy()
    picture.setflags(write=False)
    drawn = hrnetae.draw(picture, people(figure(30, 5, 60)))
    assert (picture == before).all() and (drawn != before).any()
    assert (hrnetae.draw(np.asfortranarray(picture), people(figure(30, 5, 60))) == drawn).all()
    mirrored = hrnetae.draw(picture[:, ::-1], people())
    assert (mirrored == before[:, ::-1]).all() and mirrored.flags.c_contiguous


def test_who_and_what_is_left_out() -> None:
    persons = figure(40, 5, 80), figure(120, 5, 80)
    picture = ground(160, 90)
    both = hrnetae.draw(picture, people(*persons, scores=(0.5, 0.1)))
    one = hrnetae.draw(picture, people(*persons, scores=(0.5, 0.1)), min_score=0.2)
    assert (one[:, :80] == both[:, :80]).all() and (one[:, 90:] == GROUND).all() and (both[:, 90:] != GROUND).any()
    for gone in ((0, 0, 0), (np.nan, 20, 1), (20, np.inf, 1)):
        person = persons[0].copy()
        person[[NAMES["left_ankle"], NAMES["left_knee"]]] = gone
        drawn = hrnetae.draw(picture, people(person))
        assert (drawn[middle_of(persons[0], "left_knee", "left_ankle")] == GROUND).all()
        assert (drawn[middle_of(persons[0], "right_knee", "right_ankle")] != GROUND).any()
    faint = persons[0].copy()
    faint[:, 2] = 0.1
    assert (hrnetae.draw(picture, people(faint), min_value=0.1) == GROUND).all()
    assert (hrnetae.draw(picture, people(faint), min_value=0.09) != GROUND).any()


def test_the_best_lie_on_top() -> None:
    left, right = figure(100, 10, 180), figure(100, 10, 180)
    right[:, :2] = right[[hrnetae.COCO17.flip_index]][0][:, :2]  # the same place, sides exchanged
    for scores, color in (((0.9, 0.3), LEFT), ((0.3, 0.9), RIGHT)):
        drawn = hrnetae.draw(ground(200, 200), people(left, right, scores=scores))
        found = drawn[middle_of(left, "left_hip", "left_knee")].astype(int)
        assert np.abs(found - color).sum() < 60


def test_people_who_reach_out_of_the_picture() -> None:
    picture = ground(100, 80)
    for x, y, height in ((0, -300, 700), (1e9, 5, 60), (-400, -400, 300), (50, 40, 1e7), (3e38, 0, 1)):
        with np.errstate(over="ignore"):
            drawn = hrnetae.draw(picture, people(figure(x, y, height)))
        assert drawn.shape == picture.shape
    assert (hrnetae.draw(picture, people(figure(1e9, 5, 60))) == GROUND).all()
    assert (hrnetae.draw(picture, people(figure(0, -300, 700))) != GROUND).any()
    single = np.zeros((17, 3), np.float32)
    single[0] = (50, 40, 1)
    assert (hrnetae.draw(picture, people(single))[38:42, 48:52] != GROUND).any()
    large = (hrnetae.draw(ground(4000, 3000), people(single)) != GROUND).any(axis=2)
    assert large.sum() > 16  # still to be seen when the picture is shown at 1000 pixels


def test_skeletons_of_other_joints() -> None:
    skeleton = Skeleton("pair", ("left_end", "right_end"), limbs=((0, 1),))
    ends = np.array([[[20, 50, 1], [480, 50, 1]]], np.float32)
    poses = Poses(ends, np.ones(1, np.float32), np.zeros((1, 2, 1), np.float32), skeleton)
    drawn = hrnetae.draw(ground(500, 100), poses)
    assert tuple(drawn[50, 250]) == MIDDLE and tuple(drawn[50, 20]) == LEFT and tuple(drawn[50, 480]) == RIGHT
    assert (drawn == OUTLINE).all(axis=2).any()


@pytest.mark.parametrize(
    ("image", "error", "words"),
    [
        ([[1]], TypeError, "image: list, expected a uint8 array"),
        (np.zeros((4, 4, 3), np.float32), TypeError, "image: float32"),
        (np.zeros((4, 4), np.uint8), ValueError, r"image: shape \(4, 4\), expected \(H, W, 3\)"),
    ],
)
def test_what_is_no_picture_is_named(image: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        hrnetae.draw(image, people())


@pytest.mark.parametrize("side", [64, 400, 2000])
def test_a_line_of_text_fits_the_corner(side: int) -> None:
    picture = ground(side, side)
    write_corner(picture, "12.3 images/s")
    rows, columns = np.nonzero((picture != GROUND).any(axis=2))
    assert len(rows) and rows.max() <= side / 4 and picture.max() > 190
    assert rows.min() > 0 or side == 64
    assert columns.max() < side - 1 or side == 64


def test_many_people_are_drawn_quickly() -> None:
    rng = np.random.default_rng(0)
    crowd = people(*(figure(rng.uniform(0, 640), rng.uniform(0, 300), rng.uniform(40, 300)) for _ in range(30)))
    picture = ground(640, 480)
    hrnetae.draw(picture, crowd)
    times = []
    for _ in range(5):
        start = time.thread_time()
        hrnetae.draw(picture, crowd)
        times.append(time.thread_time() - start)
    assert min(times) < 0.2  # a tenth of it on the machine that this was written on
