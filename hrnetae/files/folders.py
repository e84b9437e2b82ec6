"""The two layouts of a folder of network outputs, and which files in it belong to which picture.

vamp: ``output_%06d.npz``, numbered by the lines of the datalist from 0. runstream: ``<picture>.npz``, the flips under
the same names in a second folder or as ``<picture>_flip.npz`` beside them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hrnetae.files.datalist import FLIP_SUFFIX, Datalist, Pair, is_flip, pair_by_name, read_datalist
from hrnetae.files.errors import DataError, first_names

_NUMBERED = re.compile(r"output_\d{6,}")
_EXTENSION = ".npz"


@dataclass(frozen=True)
class Sample:
    """One picture: its stem, the file of its outputs, and that of its mirrored input's outputs or None."""

    stem: str
    output: Path
    flipped: Path | None


@dataclass(frozen=True)
class OutputFolder:
    """What was found: "vamp" or "runstream", the pictures in order, and remarks for the user (one line each)."""

    layout: str
    samples: tuple[Sample, ...]
    warnings: tuple[str, ...] = ()

    @property
    def flip(self) -> bool:
        return self.samples[0].flipped is not None


def numbered(line: int) -> str:
    """The name, without extension, that vamp gives to the outputs of a line (from 0) of its datalist."""
    return f"output_{line:06d}"


def numbered_in(folder: Path) -> list[str]:
    """The file names of numbered outputs in a folder, sorted; none where there is no folder. Errors: OSError."""
    if not folder.is_dir():
        return []
    names = [path.name for path in folder.iterdir() if path.suffix == _EXTENSION]
    return sorted(name for name in names if _NUMBERED.fullmatch(name.removesuffix(_EXTENSION)))


def find_outputs(
    output_data: str | os.PathLike[str],
    datalist: str | os.PathLike[str] | None = None,
    output_flip: str | os.PathLike[str] | None = None,
    use_flip: bool = True,
) -> OutputFolder:
    """Tell the layout of a folder and list its pictures: in the datalist's order or, without one, by name.

    datalist: needed for the vamp layout, where numbers have to be told from names.
    output_flip: runstream's second folder, with the outputs of the mirrored pictures.
    use_flip: off leaves all flips out.
    Errors: DataError for a missing or empty folder, missing outputs (their count and the first names), outputs that fit
    neither layout, a flip without its picture and a picture without its flip where others have one.
    """
    folder = _list_folder(Path(output_data), "network outputs")
    flips = None
    if use_flip and output_flip is not None:
        flips = _list_folder(Path(output_flip), "outputs of the mirrored pictures")
    if datalist is None:
        _refuse_numbered(folder)
        stems = sorted(stem for stem in folder.stems if not is_flip(stem))
        return _by_name(folder, stems, _flips_by_name(folder, flips, stems, False) if use_flip else {})
    listed = read_datalist(datalist)
    pairs = pair_by_name(listed, use_flip)
    if _is_numbered(folder, listed):
        return _by_number(folder, flips, listed, pairs)
    stems = [pair.stem for pair in pairs]
    promised = any(map(is_flip, listed.stems))
    return _by_name(folder, stems, _flips_by_name(folder, flips, stems, promised) if use_flip else {})


@dataclass(frozen=True)
class _Folder:
    """A folder and the stems of the npz files in it."""

    path: Path
    stems: frozenset[str]

    def file(self, stem: str) -> Path:
        return self.path / (stem + _EXTENSION)

    def require(self, stems: Sequence[str], wanted_by: Sequence[str] = ()) -> None:
        """DataError unless outputs of all these names are here. ``wanted_by``: what each of them is the output of."""
        labels = [f" ({label})" for label in wanted_by] or [""] * len(stems)
        missing = [
            stem + _EXTENSION + label for stem, label in zip(stems, labels, strict=True) if stem not in self.stems
        ]
        if missing:
            verb = "is" if len(missing) == 1 else "are"
            raise DataError(
                f"{self.path}: {len(missing)} of {len(stems)} outputs {verb} missing: {first_names(missing)}"
            )


def _list_folder(path: Path, what: str) -> _Folder:
    try:
        names = [entry.name for entry in path.iterdir()]
    except FileNotFoundError:
        raise DataError(f"{path}: no such folder, expected {what} (npz)") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}, expected a folder of {what} (npz)") from None
    stems = frozenset(name.removesuffix(_EXTENSION) for name in names if name.endswith(_EXTENSION))
    if not stems:
        raise DataError(f"{path}: no .npz file in it, expected {numbered(0)}.npz ... or <picture>.npz")
    return _Folder(path, stems)


