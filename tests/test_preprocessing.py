"""What the network gets: compared with formulas pixel by pixel, and with OpenCV and Pillow put together another way."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
import threading
from typing import Any

import cv2
import numpy as np
import pytest
from golden import SHARED
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from hrnetae.files import DataError, read_datalist, read_outputs
from hrnetae.files.pictures import read_picture
from hrnetae.files.vdsp import LETTERBOX, RESIZE, RESIZE_CROP, SHORT_EDGE_CROP, VdspParams
from hrnetae.runtime.pixels import METHODS, place, resize
from hrnetae.runtime.preprocessing import Preprocessor, normalisation_tables

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def params(kind: str = LETTERBOX, **changes: Any) -> VdspParams:
    return VdspParams(path="vdsp.json", op_type="-", kind=kind, **changes)


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (3, height, width)).astype(np.uint8)


def bilinear(plane: NDArray[np.uint8], width: int, height: int) -> NDArray[np.float64]:
    """Pixel by pixel: the value at the pixel's centre, between the four centres around it, edges continued."""
    rows, columns = plane.shape
    out = np.empty((height, width))
    for y in range(height):
        for x in range(width):
            sx = min(max((x + 0.5) * columns / width - 0.5, 0), columns - 1)
            sy = min(max((y + 0.5) * rows / height - 0.5, 0), rows - 1)
            x0, y0 = math.floor(sx), math.floor(sy)
            x1, y1 = min(x0 + 1, columns - 1), min(y0 + 1, rows - 1)
            fx, fy = sx - x0, sy - y0
            top = plane[y0, x0] * (1 - fx) + plane[y0, x1] * fx
            bottom = plane[y1, x0] * (1 - fx) + plane[y1, x1] * fx
            out[y, x] = top * (1 - fy) + bottom * fy
    return out


# ------------------------------------------------------------------------------------------------------- normalisation


@pytest.mark.parametrize(
    ("norm_type", "expected"),
    [
        ("NONE", lambda x, m, s: x),
        ("EQUAL", lambda x, m, s: x),
        ("MINUSMEAN", lambda x, m, s: x - m),
        ("MINUSMEAN_DIVSTD", lambda x, m, s: (x - m) / s),
        ("DIV255_MINUSMEAN_DIVSTD", lambda x, m, s: (x / 255 - m) / s),
        ("DIV1275_MINUSONE", lambda x, m, s: x / 127.5 - 1),
        ("DIV255", lambda x, m, s: x / 255),
    ],
)
def test_every_norma_type_at_every_value(norm_type: str, expected: Any) -> None:
    mean, std = (0.5, 100.25, 0.125), (0.25, 2.0, 60.5)
    preprocess = Preprocessor(params(norm_type=norm_type, mean=mean, std=std), (16, 16))
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    out = preprocess(np.stack([values] * 3))
    assert out.dtype == np.float32 and out.shape == (3, 16, 16)
    for channel in range(3):
        for x in range(256):
            wanted = expected(x, mean[channel], std[channel])
            assert out[channel].flat[x] == np.float32(wanted), (channel, x)


def test_tables_are_rounded_once() -> None:
    tables = normalisation_tables(params(norm_type="DIV255_MINUSMEAN_DIVSTD", mean=MEAN, std=STD))
    assert tables.dtype == np.float32 and tables.shape == (3, 256)
    assert tables[1, 200] == np.float32((200 / 255 - 0.456) / 0.224)


def test_a_deviation_of_0_that_is_ignored() -> None:
    assert Preprocessor(params(norm_type="DIV255", std=(0.0, 0.0, 0.0)), (8, 8))(noise(8, 8)).max() <= 1


# --------------------------------------------------------------------------------------------------------------- colour


