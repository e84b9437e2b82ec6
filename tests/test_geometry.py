"""The letterbox: where a picture lies in the network's input, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrnetae.geometry import Letterbox, fit_inside, scaled

sides = st.integers(1, 5000)
sizes = st.tuples(sides, sides)


@pytest.mark.parametrize(
    ("image", "resized", "left", "top"),
    [
        ((640, 480), (512, 384), 0, 64),
        ((480, 640), (384, 512), 64, 0),
        ((512, 512), (512, 512), 0, 0),
        ((640, 427), (512, 342), 0, 85),  # 341.6
        ((333, 500), (341, 512), 85, 0),  # an odd border: 85 to the left, 86 to the right
        ((1, 1000), (1, 512), 255, 0),
        ((5000, 1), (512, 1), 0, 255),
        ((100, 100), (512, 512), 0, 0),  # enlarged as well
    ],
)
def test_letterbox_of_512(image: tuple[int, int], resized: tuple[int, int], left: int, top: int) -> None:
    assert Letterbox.fit(image, (512, 512)) == Letterbox(image, (512, 512), resized, left, top)


@given(sizes, sizes)
def test_letterbox_by_its_formula(image: tuple[int, int], room: tuple[int, int]) -> None:
    box = Letterbox.fit(image, room)
    scale = min(room[0] / image[0], room[1] / image[1])
    for side in (0, 1):
        exact = image[side] * scale
        assert abs(box.resized[side] - exact) <= 0.5 or (exact < 0.5 and box.resized[side] == 1)
        assert 1 <= box.resized[side] <= room[side]
        before = (box.left, box.top)[side]
        after = room[side] - before - box.resized[side]
        assert after - before in (0, 1)
    assert box.resized[0] == room[0] or box.resized[1] == room[1]


@given(sizes, sizes, st.integers(-300, 300), st.integers(-300, 300), st.integers(0, 2**32 - 1))
def test_there_and_back(image: tuple[int, int], room: tuple[int, int], left: int, top: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for box in (Letterbox.fit(image, room), Letterbox(image, room, fit_inside(room, image), left, top)):
        inside = rng.uniform(-1, 2, (4, 3, 2)) * room
        np.testing.assert_allclose(box.to_input(box.to_image(inside)), inside, rtol=1e-12, atol=1e-9)
        points = rng.uniform(-1, 2, (5, 2)) * image
        np.testing.assert_allclose(box.to_image(box.to_input(points)), points, rtol=1e-12, atol=1e-8)


@given(sizes, sizes)
def test_corners_go_to_corners(image: tuple[int, int], room: tuple[int, int]) -> None:
    box = Letterbox.fit(image, room)
    there = box.to_input([[0, 0], image, [image[0] / 2, image[1] / 2]])
    right, bottom = box.left + box.resized[0], box.top + box.resized[1]
    middle = [box.left + box.resized[0] / 2, box.top + box.resized[1] / 2]
    np.testing.assert_allclose(there, [[box.left, box.top], [right, bottom], middle], rtol=1e-12)


def test_other_columns_and_types() -> None:
    box = Letterbox.fit((100, 50), (512, 512))
    people = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    before = people.copy()
    there = box.to_input(people)
    assert there.dtype == np.float32
    np.testing.assert_array_equal(people, before)
    np.testing.assert_array_equal(there[..., 2], people[..., 2])
    np.testing.assert_allclose(there[..., 1], people[..., 1] * 5.12 + 128, rtol=1e-6)
    assert box.to_input([[1, 2]]).dtype == np.float64
    assert box.to_input(np.ones((1, 2), np.float16)).dtype == np.float64
    assert box.to_image(np.empty((0, 17, 3), np.float32)).shape == (0, 17, 3)


@pytest.mark.parametrize("points", [1.0, [1.0], np.ones((3, 1))])
def test_points_of_another_shape(points: object) -> None:
    box = Letterbox.fit((100, 50), (512, 512))
    for method in (box.to_input, box.to_image):
        with pytest.raises(ValueError, match=r"points: shape .* expected \(\.\.\., 2\)"):
            method(points)  # type: ignore[arg-type]


def test_empty_pictures_have_no_place() -> None:
    with pytest.raises(ValueError, match=r"image_size: \(0, 5\)"):
        Letterbox((0, 5), (512, 512), (512, 512), 0, 0)


def test_rounding_halves_to_even() -> None:
    assert scaled((5, 7), 0.5) == (2, 4)
    assert scaled((1, 1), 0.01) == (1, 1)
