"""Pictures one after another: of a file, a folder, a video, a camera. OpenCV reads the latter two."""

from __future__ import annotations

import math
import os
import re
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hrnetae.files.errors import DataError
from hrnetae.files.pictures import is_picture_name, list_pictures, read_picture, require_cv2

Image = NDArray[np.uint8]

_USUAL_FPS = 25.0  # where a video or a camera does not say
_WAIT_FOR_CAMERA = 10.0  # seconds
_PATIENCE = 2.0  # seconds for a camera's last frame
_MAX_ID = (1 << 63) - 1


@dataclass(frozen=True)
class Frame:
    """A picture, or why there is none.

    name: the picture's file name; of a video or camera, its name and the frame's number. id: for COCO results.
    position: its place in the source's time, in frames (see ``Frames.fps``), or among the pictures.
    image: uint8 (H, W, 3) RGB; None where it could not be read, and then problem says why in one line.
    """

    name: str
    id: int
    position: int
    image: Image | None
    problem: str = ""


class Frames(Protocol):
    """A source of pictures, to be gone through once.

    name: for messages and for the names of what is written. total: how many there are, None where that is not known.
    fps: frames a second of a video or camera, None for pictures. paths: the files that are read.
    """

    name: str
    paths: Sequence[Path]
    total: int | None
    fps: float | None

    def __iter__(self) -> Iterator[Frame]:
        """The pictures in their order."""

    def close(self) -> None:
        """Gives the file or the camera back; the iteration ends soon, in whatever thread it runs."""


def open_frames(source: str) -> Frames:
    """What ``source`` names: a picture, a folder of pictures, a video, or a camera.

    A camera is a number (0 is the first one), a device (``/dev/video0``) or an address (``rtsp://...``). A file is a
    picture by its suffix, and a video else.
    Errors: DataError that names the source, for one that is missing or cannot be opened, and for an empty folder.
    """
    path = Path(source)
    if path.is_dir():
        pictures = list_pictures(path)
        if not pictures:
            raise DataError(f"{source}: no pictures in the folder, expected JPEG, PNG, BMP, TIFF or WebP files")
        return PictureFrames(path.name, pictures)
    if path.is_file():
        if is_picture_name(path.name):
            return PictureFrames(path.stem, [path])
        return VideoFrames(path)
    if re.fullmatch(r"\d{1,4}", source) or re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", source) or _is_device(path):
        return CameraFrames(source)
    raise DataError(f"{source}: no such file, expected a picture, a folder, a video, or a camera's number or address")


class PictureFrames:
    """Pictures of their own files. Ids: the number that each file is named by, as COCO does it; else 1, 2, 3 ..."""

    fps: float | None = None

    def __init__(self, name: str, paths: Sequence[Path]) -> None:
        self.name = name
        self.total: int | None = len(paths)
        self.paths: Sequence[Path] = paths
        self._ids = picture_ids([path.stem for path in paths])
        self._closed = False

    def __iter__(self) -> Iterator[Frame]:
        for position, (path, image_id) in enumerate(zip(self.paths, self._ids, strict=True)):
            if self._closed:
                return
            try:
                yield Frame(path.name, image_id, position, read_picture(path))
            except DataError as error:
                yield Frame(path.name, image_id, position, None, str(error))

    def close(self) -> None:
        """Ends the iteration."""
        self._closed = True


def picture_ids(stems: Sequence[str]) -> list[int]:
    """COCO ids of pictures: 139 for 000000000139, where all are named so, each its own; else 1, 2, 3 ..."""
    if all(stem.isascii() and stem.isdigit() for stem in stems):
        ids = [int(stem) for stem in stems]
        if len(set(ids)) == len(ids) and max(ids, default=0) <= _MAX_ID:
            return ids
    return list(range(1, len(stems) + 1))


class VideoFrames:
    """The frames of a video file, numbered and with ids from 0."""

    def __init__(self, path: Path) -> None:
        self._capture = _open_capture(str(path), "a picture (by its suffix) or a video that OpenCV can decode")
        self.name = path.stem
        self.paths: Sequence[Path] = (path,)
        self.fps: float | None = _fps(self._capture)
        self.total: int | None = _count(self._capture)
        self._file = path.name
        self._closed = False

    def __iter__(self) -> Iterator[Frame]:
        number = 0
        try:
            while not self._closed and (image := _read(self._capture)) is not None:
                yield Frame(f"{self._file} frame {number}", number, number, image)
                number += 1
        finally:
            self._capture.release()

    def close(self) -> None:
        """Ends the iteration."""
        self._closed = True


class CameraFrames:
    """What a camera sees now: frames that come while the last one is still worked on are left out.

    Ids count the frames that are given, from 0; ``position`` goes by the clock, in frames of the camera.
    """

    total: int | None = None
    paths: Sequence[Path] = ()

    def __init__(self, source: str) -> None:
        number = int(source) if source.isdigit() else source
        self._capture = _open_capture(number, "a camera, or an address that OpenCV can open")
        self.name = f"camera{source}" if source.isdigit() else "camera"
        self.fps: float | None = _fps(self._capture)
        self._changed = threading.Condition()
        self._newest: Image | None = None
        self._ended = False
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __iter__(self) -> Iterator[Frame]:
        self._watcher.start()
        start, last = None, -1
        count = 0
        while (image := self._take()) is not None:
            start = time.perf_counter() if start is None else start
            last = max(last + 1, round((time.perf_counter() - start) * (self.fps or _USUAL_FPS)))
            yield Frame(f"{self.name} frame {count}", count, last, image)
            count += 1

    def close(self) -> None:
        """Ends the iteration, and waits a little for the camera to be given back."""
        self._end()
        if self._watcher.is_alive():
            self._watcher.join(_PATIENCE)

    def _end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _watch(self) -> None:
        """Reads as fast as the camera gives, so that nothing old waits in its memory."""
        try:
            while not self._ended and (image := _read(self._capture)) is not None:
                with self._changed:
                    self._newest = image
                    self._changed.notify_all()
        finally:
            self._end()
            self._capture.release()

    def _take(self) -> Image | None:
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._ended, _WAIT_FOR_CAMERA)
            image, self._newest = self._newest, None
            return image


def _is_device(path: Path) -> bool:
    try:
        return stat.S_ISCHR(path.stat().st_mode)
    except OSError:
        return False


def _open_capture(source: str | int, expected: str) -> Any:
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # our own line says what is wrong
    cv2 = require_cv2()
    capture = cv2.VideoCapture(source)
    if not capture.isOpened():
        raise DataError(f"{source}: cannot be opened, expected {expected}")
    return capture


def _read(capture: Any) -> Image | None:
    """The next frame, RGB; None at the end."""
    there, frame = capture.read()
    if not there:
        return None
    cv2 = require_cv2()
    rgb: Image = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    return rgb


def _fps(capture: Any) -> float:
    fps = float(capture.get(require_cv2().CAP_PROP_FPS))
    return fps if math.isfinite(fps) and 0 < fps <= 1000 else _USUAL_FPS


def _count(capture: Any) -> int | None:
    count = float(capture.get(require_cv2().CAP_PROP_FRAME_COUNT))
    return int(count) if math.isfinite(count) and 0 < count < 1e9 else None
