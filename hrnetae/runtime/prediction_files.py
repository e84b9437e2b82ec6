"""What a prediction leaves on disk: COCO results, the list of pictures, the pictures or the video with people drawn.

results.json    COCO keypoint results, see ``evaluation.results``
images.json     a COCO file of the pictures without annotations, with which tools can load the results
NAME            a picture with the people drawn, under its own name and in its own format
NAME.mp4        a video with the people drawn, of a video or camera
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.evaluation.results import Results, write_results
from hrnetae.files.atomic import atomic_write, check_writable
from hrnetae.files.errors import DataError
from hrnetae.files.frames import Frame, Frames
from hrnetae.files.pictures import write_picture
from hrnetae.files.video import CODEC, VideoFile
from hrnetae.poses import Poses
from hrnetae.skeleton import Skeleton

RESULTS_NAME = "results.json"
IMAGES_NAME = "images.json"
_PERSON = 1  # COCO's category


@dataclass
class People:
    """Everybody who was found so far, and in which pictures was looked.

    kept: off for a camera that nobody wants results of: it would fill the memory one day; the numbers remain.
    pictures, persons: how many. images: COCO's image entries. parts: the people of each.
    """

    skeleton: Skeleton
    kept: bool = True
    pictures: int = 0
    persons: int = 0
    images: list[dict[str, Any]] = field(default_factory=list)
    parts: list[Results] = field(default_factory=list)

    def add(self, frame: Frame, size: tuple[int, int], poses: Poses) -> None:
        """The people of one more picture of (width, height) ``size``."""
        self.pictures += 1
        self.persons += len(poses)
        if not self.kept:
            return
        self.images.append({"id": frame.id, "file_name": frame.name, "width": size[0], "height": size[1]})
        self.parts.append(Results.of_poses(poses, frame.id, _PERSON))

    @property
    def results(self) -> Results:
        """All of them, in the order of the pictures."""
        return Results.joined(self.parts or [Results.of_entries([], len(self.skeleton))])


class PredictionFiles:
    """The files of one run in a folder. Pictures are written as they come, the rest by `close`.

    Errors of the constructor: DataError where something that is read would be written over; OSError for a folder that
    cannot be written to. Nothing is written by it.
    """

    def __init__(self, folder: Path, frames: Frames, *, drawn: bool = True, codec: str = CODEC) -> None:
        self.folder = folder
        self.results = folder / RESULTS_NAME
        self.images = folder / IMAGES_NAME
        self.video = folder / f"{frames.name}.mp4" if drawn and frames.fps is not None else None
        self.drawn = drawn
        self._codec = codec
        self._fps = frames.fps
        self._writing: VideoFile | None = None
        self._last: tuple[int, NDArray[np.uint8]] | None = None
        self._check(frames)

    def keep(self, frame: Frame, picture: NDArray[np.uint8]) -> None:
        """One more picture, with the people drawn. Errors: DataError, OSError."""
        if self._fps is None:
            write_picture(self.folder / frame.name, picture)
        else:
            self._add_to_video(frame.position, picture)

    def close(self, people: People) -> None:
        """Finish the video and write the lists. Errors: OSError, DataError."""
        if self._writing is not None:
            self._writing.close()
        try:
            write_results(self.results, people.results)
            with atomic_write(self.images) as stream:
                stream.write(json.dumps(images_file(people)).encode() + b"\n")
        except OSError as error:
            raise DataError(f"{self.folder}: {error.strerror or error}, the results could not be written") from None

    def discard(self) -> None:
        """After an error: nothing half-written stays."""
        if self._writing is not None:
            self._writing.discard()

    def _add_to_video(self, position: int, picture: NDArray[np.uint8]) -> None:
        """A camera's frames that were left out are filled with the one before, so that the video keeps its pace."""
        if self._writing is None:
            assert self.video is not None and self._fps is not None
            size = (picture.shape[1], picture.shape[0])
            self._writing = VideoFile(self.video, self._fps, size, self._codec)
        elif self._last is not None:
            before, last = self._last
            for _ in range(position - before - 1):
                self._writing.write(last)
        self._writing.write(picture)
        self._last = (position, picture)

    def _check(self, frames: Frames) -> None:
        if self.folder.exists() and not self.folder.is_dir():
            raise DataError(f"{self.folder}: a file, expected a folder for the results")
        if self.drawn:
            targets = {self.video} if self.video else {self.folder / path.name for path in frames.paths}
            taken = {path.resolve() for path in frames.paths}
            for target in sorted(target.resolve() for target in targets):
                if target in taken:
                    raise DataError(f"{self.folder}: {target.name} would be written over, expected another folder")
        check_writable(self.results)


def images_file(people: People) -> dict[str, Any]:
    """The pictures as a COCO keypoint file without annotations. Format: https://cocodataset.org/#format-data."""
    skeleton = people.skeleton
    person = {
        "id": _PERSON,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(skeleton.joints),
        "skeleton": [[a + 1, b + 1] for a, b in skeleton.limbs],
    }
    info = {"description": "Pictures in which hrnetae predict looked for people."}
    return {"info": info, "images": people.images, "annotations": [], "categories": [person]}
