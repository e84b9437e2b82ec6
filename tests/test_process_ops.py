"""The process_ops of a build file: every operation against its formula, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hrnetae.files.errors import DataError
from hrnetae.files.vdsp import LETTERBOX, VdspParams
from hrnetae.runtime.preprocessing import Preprocessor
from hrnetae.runtime.process_ops import ProcessOps

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
PAGE: list[dict[str, object]] = [
    {"type": "DecodeImage"},
    {"type": "Resize", "size": [512, -1], "adaptive_side": "long"},
    {"type": "Pad", "pad_to_square": True},
    {"type": "Normalize", "div255": True, "mean": MEAN, "std": STD},
    {"type": "ToTensor"},
]


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def run(folder: Path, pixels: NDArray[np.uint8], *ops: dict[str, object]) -> NDArray[np.float32]:
    """The operations, DecodeImage before them, on a picture that was written to a file."""
    path = folder / "p.png"
    Image.fromarray(pixels).save(path)
    out = ProcessOps([{"type": "DecodeImage"}, *ops])(path)
    assert out.dtype == np.float32 and out.flags.c_contiguous and out.shape[0] == 1
    return out[0].transpose(1, 2, 0)


@pytest.mark.parametrize("size", [(333, 500), (500, 333), (97, 64), (700, 700), (31, 1)])
def test_the_page_s_list_is_its_vdsp_letterbox(tmp_path: Path, size: tuple[int, int]) -> None:
    """A calibration sees what the network sees later. And both are what the text says."""
    width, height = size
    pixels = noise(height, width)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    out = ProcessOps(PAGE)(tmp_path / "p.png")
    assert out.shape == (1, 3, 512, 512)
    scale = 512 / max(size)
    new = max(1, round(width * scale)), max(1, round(height * scale))
    canvas = np.full((512, 512, 3), 114, np.uint8)
    left, top = (512 - new[0]) // 2, (512 - new[1]) // 2
    canvas[top : top + new[1], left : left + new[0]] = cv2.resize(pixels, new, interpolation=cv2.INTER_LINEAR)
    wanted = (canvas / 255 - MEAN) / STD
    np.testing.assert_allclose(out[0].transpose(1, 2, 0), wanted, rtol=1e-6, atol=1e-6)
    vdsp = VdspParams("-", "-", LETTERBOX, norm_type="DIV255_MINUSMEAN_DIVSTD", mean=tuple(MEAN), std=tuple(STD))  # type: ignore[arg-type]
    np.testing.assert_array_equal(out[0], Preprocessor(vdsp, (512, 512))(pixels.transpose(2, 0, 1)))


def test_decoding_alone_gives_rgb(tmp_path: Path) -> None:
    pixels = noise(9, 7)
    for settings in ({}, {"cv2_flags": 1}, {"backend": "pillow"}, {"backend": None}):
        Image.fromarray(pixels).save(tmp_path / "p.png")
        out = ProcessOps([{"type": "DecodeImage", **settings}])(tmp_path / "p.png")
        np.testing.assert_array_equal(out[0].transpose(1, 2, 0), pixels)
    np.testing.assert_array_equal(ProcessOps([])(tmp_path / "p.png"), out)


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [
        ([20, 30], None, (20, 30)),
        ([30, -1], "long", (16, 30)),  # of 40 x 75: 75 -> 30
        ([-1, 30], "long", (16, 30)),
        ([30, -1], "short", (30, 56)),  # 40 -> 30, 56.25
        ([20, 30], "long", (16, 30)),  # as large as fits
        ([20, 30], "short", (20, 38)),  # as small as covers: 37.5 goes to the even number
        ([10, 30], "long", (10, 19)),  # 18.75
        (24, None, (24, 24)),
    ],
)
def test_sizes_of_resize(tmp_path: Path, size: object, side: str | None, expected: tuple[int, int]) -> None:
    out = run(tmp_path, noise(40, 75), {"type": "Resize", "size": size, "adaptive_side": side})
    assert out.shape[:2] == expected


@pytest.mark.parametrize(
    ("interpolation", "flag", "resample"),
    [
        ("bilinear", cv2.INTER_LINEAR, Image.Resampling.BILINEAR),
        ("bicubic", cv2.INTER_CUBIC, Image.Resampling.BICUBIC),
        ("nearest", cv2.INTER_NEAREST, Image.Resampling.NEAREST),
    ],
)
def test_methods_of_resize(tmp_path: Path, interpolation: str, flag: int, resample: Any) -> None:
    pixels = noise(40, 75)
    op: dict[str, object] = {"type": "Resize", "size": [20, 30], "interpolation": interpolation}
    np.testing.assert_array_equal(run(tmp_path, pixels, op), cv2.resize(pixels, (30, 20), interpolation=flag))
    wanted = np.asarray(Image.fromarray(pixels).resize((30, 20), resample))
    np.testing.assert_array_equal(run(tmp_path, pixels, op | {"backend": "pillow"}), wanted)


def test_pad_in_the_middle(tmp_path: Path) -> None:
    pixels = noise(5, 8)
    out = run(tmp_path, pixels, {"type": "Pad", "pad_to_square": True})
    assert out.shape == (8, 8, 3)
    np.testing.assert_array_equal(out[1:6], pixels)
    assert (out[:1] == 114).all() and (out[6:] == 114).all()
    np.testing.assert_array_equal(run(tmp_path, pixels, {"type": "Pad", "pad_to_square": False}), pixels)
    upright = run(tmp_path, pixels.transpose(1, 0, 2), {"type": "Pad", "pad_to_square": True})
    np.testing.assert_array_equal(upright, out.transpose(1, 0, 2))


def test_center_crop(tmp_path: Path) -> None:
    pixels = noise(11, 16)
    out = run(tmp_path, pixels, {"type": "CenterCrop", "crop_size": [4, 6], "backend": "pillow"})
    np.testing.assert_array_equal(out, pixels[3:7, 5:11])
    np.testing.assert_array_equal(run(tmp_path, pixels, {"type": "CenterCrop", "crop_size": 11}), pixels[:, 2:13])
    with pytest.raises(DataError, match=r"p.png: process_ops\[1\] CenterCrop: 16 x 11 pixels, expected 4 x 12"):
        run(tmp_path, pixels, {"type": "CenterCrop", "crop_size": [12, 4]})


def test_colours(tmp_path: Path) -> None:
    pixels = noise(6, 5)
    for code in ("COLOR_RGB2BGR", "COLOR_BGR2RGB"):
        np.testing.assert_array_equal(run(tmp_path, pixels, {"type": "CvtColor", "code": code}), pixels[..., ::-1])
    ycc = run(tmp_path, pixels, {"type": "CvtColor", "code": "COLOR_RGB2YCrCb"})
    r, g, b = pixels.astype(np.float64).transpose(2, 0, 1)
    y = 0.299 * r + 0.587 * g + 0.114 * b  # ITU-R BT.601
    wanted = np.stack([y, (r - y) * 0.713 + 128, (b - y) * 0.564 + 128], -1).clip(0, 255)
    np.testing.assert_allclose(ycc, wanted, atol=1)
    for index in range(3):
        one = run(tmp_path, pixels, {"type": "ChannelSplit", "index": index})
        np.testing.assert_array_equal(one[..., 0], pixels[..., index])


@pytest.mark.parametrize(
    ("settings", "formula"),
    [
        ({"mean": MEAN, "std": STD}, lambda x: (x / 255 - MEAN) / STD),
        ({"mean": MEAN, "std": STD, "div255": True}, lambda x: (x / 255 - MEAN) / STD),
        ({"mean": [104, 117, 123], "std": [2, 3, 4], "div255": False}, lambda x: (x - [104, 117, 123]) / [2, 3, 4]),
        ({"mean": [104, 117, 123], "std": 1, "div255": None}, lambda x: x - [104.0, 117, 123]),
        ({"mean": [0.5], "std": [0.5]}, lambda x: x / 127.5 - 1),
        ({"mean": MEAN, "std": STD, "norm_type": None}, lambda x: x / 255),
        ({"mean": MEAN, "std": STD, "norm_type": "None", "div255": False}, lambda x: x),
        ({"mean": MEAN}, lambda x: x / 255 - MEAN),
        ({}, lambda x: x / 255),
    ],
)
def test_normalize(tmp_path: Path, settings: dict[str, object], formula: Any) -> None:
    pixels = noise(12, 9)
    wanted = formula(pixels.astype(np.float64))
    out = run(tmp_path, pixels, {"type": "Normalize", **settings}, {"type": "ToTensor"})
    np.testing.assert_allclose(out, wanted, rtol=1e-6, atol=1e-6)
    # The same values where the picture is float32 already.
    late = run(tmp_path, pixels, {"type": "ToTensor"}, {"type": "Normalize", **settings})
    np.testing.assert_allclose(late, wanted, rtol=1e-6, atol=1e-6)


def test_one_channel_normalized(tmp_path: Path) -> None:
    pixels = noise(4, 4)
    split: dict[str, object] = {"type": "ChannelSplit", "index": 1}
    out = run(tmp_path, pixels, split, {"type": "Normalize", "mean": [0.5], "std": 0.25})
    np.testing.assert_allclose(out[..., 0], (pixels[..., 1] / 255 - 0.5) / 0.25, rtol=1e-6, atol=1e-6)
    with pytest.raises(DataError, match="3 numbers in mean, expected one for each of 1 channels"):
        run(tmp_path, pixels, split, {"type": "Normalize", "mean": MEAN})
    for after, part in (({"type": "CvtColor", "code": "COLOR_RGB2BGR"}, "1 channels"), (split, "more than 1")):
        with pytest.raises(DataError, match=part):
            run(tmp_path, pixels, split, after)


@pytest.mark.parametrize(
    "op",
    [
        {"type": "Resize", "size": [4, 4]},
        {"type": "Pad", "pad_to_square": True},
        {"type": "CvtColor", "code": "COLOR_RGB2YCrCb"},
    ],
)
def test_pixels_are_worked_on_before_they_are_normalized(tmp_path: Path, op: dict[str, object]) -> None:
    with pytest.raises(DataError, match=r"p.png: process_ops\[2\] .*: stands after Normalize or ToTensor"):
        run(tmp_path, noise(5, 6), {"type": "Normalize"}, op)


@pytest.mark.parametrize(
    ("op", "parts"),
    [
        ({"type": "Blur"}, ["process_ops[1] Blur: unknown operation", "CenterCrop"]),
        ({}, ["process_ops[1]: {}", "under type"]),
        ({"type": 5}, ["process_ops[1]"]),
        ("Resize", ["process_ops[1]: 'Resize'"]),
        ({"type": "DecodeImage"}, ["process_ops[1] DecodeImage: not the first"]),
        ({"type": "Resize", "size": [4, 4], "sides": 1}, ["Resize: unknown parameter sides", "adaptive_side"]),
        ({"type": "ToTensor", "x": 1}, ["ToTensor: unknown parameter x, expected no parameters"]),
        ({"type": "Resize"}, ["Resize: size None, expected [height, width]"]),
        ({"type": "Resize", "size": [4]}, ["size [4]"]),
        ({"type": "Resize", "size": ["4", 4]}, ["size ['4', 4]"]),
        ({"type": "Resize", "size": [4, -1]}, ["adaptive_side beside a size with -1"]),
        ({"type": "Resize", "size": [-1, -1], "adaptive_side": "long"}, ["size [-1, -1]"]),
        ({"type": "Resize", "size": [0, 4]}, ["size [0, 4]"]),
        ({"type": "Resize", "size": [4, 4], "adaptive_side": "both"}, ["adaptive_side 'both'", "long or short"]),
        ({"type": "Resize", "size": [4, 4], "interpolation": "lanczos"}, ["interpolation 'lanczos'", "bicubic"]),
        ({"type": "Resize", "size": [4, 4], "backend": "skimage"}, ["backend 'skimage'", "cv2, pillow"]),
        ({"type": "Pad"}, ["pad_to_square None", "true or false"]),
        ({"type": "Pad", "pad_to_square": 5}, ["pad_to_square 5"]),
        ({"type": "CenterCrop", "crop_size": [0, 4]}, ["crop_size [0, 4]"]),
        ({"type": "CvtColor", "code": "COLOR_RGB2HSV"}, ["code 'COLOR_RGB2HSV'", "COLOR_RGB2YCrCb"]),
        ({"type": "CvtColor"}, ["code"]),
        ({"type": "ChannelSplit", "index": 3}, ["index 3", "0, 1 or 2"]),
        ({"type": "Normalize", "mean": [1, 2]}, ["mean [1, 2]", "three numbers, or one"]),
        ({"type": "Normalize", "mean": [float("nan"), 0, 0]}, ["mean [nan, 0, 0]", "of float32's range"]),
        ({"type": "Normalize", "std": float("inf")}, ["std inf", "of float32's range"]),
        ({"type": "Normalize", "mean": [10**400, 0, 0]}, ["mean [1000", "..., expected"]),
        ({"type": "Normalize", "std": [1e-300, 1, 1]}, ["std [1e-300, 1.0, 1.0]", "float32 can hold"]),
        ({"type": "Normalize", "std": 7e-37, "div255": False}, ["std [7e-37]", "float32 can hold"]),
        ({"type": "Resize", "size": [9999999, -1], "adaptive_side": "long"}, ["size [9999999, -1]", "up to 16384"]),
        ({"type": "Resize", "size": [10**400, 4]}, ["size [1000", "up to 16384"]),
        ({"type": "Resize", "size": [16384, 16384]}, ["size [16384, 16384]", "67108864 pixels"]),
        ({"type": "Normalize", "std": [1, 0, 1]}, ["std [1.0, 0.0, 1.0]", "other than 0"]),
        ({"type": "Normalize", "div255": "yes"}, ["div255 'yes'"]),
        ({"type": "Normalize", "norm_type": "L2"}, ["norm_type 'L2'"]),
    ],
)
def test_what_is_refused(op: Any, parts: list[str]) -> None:
    with pytest.raises(DataError) as error:
        ProcessOps([{"type": "DecodeImage"}, op])
    assert "\n" not in str(error.value)
    for part in parts:
        assert part in str(error.value)


@pytest.mark.parametrize(("key", "value"), [("cv2_flags", 0), ("backend", "turbo")])
def test_other_ways_of_decoding_are_refused(key: str, value: object) -> None:
    with pytest.raises(DataError, match=rf"process_ops\[0\] DecodeImage: {key} {value!r}, expected"):
        ProcessOps([{"type": "DecodeImage", key: value}])


@pytest.mark.parametrize("backend", ["cv2", "pillow"])
def test_pictures_that_are_none(tmp_path: Path, backend: str) -> None:
    ops = ProcessOps([{"type": "DecodeImage", "backend": backend}])
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    Image.fromarray(noise(50, 60)).save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:500])
    for name in ("absent.jpg", "bad.jpg", "cut.jpg"):
        with pytest.raises(DataError, match=rf"{name}: .*, expected a "):
            ops(tmp_path / name)


@pytest.mark.parametrize(
    ("op", "step", "found"),
    [
        ({"type": "Resize", "size": [16384, -1], "adaptive_side": "short"}, "Resize", "16384 x 163840"),
        ({"type": "Pad", "pad_to_square": True}, "Pad", "9000 x 9000"),
    ],
)
def test_pictures_that_would_become_too_large(tmp_path: Path, op: dict[str, object], step: str, found: str) -> None:
    Image.fromarray(np.zeros((9000, 1, 3) if step == "Pad" else (10, 1, 3), np.uint8)).save(tmp_path / "p.png")
    with pytest.raises(DataError, match=rf"p.png: process_ops\[1\] {step}: becomes {found} pixels, expected at most 6"):
        ProcessOps([{"type": "DecodeImage"}, op])(tmp_path / "p.png")
