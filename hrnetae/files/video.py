"""Videos, written by OpenCV."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.files.atomic import open_temporary
from hrnetae.files.errors import DataError
from hrnetae.files.pictures import require_cv2

CODEC = "mp4v"  # MPEG-4 part 2, which every build of OpenCV for Python can write


class VideoFile:
    """A video that is written frame by frame, and takes its name when it is closed.

    path: its suffix names the container (``.mp4``, ``.avi``, ``.mkv``, ``.mov``). fps: frames a second.
    size: (width, height) of every frame. codec: four letters, as OpenCV has them.
    Errors: DataError for a container or codec that OpenCV cannot write; OSError.
    """

    def __init__(self, path: Path, fps: float, size: tuple[int, int], codec: str = CODEC) -> None:
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # our own line says what is wrong
        cv2 = require_cv2()
        self.path = path
        self.size = size
        self._open = True
        path.parent.mkdir(parents=True, exist_ok=True)
        self._temporary, self._handle = open_temporary(path, path.suffix)  # OpenCV writes over it
        self._writer: Any = cv2.VideoWriter(str(self._temporary), cv2.VideoWriter_fourcc(*codec), fps, size)
        if not self._writer.isOpened():
            self._handle.close()
            self._temporary.unlink(missing_ok=True)
            raise DataError(
                f"{path}: OpenCV cannot write {codec!r} in {path.suffix!r}, expected a codec that it has, as {CODEC} "
                "in .mp4 or MJPG in .avi"
            )

    def write(self, picture: NDArray[np.uint8]) -> None:
        """Add a frame. picture: uint8 (H, W, 3), RGB. Errors: DataError for one of another size."""
        size = (picture.shape[1], picture.shape[0])
        if size != self.size:  # OpenCV would leave it out without a word
            raise DataError(
                f"{self.path}: a frame of {size[0]} x {size[1]}, expected {self.size[0]} x {self.size[1]} as the first"
            )
        cv2 = require_cv2()
        self._writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """Finish the file and give it its name; twice does no harm."""
        if self._open:
            self._open = False
            self._writer.release()
            self._handle.close()
            self._temporary.replace(self.path)

    def discard(self) -> None:
        """Leave nothing behind, unless it is closed already."""
        if self._open:
            self._open = False
            self._writer.release()
            self._handle.close()
            self._temporary.unlink(missing_ok=True)
