"""Reading pictures: every kind that folders hold, and what is wrong with the rest."""

from __future__ import annotations

import builtins
import io
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from hrnetae.files.errors import DataError
from hrnetae.files.pictures import list_pictures, read_picture, require_cv2


def drawing(height: int = 37, width: int = 53, seed: int = 0) -> NDArray[np.uint8]:
    """A picture (H, W, 3) of smooth colours, a different one in each channel and corner."""
    y, x = np.mgrid[:height, :width]
    waves = np.random.default_rng(seed).uniform(0.05, 0.2, (3, 2))
    channels = [127 + 100 * np.sin(a * x + b * y + c) for c, (a, b) in enumerate(waves)]
    return np.stack(channels, -1).astype(np.uint8)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "webp"])
def test_colours_come_as_rgb(tmp_path: Path, suffix: str) -> None:
    pixels = drawing()
    Image.fromarray(pixels).save(tmp_path / f"p.{suffix}", lossless=True)
    read = read_picture(tmp_path / f"p.{suffix}")
    assert read.dtype == np.uint8 and read.flags.c_contiguous
    np.testing.assert_array_equal(read, pixels)


def test_jpeg(tmp_path: Path) -> None:
    Image.fromarray(drawing()).save(tmp_path / "p.jpg", quality=95, subsampling=0)
    np.testing.assert_allclose(read_picture(tmp_path / "p.jpg").astype(int), drawing(), atol=12)


def test_grey_alpha_palette_and_16_bits(tmp_path: Path) -> None:
    pixels = drawing()
    grey = pixels[..., 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "grey.png"), np.stack([grey] * 3, -1))
    Image.fromarray(np.dstack([pixels, grey])).save(tmp_path / "alpha.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "alpha.png"), pixels)
    few = pixels // 64 * 64
    Image.fromarray(few).quantize(256).save(tmp_path / "palette.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "palette.png"), few)
    deep = grey.astype(np.uint16) * 256 + 200
    Image.fromarray(deep).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "deep.png"), np.stack([grey] * 3, -1))


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.transpose(1, 0, 2)),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: a[::-1, ::-1].transpose(1, 0, 2)),
        (8, lambda a: np.rot90(a, 1)),
    ],
)
def test_exif_orientation_is_followed(tmp_path: Path, orientation: int, turn: Callable[[Any], Any]) -> None:
    plain, turned = tmp_path / "plain.jpg", tmp_path / "turned.jpg"
    image = Image.fromarray(drawing())
    image.save(plain, quality=95)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(turned, quality=95, exif=exif)
    np.testing.assert_array_equal(read_picture(turned), turn(read_picture(plain)))


def test_names_in_any_script(tmp_path: Path) -> None:
    path = tmp_path / "пример 图片 a.b.png"
    Image.fromarray(drawing()).save(path)
    np.testing.assert_array_equal(read_picture(str(path)), drawing())