@pytest.mark.parametrize("channels", ["RGB", "BGR"])
@pytest.mark.parametrize("code", ["NO_CHANGE", "BGR2RGB", "RGB2BGR"])
def test_channel_order(channels: str, code: str) -> None:
    """The pictures are RGB; a file that says BGR starts from BGR; both codes exchange red and blue."""
    red_first = (channels == "RGB") == (code == "NO_CHANGE")
    picture = np.empty((3, 10, 20), np.uint8)
    picture[:] = np.array([10, 20, 30], np.uint8)[:, None, None]
    preprocess = Preprocessor(
        params(
            channels=channels,
            color_code=code,
            norm_type="MINUSMEAN",
            mean=(1.0, 2.0, 3.0),
            padding=(100, 110, 120),
        ),
        (20, 20),
    )
    out = preprocess(picture)
    inside, border = ([10, 20, 30], [100, 110, 120]) if red_first else ([30, 20, 10], [120, 110, 100])
    np.testing.assert_array_equal(out[:, 10, 10], np.array(inside) - [1, 2, 3])
    np.testing.assert_array_equal(out[:, 0, 0], np.array(border) - [1, 2, 3])
    np.testing.assert_array_equal(out[:, 19, 19], np.array(border) - [1, 2, 3])


# ------------------------------------------------------------------------------------------------------------- geometry


@pytest.mark.parametrize(("height", "width"), [(10, 17), (23, 9), (40, 40), (3, 50), (64, 41)])
def test_letterbox_against_the_formula(height: int, width: int) -> None:
    picture = noise(height, width)
    out = Preprocessor(params(norm_type="EQUAL"), (32, 24))(picture)
    scale = min(32 / width, 24 / height)
    new_w, new_h = round(width * scale), round(height * scale)
    left, top = (32 - new_w) // 2, (24 - new_h) // 2
    for channel in range(3):
        wanted = np.full((24, 32), 114.0)
        wanted[top : top + new_h, left : left + new_w] = bilinear(picture[channel], new_w, new_h)
        np.testing.assert_allclose(out[channel], wanted, atol=1)  # OpenCV computes in 11 bits and rounds
    border = np.ones((24, 32), bool)
    border[top : top + new_h, left : left + new_w] = False
    assert (out[:, border] == 114).all()


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 70), st.integers(1, 70), st.integers(0, 1000))
@settings(max_examples=60)
def test_letterbox_against_opencv_put_together_otherwise(w: int, h: int, in_w: int, in_h: int, seed: int) -> None:
    picture = noise(h, w, seed)
    s = min(in_w / w, in_h / h)
    size = (max(1, round(w * s)), max(1, round(h * s)))
    canvas = np.full((in_h, in_w, 3), 114, np.uint8)
    left, top = (in_w - size[0]) // 2, (in_h - size[1]) // 2
    interleaved = np.ascontiguousarray(picture.transpose(1, 2, 0))
    canvas[top : top + size[1], left : left + size[0]] = cv2.resize(interleaved, size, interpolation=cv2.INTER_LINEAR)
    wanted = (canvas.astype(np.float64) / 255 - MEAN) / STD
    box = params(norm_type="DIV255_MINUSMEAN_DIVSTD", mean=MEAN, std=STD)
    out = Preprocessor(box, (in_w, in_h))(picture)
    np.testing.assert_allclose(out, wanted.transpose(2, 0, 1), rtol=1e-6, atol=1e-6)