def _refuse_numbered(folder: _Folder) -> None:
    found = sorted(filter(_NUMBERED.fullmatch, folder.stems))
    if found:
        raise DataError(
            f"{folder.path}: numbered outputs ({first_names(found)}), expected a datalist (--datalist_txt) that says "
            "which pictures they are"
        )


def _is_numbered(folder: _Folder, listed: Datalist) -> bool:
    """By what is complete, else by what there is any of. A file called like a line of the list is no numbered one."""
    named = {stem for stem in listed.stems if not is_flip(stem)}
    found = {stem for stem in folder.stems - named if _NUMBERED.fullmatch(stem)}
    if found.issuperset(map(numbered, range(len(listed)))):
        return True
    if folder.stems >= named:
        return False
    if not found and not folder.stems & named:
        raise DataError(
            f"{folder.path}: {len(folder.stems)} .npz files named {first_names(sorted(folder.stems))}, expected "
            f"{numbered(0)} ... (vamp) or the names in {listed.path}: {first_names(sorted(named))} (runstream)"
        )
    return bool(found)


def _by_number(folder: _Folder, flips: _Folder | None, listed: Datalist, pairs: Sequence[Pair]) -> OutputFolder:
    if flips is not None:
        raise DataError(
            f"{folder.path}: numbered outputs (vamp), whose flips stand in the datalist; --output_flip {flips.path} is "
            "for outputs with the pictures' names"
        )
    lines = sorted(line for pair in pairs for line in (pair.line, pair.flip) if line is not None)
    folder.require([numbered(line) for line in lines], [listed.stems[line] for line in lines])
    samples = [
        Sample(
            pair.stem,
            folder.file(numbered(pair.line)),
            None if pair.flip is None else folder.file(numbered(pair.flip)),
        )
        for pair in pairs
    ]
    return OutputFolder("vamp", tuple(samples), _check_surplus(folder, listed))


def _check_surplus(folder: _Folder, listed: Datalist) -> tuple[str, ...]:
    """More outputs than lines: a remark, but an error where the list must be that of another run."""
    found = sum(1 for stem in folder.stems if _NUMBERED.fullmatch(stem))
    if found <= len(listed):
        return ()
    what = f"{folder.path}: {found} numbered outputs, but {listed.path} has {len(listed)} lines"
    if found == 2 * len(listed) and not any(map(is_flip, listed.stems)):
        raise DataError(f"{what} and no flips, expected the list of the run, which numbers the outputs")
    return (f"{what}: outputs from {numbered(len(listed))}.npz on are left out",)


def _by_name(folder: _Folder, stems: Sequence[str], flips: Mapping[str, Path]) -> OutputFolder:
    if not stems:
        raise DataError(
            f"{folder.path}: only outputs of flips ({first_names(sorted(folder.stems))}), expected pictures"
        )
    folder.require(stems)
    return OutputFolder("runstream", tuple(Sample(stem, folder.file(stem), flips.get(stem)) for stem in stems))


def _flips_by_name(folder: _Folder, flips: _Folder | None, stems: Sequence[str], promised: bool) -> dict[str, Path]:
    """The flips' files: all of them, or none where there are none and the datalist promises none."""
    if flips is not None:
        return _flips_in_second_folder(folder, flips, stems)
    names = [stem + FLIP_SUFFIX for stem in stems]
    _refuse_orphans(folder)
    if not promised and folder.stems.isdisjoint(names):
        return {}
    folder.require(names)
    return dict(zip(stems, map(folder.file, names), strict=True))


def _flips_in_second_folder(folder: _Folder, flips: _Folder, stems: Sequence[str]) -> dict[str, Path]:
    if folder.path.samefile(flips.path):
        raise DataError(f"{flips.path}: also the folder of the pictures' outputs, expected one of the flips' outputs")
    names = [
        stem if stem in flips.stems or stem + FLIP_SUFFIX not in flips.stems else stem + FLIP_SUFFIX for stem in stems
    ]
    flips.require(names)
    return dict(zip(stems, map(flips.file, names), strict=True))


def _refuse_orphans(folder: _Folder) -> None:
    flips = filter(is_flip, folder.stems)
    orphans = sorted(flip for flip in flips if flip.removesuffix(FLIP_SUFFIX) not in folder.stems)
    if orphans:
        picture = orphans[0].removesuffix(FLIP_SUFFIX) + _EXTENSION
        raise DataError(
            f"{folder.file(orphans[0])}: the output of a flip, but {picture}, that of its picture, is not there "
            f"({len(orphans)} such files)"
        )
