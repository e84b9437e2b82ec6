"""COCO keypoint ground truth: where it is looked for, and the picture that belongs to a name."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrnetae.files.datalist import stem_of
from hrnetae.files.errors import DataError
from hrnetae.foreign import check_regular, read_file, shown
from hrnetae.params import check_size

ANN_NAME = "person_keypoints_val2017.json"
PICTURES = "val2017"
_LARGEST = 1 << 32  # bytes
_LARGEST_ID = 2**62

_LISTS = ("images", "annotations", "categories")
# What pycocotools reads of every annotation when it scores keypoints.
_ANNOTATION_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "id": int,
    "image_id": int,
    "category_id": int,
    "keypoints": list,
    "num_keypoints": int,
    "area": (int, float),
    "bbox": list,
    "iscrowd": int,
}
_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")
_MOST_PIXELS = 1 << 27
_EXIF_ORIENTATION = 0x0112
_EXIF_TURNED = (5, 6, 7, 8)


@dataclass(frozen=True)
class Picture:
    """A picture of the ground truth: its id and its size in pixels, as (width, height)."""

    id: int
    size: tuple[int, int]


@dataclass(frozen=True)
class GroundTruth:
    """A COCO annotation file as read, with its pictures by file stem. ``dataset`` is not to be changed.

    data_root: the folder with ``val2017``, for the sizes of pictures that the file gives no size of; or None.
    """

    path: Path
    dataset: Mapping[str, Any]
    by_stem: Mapping[str, tuple[Mapping[str, Any], ...]]
    data_root: Path | None

    def picture(self, stem: str) -> Picture:
        """The picture whose file name without folder and extension is ``stem``.

        The size is that in the file or, where it has none, that in the header of ``data_root/val2017/<file_name>``.
        Errors: DataError for a name that is absent, or stands for two pictures, or whose size cannot be had.
        """
        entries = self.by_stem.get(stem, ())
        if len(entries) != 1:
            found = "no picture" if not entries else f"{len(entries)} pictures"
            raise DataError(f"{self.path}: {found} of the name {stem} in the ground truth, expected one")
        entry = entries[0]
        if entry.get("width") is None and entry.get("height") is None:
            return Picture(entry["id"], self._size_of_file(entry["file_name"]))
        try:
            return Picture(entry["id"], check_size("size", (entry.get("width"), entry.get("height"))))
        except (TypeError, ValueError) as error:
            raise DataError(f"{self.path}: picture {stem}: {error}") from None

    def _size_of_file(self, file_name: str) -> tuple[int, int]:
        if self.data_root is None:
            raise DataError(f"{self.path}: no size of {file_name}, expected width and height (or --data_root with it)")
        return picture_size(self.data_root / PICTURES / Path(file_name).name)


def find_ann_file(data_root: Path | None, ann_file: Path | None = None) -> Path:
    """The ground truth to use: ``ann_file``, else that of the data root, in either of its two usual places.

    Errors: DataError that lists the places looked at.
    """
    if ann_file is not None:
        places = [ann_file]
    elif data_root is not None:
        places = [data_root / ANN_NAME, data_root / "annotations" / ANN_NAME]
    else:
        raise DataError("no ground truth: expected --data_root or --ann_file")
    for place in places:
        if place.is_file():
            return place
    raise DataError(f"no ground truth: looked for {' and '.join(map(str, places))}, expected a COCO keypoint file")


def load_ground_truth(path: Path, data_root: Path | None = None) -> GroundTruth:
    """Read a COCO keypoint annotation file, once.

    Errors: DataError for a file that cannot be read, is no JSON, or is no COCO keypoint file.
    """
    dataset = _read_json(path)
    if not isinstance(dataset, dict) or not all(isinstance(dataset.get(key), list) for key in _LISTS):
        raise DataError(f"{path}: not COCO ground truth, expected an object with the lists {', '.join(_LISTS)}")
    _check_entries(path, "images", dataset["images"], {"id": int, "file_name": str})
    _check_entries(path, "categories", dataset["categories"], {"id": int})
    _check_entries(path, "annotations", dataset["annotations"], _ANNOTATION_FIELDS)
    return GroundTruth(path, dataset, _by_stem(dataset["images"]), data_root)


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) in pixels of a picture file, from its header alone.

    A JPEG that is stored turned (EXIF orientation) has the size that it is shown with, which is what OpenCV reads.
    Errors: DataError for a missing file or one that is no picture.
    """
    from PIL import Image, UnidentifiedImageError  # only needed where the ground truth lacks sizes

    try:
        check_regular(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of many pixels and odd metadata; only the size is wanted
            with Image.open(path, formats=_FORMATS) as image:
                width, height = image.size
                if width * height > _MOST_PIXELS:  # for PNG, Pillow decodes all of them to find the orientation
                    raise ValueError(f"{width} x {height} pixels, more than {_MOST_PIXELS}")
                turned = image.getexif().get(_EXIF_ORIENTATION) in _EXIF_TURNED
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such file, expected the picture, since the ground truth has no size of it"
        ) from None
    except UnidentifiedImageError:
        raise DataError(f"{path}: not a picture, expected one to read the size from") from None
    # A header alone can claim any size; which errors a damaged one raises is the library's affair.
    except Exception as error:
        raise DataError(f"{path}: unreadable ({error}), expected a picture to read the size from") from None
    return (height, width) if turned else (width, height)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(read_file(path, _LARGEST))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}, expected COCO ground truth (JSON)") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: malformed JSON ({error}), expected COCO ground truth") from None


def _check_entries(
    path: Path, kind: str, entries: Iterable[Any], fields: Mapping[str, type | tuple[type, ...]]
) -> None:
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise DataError(f"{path}: {kind}[{number}] is a {type(entry).__name__}, expected an object")
        for name, kinds in fields.items():
            if not isinstance(entry.get(name), kinds):
                found = f"a {type(entry[name]).__name__} as {name!r}" if name in entry else f"no {name!r}"
                raise DataError(f"{path}: {kind}[{number}] has {found}, expected {', '.join(fields)} as COCO has them")
            if kinds is int and not -_LARGEST_ID <= entry[name] <= _LARGEST_ID:
                raise DataError(
                    f"{path}: {kind}[{number}] has {shown(entry[name])} as {name!r}, expected no more than 2^62"
                )


def _by_stem(images: Iterable[Mapping[str, Any]]) -> dict[str, tuple[Mapping[str, Any], ...]]:
    by_stem: dict[str, list[Mapping[str, Any]]] = {}
    for image in images:
        by_stem.setdefault(stem_of(image["file_name"]), []).append(image)
    return {stem: tuple(entries) for stem, entries in by_stem.items()}