def png_of(width: int, height: int) -> bytes:
    """The start of a PNG that claims to have this size."""
    header = struct.pack(">II5B", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + bytes(8) + b"IEND"


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", "empty file"),
        (b"no picture at all", "not a picture"),
        (b"\xff\xd8\xff\xe0" + bytes(100) + b"\xff\xd9", "not a picture"),
        (png_of(2**31 - 1, 2**31 - 1), "2147483647 x 2147483647 pixels"),
        (png_of(70000, 70000), "70000 x 70000 pixels"),
    ],
)
def test_what_is_no_picture(tmp_path: Path, data: bytes, part: str) -> None:
    path = tmp_path / "p.jpg"
    path.write_bytes(data)
    with pytest.raises(DataError) as error:
        read_picture(path)
    assert str(error.value).startswith(f"{path}: {part}") and "expected" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_picture_whose_end_is_missing(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"p.{suffix}"
    Image.fromarray(drawing(200, 300)).save(path)
    whole = path.read_bytes()
    for length in (len(whole) - 2, len(whole) - 20, len(whole) // 2):
        path.write_bytes(whole[:length])
        if suffix == "png" and length == len(whole) - 2:
            continue  # only the end mark's checksum is cut; decoders do not mind
        with pytest.raises(DataError, match="the end of the file is missing"):
            read_picture(path)
    path.write_bytes(whole + b"more bytes")
    assert read_picture(path).shape == (200, 300, 3)


@pytest.mark.parametrize("progressive", [False, True])
def test_the_end_of_a_thumbnail_is_not_the_picture_s(tmp_path: Path, progressive: bool) -> None:
    """A JPEG within a segment of the JPEG, and FF D9 where it is no marker: in a comment and in a segment's length."""
    small = io.BytesIO()
    Image.fromarray(drawing(40, 60)).save(small, "JPEG")
    assert small.getvalue().endswith(b"\xff\xd9")
    path = tmp_path / "p.jpg"
    Image.fromarray(drawing(200, 300)).save(
        path, exif=b"Exif\0\0" + small.getvalue(), comment=b"\xff\xd9", progressive=progressive
    )
    whole = path.read_bytes()
    assert whole.index(small.getvalue()) < whole.index(b"\xff\xda")
    assert read_picture(path).shape == (200, 300, 3)
    path.write_bytes(whole[:2] + b"\xff" * 3 + whole[2:])  # filling is allowed before a marker
    assert read_picture(path).shape == (200, 300, 3)
    start = whole.rindex(b"\xff\xda")
    for length in (len(whole) - 2, len(whole) // 2, start + 20, start + 1, 30):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match="the end of the file is missing"):
            read_picture(path)


def test_the_name_of_the_last_chunk_within_another(tmp_path: Path) -> None:
    text = PngInfo()
    text.add_text("Comment", "IEND")
    path = tmp_path / "p.png"
    Image.fromarray(drawing(200, 300)).save(path, pnginfo=text)
    whole = path.read_bytes()
    assert read_picture(path).shape == (200, 300, 3)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="the end of the file is missing"):
        read_picture(path)


def test_files_that_are_none(tmp_path: Path) -> None:
    for path, part in ((tmp_path / "absent.jpg", "no such file"), (tmp_path, "directory")):
        with pytest.raises(DataError) as error:
            read_picture(path)
        assert str(error.value).startswith(f"{path}: ") and part in str(error.value)


def test_a_folder_s_pictures_by_name(tmp_path: Path) -> None:
    for name in (
        "b.JPG",
        "a.png",
        "c.jpeg",
        "d.txt",
        ".hidden.jpg",
        "e.webp",
        "f.tif",
        "g",
        "B.bmp",
        "10.jpg",
        "9.jpg",
    ):
        (tmp_path / name).touch()
    (tmp_path / "folder.jpg").mkdir()
    names = [path.name for path in list_pictures(tmp_path)]
    assert names == ["10.jpg", "9.jpg", "B.bmp", "a.png", "b.JPG", "c.jpeg", "e.webp", "f.tif"]
    for path, part in ((tmp_path / "absent", "no such folder"), (tmp_path / "g", "a file")):
        with pytest.raises(DataError, match=part):
            list_pictures(path)


@pytest.mark.parametrize(
    ("error", "parts"),
    [
        (ModuleNotFoundError("No module named 'cv2'", name="cv2"), ["OpenCV is missing", "opencv-python-headless"]),
        (ModuleNotFoundError("No module named 'x'", name="x"), ["cannot be loaded", "'x'"]),
        (
            ImportError("libGL.so.1: cannot open shared object file: No such file or directory"),
            ["libGL.so.1", "opencv-python-headless", "libgl1"],
        ),
    ],
)
def test_without_opencv_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, error: ImportError, parts: list[str]
) -> None:
    original = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "cv2":
            raise error
        return original(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "cv2", raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(DataError) as raised:
        require_cv2()
    assert "\n" not in str(raised.value)
    for part in parts:
        assert part in str(raised.value)
