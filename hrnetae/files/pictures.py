"""Pictures on disk. OpenCV decodes them, and is looked for when the first one is read."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.files.atomic import atomic_write
from hrnetae.files.errors import AbsentError, DataError
from hrnetae.files.picture_headers import JPEG_ALONE, JPEG_MARKER, JPEG_START, PNG_START, read_header
from hrnetae.foreign import read_file

PICTURE_SUFFIXES = frozenset((".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"))

# What may be decoded. Both bounds are far above what cameras make; a file of a kilobyte can claim any size.
_MOST_PIXELS = 1 << 27
_MOST_FOR_ANY, _MOST_PER_BYTE = (
    1 << 24,
    512,
)  # pixels in a file of any size, and above; even one colour takes more bytes
_MOST_SCANNED = 1 << 30  # pixels times scans of a JPEG, each of which goes over all of them
_LARGEST = 1 << 30  # bytes
_JPEG_END, _PNG_END = b"\xd9", b"IEND"
_PNG_FRAME = 12  # bytes of a chunk around its content: length, kind and checksum


def read_picture(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """A picture as uint8 (H, W, 3), RGB, contiguous.

    As ``cv2.imread`` reads by default: turned as its EXIF orientation says, grey pictures with three equal channels,
    an alpha channel left out, 16 bits cut to the upper 8.
    Errors: DataError, which names the file: missing, not a picture, or a JPEG or PNG whose end is missing (OpenCV would
    fill it up with grey), or one that claims more than 2^27 pixels, or 2^24 in a few bytes; and as `require_cv2`.
    """
    cv2 = require_cv2()
    name = os.fspath(path)
    data = _read_bytes(name)
    _check_size(name, data)
    if _is_cut_off(data):
        raise DataError(f"{name}: the end of the file is missing, expected a complete picture")
    picture = _decode(cv2, data)
    if picture is None:
        found = "empty file" if not data else "not a picture that OpenCV can decode"
        raise DataError(f"{name}: {found}, expected a picture (JPEG, PNG, BMP, TIFF, WebP)")
    rgb: NDArray[np.uint8] = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    return rgb


def write_picture(path: str | os.PathLike[str], picture: NDArray[np.uint8]) -> None:
    """Write uint8 (H, W, 3), RGB, in the format that the name's suffix says; atomically.

    Errors: DataError for a suffix that OpenCV cannot write, and as `require_cv2`; OSError.
    """
    cv2 = require_cv2()
    suffix = Path(path).suffix
    try:
        done, data = cv2.imencode(suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    except cv2.error:
        done, data = False, None
    if not done:
        raise DataError(f"{os.fspath(path)}: suffix {suffix!r}, expected one of {', '.join(sorted(PICTURE_SUFFIXES))}")
    with atomic_write(Path(path)) as stream:
        stream.write(data.tobytes())


def list_pictures(folder: str | os.PathLike[str]) -> list[Path]:
    """The files of a folder that look like pictures by their suffix, sorted by name. Hidden files are left out.

    Errors: DataError where the folder is missing or is none.
    """
    path = Path(folder)
    if not path.is_dir():
        found = "a file" if path.exists() else "no such folder"
        raise DataError(f"{path}: {found}, expected a folder of pictures")
    found_paths = (entry for entry in path.iterdir() if is_picture_name(entry.name) and entry.is_file())
    return sorted(found_paths, key=lambda entry: entry.name)


def is_picture_name(name: str) -> bool:
    """Whether a file of this name looks like a picture."""
    return not name.startswith(".") and Path(name).suffix.lower() in PICTURE_SUFFIXES


def require_cv2() -> ModuleType:
    """The module ``cv2``. Errors: DataError in one line that says what to install."""
    try:
        import cv2
    except ModuleNotFoundError as error:
        if error.name != "cv2":
            raise DataError(f"OpenCV cannot be loaded ({error}): pip install --force-reinstall opencv-python") from None
        raise DataError("OpenCV is missing: pip install opencv-python (or opencv-python-headless)") from None
    except ImportError as error:
        # On a machine without a screen it is usually libGL.so.1, or libgthread, that the loader misses.
        raise DataError(
            f"OpenCV cannot be loaded ({error}): put opencv-python-headless in the place of opencv-python (pip "
            "uninstall opencv-python, pip install opencv-python-headless), or install the library (Debian, Ubuntu: "
            "libgl1 libglib2.0-0)"
        ) from None
    module: ModuleType = cv2
    return module


def silence_opencv() -> None:
    """For drivers that name bad pictures themselves: OpenCV no longer logs what it cannot decode, in this process."""
    cv2 = require_cv2()
    logging = getattr(cv2.utils, "logging", cv2)  # OpenCV 4 has it in cv2 itself
    logging.setLogLevel(0)


def _read_bytes(name: str) -> bytes:
    try:
        return read_file(name, _LARGEST)
    except FileNotFoundError:
        raise AbsentError(f"{name}: no such file, expected a picture", name) from None
    except OSError as error:
        raise DataError(f"{name}: {error.strerror or error}, expected a readable picture") from None


def _decode(cv2: Any, data: bytes) -> NDArray[np.uint8] | None:
    """BGR pixels, or None. From memory: OpenCV's own reading of files cannot open every name, and complains aloud."""
    if read_header(data) is None:  # OpenCV knows more formats than the five; nobody has judged their sizes
        return None
    try:
        picture: NDArray[np.uint8] | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # a header that claims more pixels than OpenCV takes
        return None
    return picture


def _check_size(name: str, data: bytes) -> None:
    """Raise DataError for a picture that claims too many pixels, before any memory is taken for them."""
    header = read_header(data)
    if header is None:
        return
    pixels = header.width * header.height
    most = min(_MOST_PIXELS, max(_MOST_FOR_ANY, _MOST_PER_BYTE * len(data)))
    if pixels > most:
        what = f"{header.width} x {header.height} pixels in {len(data)} bytes"
        raise DataError(f"{name}: {what}, expected up to {most} in a file of this size")
    if pixels * header.scans > _MOST_SCANNED:
        raise DataError(
            f"{name}: {header.scans} scans over {header.width} x {header.height} pixels, expected a picture that is "
            "decoded in seconds"
        )


def _is_cut_off(data: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end mark. Bytes after the mark do no harm."""
    if data.startswith(JPEG_START):
        return not _jpeg_ends(data)
    return data.startswith(PNG_START) and not _png_ends(data)


def _jpeg_ends(data: bytes) -> bool:
    """Whether the JPEG's own end mark is there. Segments are stepped over: a thumbnail in one has a mark of its own."""
    at = 2
    while marker := JPEG_MARKER.search(data, at):
        if marker[1] == _JPEG_END:
            return True
        at = marker.end()
        if marker[1] not in JPEG_ALONE:
            at += int.from_bytes(data[at : at + 2])
    return False


def _png_ends(data: bytes) -> bool:
    """Whether the chunks lead to the last, empty one. The letters of its kind may stand in the content of others."""
    at = len(PNG_START)
    while (kind := data[at + 4 : at + 8]) and kind != _PNG_END:
        at += _PNG_FRAME + int.from_bytes(data[at : at + 4])
    return data[at : at + 8] == bytes(4) + _PNG_END  # OpenCV takes memory for what the last one, too, says it has