def test_bilinear_pillow_is_pillow_s() -> None:
    picture = noise(60, 80)
    out = Preprocessor(params(RESIZE, resize_type="BILINEAR_PILLOW"), (23, 31))(picture)
    image = Image.fromarray(np.ascontiguousarray(picture.transpose(1, 2, 0)))
    wanted = np.asarray(image.resize((23, 31), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    np.testing.assert_array_equal(out, wanted)
    # It averages where a picture shrinks, which OpenCV's does not.
    stripes = np.zeros((3, 64, 64), np.uint8)
    stripes[:, :, 1::4] = 255
    averaged = Preprocessor(params(RESIZE, resize_type="BILINEAR_PILLOW"), (8, 8))(stripes)
    np.testing.assert_allclose(averaged, 64, atol=8)
    assert Preprocessor(params(RESIZE), (8, 8))(stripes).max() < 8


@pytest.mark.parametrize("image", [(50, 30), (31, 47), (20, 20)])
def test_resize_ignores_the_shape(image: tuple[int, int]) -> None:
    preprocess = Preprocessor(params(RESIZE), (20, 20))
    picture = noise(image[1], image[0])
    wanted = np.stack([bilinear(plane, 20, 20) for plane in picture])
    np.testing.assert_allclose(preprocess(picture), wanted, atol=1)
    box = preprocess.geometry(image)
    assert (box.resized, box.left, box.top) == ((20, 20), 0, 0)


@pytest.mark.parametrize(
    ("changes", "resized", "corner"),
    [
        ({"resize_size": (40, 36), "crop": (5, 3)}, (40, 36), (5, 3)),
        ({"resize_size": (40, 36)}, (40, 36), (10, 8)),
        ({"resize_size": (21, None), "crop": (1, None)}, (21, 20), (1, 0)),
        ({}, (20, 20), (0, 0)),
    ],
)
def test_resize_and_crop(changes: dict[str, Any], resized: tuple[int, int], corner: tuple[int, int]) -> None:
    picture = noise(33, 51)
    preprocess = Preprocessor(params(RESIZE_CROP, **changes), (20, 20))
    whole = np.stack([bilinear(plane, *resized) for plane in picture])
    wanted = whole[:, corner[1] : corner[1] + 20, corner[0] : corner[0] + 20]
    np.testing.assert_allclose(preprocess(picture), wanted, atol=1)
    box = preprocess.geometry((51, 33))
    assert (box.resized, box.left, box.top) == (resized, -corner[0], -corner[1])
    # The pixel that came from the middle of the picture: half way along each side of the resized one.
    np.testing.assert_allclose(box.to_input([25.5, 16.5]), np.array(resized) / 2 - corner)


def test_short_edge_and_crop() -> None:
    picture = noise(48, 100)
    preprocess = Preprocessor(params(SHORT_EDGE_CROP, short_edge=24, output_size=(20, 20)), (20, 20))
    box = preprocess.geometry((100, 48))
    assert (box.resized, box.left, box.top) == ((50, 24), -15, -2)
    whole = np.stack([bilinear(plane, 50, 24) for plane in picture])
    np.testing.assert_allclose(preprocess(picture), whole[:, 2:22, 15:35], atol=1)


@pytest.mark.parametrize(
    ("changes", "resized", "left", "top"),
    [
        ({"edges": (3, 5, 2, 0)}, (24, 22), 3, 2),
        ({"edges": (6, 6, 7, 5), "resize_size": (20, 12)}, (20, 12), 6, 7),
        ({"resize_size": (20, 13)}, (20, 13), 6, 5),
        ({"resize_size": (32, None)}, (32, 24), 0, 0),
    ],
)
def test_a_border_given_in_the_file(changes: dict[str, Any], resized: tuple[int, int], left: int, top: int) -> None:
    picture = noise(40, 30)
    preprocess = Preprocessor(params(padding=(1, 2, 3), **changes), (32, 24))
    out = preprocess(picture)
    wanted = np.empty((3, 24, 32))
    wanted[:] = np.array([1, 2, 3])[:, None, None]
    wanted[:, top : top + resized[1], left : left + resized[0]] = [bilinear(plane, *resized) for plane in picture]
    np.testing.assert_allclose(out, wanted, atol=1)
    box = preprocess.geometry((30, 40))
    assert (box.resized, box.left, box.top) == (resized, left, top)


@given(st.integers(2, 400), st.integers(2, 400), st.integers(0, 99))
@settings(max_examples=40)
def test_geometry_finds_a_spot_again(width: int, height: int, seed: int) -> None:
    """A white square in a black picture: its centre of mass in the input is where the geometry says."""
    rng = np.random.default_rng(seed)
    side = max(1, min(width, height) // 6)
    x, y = int(rng.integers(0, width - side + 1)), int(rng.integers(0, height - side + 1))
    picture = np.zeros((3, height, width), np.uint8)
    picture[:, y : y + side, x : x + side] = 255
    preprocess = Preprocessor(params(resize_type="BILINEAR_PILLOW", padding=(0, 0, 0)), (256, 192))
    out = preprocess(picture)[0].astype(np.float64)
    box = preprocess.geometry((width, height))
    rows, columns = np.mgrid[:192, :256] + 0.5
    found = np.array([(columns * out).sum(), (rows * out).sum()]) / out.sum()
    middle = box.to_input([x + side / 2, y + side / 2])
    # Edges are continued outwards, which shifts what touches them by less than a pixel of the smaller picture.
    np.testing.assert_allclose(found, middle, atol=0.6 + 0.5 * max(box.scale))
    np.testing.assert_allclose(box.to_image(found), [x + side / 2, y + side / 2], atol=0.6 + 0.6 / min(box.scale))


# ------------------------------------------------------------------------------------------------------------ arguments


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"output_size": (640, 640)}, ["640 x 640", "the network's input, 512 x 256"]),
        ({"output_size": (512, 512)}, ["512 x 512"]),
        ({"edges": (200, 312, 0, 0)}, ["a border of 200 and 312", "512"]),
        ({"edges": (1, 1, 1, 1), "resize_size": (512, 254)}, ["a border of 1 and 1 around 512"]),
        ({"edges": (1, 1, 1, 1), "resize_size": (509, 254)}, ["a border of 1 and 1 around 509"]),
        ({"resize_size": (600, None)}, ["around 600", "512"]),
        ({"kind": RESIZE_CROP, "resize_size": (256, 256)}, ["a crop of 512 x 256", "256 x 256"]),
        ({"kind": RESIZE_CROP, "crop": (1, 0)}, ["at (1, 0)", "inside"]),
    ],
)
def test_sizes_that_do_not_fit(changes: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(DataError) as error:
        Preprocessor(dataclasses.replace(params(), **changes), (512, 256))
    for part in ["vdsp.json", *parts]:
        assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_a_picture_that_is_too_small_for_the_crop() -> None:
    preprocess = Preprocessor(params(SHORT_EDGE_CROP, short_edge=10), (20, 20))
    with pytest.raises(DataError, match="a crop of 20 x 20"):
        preprocess(noise(20, 20))


@pytest.mark.parametrize(
    ("picture", "error", "part"),
    [
        (np.zeros((3, 4, 4), np.float32), TypeError, "picture: float32, expected an array of uint8"),
        ([[[1]]], TypeError, "picture: list"),
        (np.zeros((4, 4, 3), np.uint8), ValueError, r"picture: shape \(4, 4, 3\), expected \(3, H, W\)"),
        (np.zeros((1, 3, 4, 4), np.uint8), ValueError, r"shape \(1, 3, 4, 4\)"),
        (np.zeros((3, 0, 4), np.uint8), ValueError, r"shape \(3, 0, 4\)"),
    ],
)
def test_pictures_that_are_none(picture: Any, error: type[Exception], part: str) -> None:
    with pytest.raises(error, match=part):
        Preprocessor(params(), (8, 8))(picture)


def test_any_memory_order_and_no_writing() -> None:
    picture = noise(30, 41)
    preprocess = Preprocessor(params(), (16, 16))
    wanted = preprocess(picture)
    interleaved = np.ascontiguousarray(picture.transpose(1, 2, 0))
    interleaved.flags.writeable = False
    before = interleaved.copy()
    np.testing.assert_array_equal(preprocess(interleaved.transpose(2, 0, 1)), wanted)
    np.testing.assert_array_equal(preprocess(picture[:, ::-1][:, ::-1]), wanted)
    np.testing.assert_array_equal(interleaved, before)


def test_into_a_batch() -> None:
    pictures = [noise(30, 41), noise(20, 11, 1)]
    for channels in ("RGB", "BGR"):
        preprocess = Preprocessor(params(channels=channels), (16, 12))
        batch = np.full((2, 3, 12, 16), np.nan, np.float32)
        for place_in_batch, picture in zip(batch, pictures, strict=True):
            preprocess.write_into(picture, place_in_batch)
        np.testing.assert_array_equal(batch, np.stack([preprocess(picture) for picture in pictures]))


def test_many_threads_at_once() -> None:
    preprocess = Preprocessor(params(), (64, 64))
    pictures = [noise(20 + seed, 50 - seed, seed) for seed in range(20)]
    wanted = [preprocess(picture) for picture in pictures]
    wrong: list[int] = []

    def work() -> None:
        for _ in range(5):
            wrong.extend(i for i, p in enumerate(pictures) if not np.array_equal(preprocess(p), wanted[i]))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# --------------------------------------------------------------------------------------------------------------- pixels


@settings(max_examples=60)
@given(
    st.integers(1, 20),
    st.integers(1, 20),
    st.integers(-25, 25),
    st.integers(-25, 25),
    st.integers(1, 30),
    st.integers(1, 30),
)
def test_placing_pixel_by_pixel(width: int, height: int, left: int, top: int, canvas_w: int, canvas_h: int) -> None:
    planes = noise(height, width)
    border = (7, 8, 9)
    placed = place(planes, (canvas_w, canvas_h), left, top, (width, height), "cv2_bilinear", border)
    assert placed.shape == (3, canvas_h, canvas_w)
    for y in range(canvas_h):
        for x in range(canvas_w):
            inside = 0 <= x - left < width and 0 <= y - top < height
            wanted = planes[:, y - top, x - left] if inside else border
            assert (placed[:, y, x] == wanted).all()


@pytest.mark.parametrize("method", METHODS)
def test_every_method_keeps_a_plain_picture_plain(method: str) -> None:
    plain = np.full((3, 9, 13), 77, np.uint8)
    assert (resize(plain, (31, 5), method) == 77).all()
    assert resize(noise(9, 13), (31, 5), method).shape == (3, 5, 31)


# --------------------------------------------------------------------------------------------------------------- shared


@pytest.mark.shared
@pytest.mark.skipif(SHARED is None, reason="the recorded inputs (../shared or HRNETAE_SHARED) are absent")
@pytest.mark.parametrize("line", [0, 7, 15])
def test_the_recorded_network_gives_the_recorded_maps(line: int) -> None:
    """The maps that a real network left for a picture come out of it again after our preprocessing."""
    ort = pytest.importorskip("onnxruntime")
    assert SHARED is not None
    stem = read_datalist(SHARED / "realnet" / "sample" / "datalist.txt").stems[line]
    picture = read_picture(SHARED / "coco" / "val2017" / f"{stem.removesuffix('_flip')}.jpg").transpose(2, 0, 1)
    box = params(norm_type="DIV255_MINUSMEAN_DIVSTD", mean=MEAN, std=STD)
    batch = Preprocessor(box, (512, 512))(picture)[np.newaxis]
    if stem.endswith("_flip"):
        batch = np.ascontiguousarray(batch[..., ::-1])  # of the canvas, as the sample was made
    session = ort.InferenceSession(str(SHARED / "realnet" / "realnet.onnx"), providers=["CPUExecutionProvider"])
    (maps,) = session.run(None, {session.get_inputs()[0].name: batch})
    (recorded,) = read_outputs(SHARED / "realnet" / "sample" / f"output_{line:06d}.npz")
    difference = np.abs(maps[0] - recorded.astype(np.float32))
    assert difference.max() < 0.02 and difference.mean() < 5e-4


def test_importing_it_loads_neither_library() -> None:
    """The modules of this flow are imported by verbs that read no picture."""
    code = (
        "import sys, hrnetae.runtime.preprocessing, hrnetae.runtime.process_ops, hrnetae.files.vdsp, hrnetae.geometry\n"
        "assert not {'cv2', 'PIL', 'onnxruntime', 'torch'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_picture_that_would_become_too_large() -> None:
    """1 x 9 pixels with a short side of 16384 are 2.4e9 pixels."""
    params = VdspParams("v.json", "-", SHORT_EDGE_CROP, short_edge=16384)
    with pytest.raises(DataError, match=r"^v\.json: a picture of 1 x 9 resized to 16384 x 147456, expected at most 6"):
        Preprocessor(params, (64, 64))(np.zeros((3, 9, 1), np.uint8))
