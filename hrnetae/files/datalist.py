"""The datalist: which input each numbered output belongs to, one npz path per line."""

from __future__ import annotations

import os
from dataclasses import dataclass

from hrnetae.files.errors import DataError
from hrnetae.foreign import read_file

FLIP_SUFFIX = "_flip"
_LARGEST = 1 << 28  # bytes


@dataclass(frozen=True)
class Datalist:
    """A datalist as read: its file, the stem of every line (no folder, no extension), in order, and the lines."""

    path: str
    stems: tuple[str, ...]
    lines: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.stems)


@dataclass(frozen=True)
class Pair:
    """A picture of a datalist: its stem, its line (from 0), and the line of its mirrored input or None."""

    stem: str
    line: int
    flip: int | None


def read_datalist(path: str | os.PathLike[str]) -> Datalist:
    """Read a datalist: UTF-8 text, one path per line, absolute or relative, with / or \\ between folders.

    Windows line ends, a byte order mark, spaces in names and blank lines at the end are fine. The paths themselves need
    not exist here: only the names count.
    Errors: DataError for a missing, empty or binary file, a blank line between others (it would shift the numbers of
    the outputs), and a name that stands there twice.
    """
    name = os.fspath(path)
    try:
        data = read_file(name, _LARGEST)
    except FileNotFoundError:
        raise DataError(f"{name}: no such file, expected a datalist (text, one npz path per line)") from None
    except OSError as error:
        raise DataError(f"{name}: {error.strerror or error}, expected a readable datalist") from None
    if b"\0" in data:
        raise DataError(f"{name}: binary data, expected a datalist (UTF-8 text, one npz path per line)")
    # Folders in another encoding do no harm: undecodable bytes pass through.
    text = data.decode("utf-8-sig", errors="surrogateescape")
    lines = [line.strip() for line in text.rstrip().split("\n")]
    stems = tuple(stem_of(line) for line in lines)
    _check_stems(name, stems)
    return Datalist(name, stems, tuple(lines))


def pair_by_name(datalist: Datalist, use_flip: bool = True) -> tuple[Pair, ...]:
    """The pictures of a datalist in its order, each with the line of its flip: ``X`` belongs to ``X_flip``.

    Either every picture has a flip or none has. With ``use_flip`` off the flips are left out, complete or not.
    Errors: DataError that names the picture whose flip is missing, or the flip whose picture is missing.
    """
    lines = {stem: line for line, stem in enumerate(datalist.stems)}
    pictures = {stem: line for stem, line in lines.items() if not is_flip(stem)}
    if use_flip and len(pictures) < len(lines):
        _check_complete(datalist, lines)
        return tuple(Pair(stem, line, lines[stem + FLIP_SUFFIX]) for stem, line in pictures.items())
    if not pictures:
        raise DataError(f"{datalist.path}: only flips ({datalist.stems[0]} ...), expected pictures")
    return tuple(Pair(stem, line, None) for stem, line in pictures.items())


def stem_of(path: str) -> str:
    """The name without folders and extension of a path of either kind of system."""
    name = path.replace("\\", "/").rpartition("/")[2]
    stem, dot, _ = name.rpartition(".")
    return stem if dot and stem else name


def is_flip(stem: str) -> bool:
    """Whether this is the name of a mirrored picture."""
    return stem.endswith(FLIP_SUFFIX) and stem != FLIP_SUFFIX


def _check_stems(name: str, stems: tuple[str, ...]) -> None:
    if stems == ("",):
        raise DataError(f"{name}: empty, expected one npz path per line")
    seen: dict[str, int] = {}
    for number, stem in enumerate(stems, 1):
        if not stem:
            raise DataError(f"{name}: line {number} names no file, expected one npz path per line")
        if stem in seen:
            raise DataError(f"{name}: {stem} stands in line {seen[stem]} and in line {number}, expected it once")
        seen[stem] = number


def _check_complete(datalist: Datalist, lines: dict[str, int]) -> None:
    for stem, line in lines.items():
        if is_flip(stem):
            if stem.removesuffix(FLIP_SUFFIX) not in lines:
                raise DataError(
                    f"{datalist.path}: line {line + 1} is the flip {stem}, but its picture "
                    f"{stem.removesuffix(FLIP_SUFFIX)} is not in the list"
                )
        elif stem + FLIP_SUFFIX not in lines:
            raise DataError(
                f"{datalist.path}: line {line + 1} is the picture {stem}, but its flip {stem + FLIP_SUFFIX} is not in "
                "the list, expected flips of all pictures or of none (or --no_flip)"
            )
