"""The two layouts of a folder of network outputs, and which files in it belong to which picture.

vamp: ``output_%06d.npz``, numbered by the lines of the datalist from 0. runstream: ``<picture>.npz``, the flips under
the same names in a second folder or as ``<picture>_flip.npz`` beside them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hrnetae.files.datalist import FLIP_SUFFIX, Datalist, Pair, is_flip, pair_by_name, read_datalist
from hrnetae.files.errors import DataError, first_names, some_names
from hrnetae.files.run_record import recorded_outputs

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
    """What was found: "vamp" or "runstream", the pictures in order, and remarks for the user (one line each).

    samples: the pictures whose outputs are all there. stems: all pictures, also those of which an output is missing.
    missing: the names of the outputs that are missing, each with the input that it is the output of.
    """

    layout: str
    samples: tuple[Sample, ...]
    stems: tuple[str, ...]
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def flip(self) -> bool:
        return self.samples[0].flipped is not None


class IncompleteError(DataError):
    """A folder without all its outputs. missing: as in `OutputFolder`; the message names the first of them."""

    def __init__(self, message: str, missing: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.missing = missing


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
    allow_missing: bool = False,
) -> OutputFolder:
    """Tell the layout of a folder and list its pictures: in the datalist's order or, without one, by name.

    datalist: needed for the vamp layout, where numbers have to be told from names. Without one the pictures are those
    of which the folders hold an output, and those that their run.json says they were to hold.
    output_flip: runstream's second folder, with the outputs of the mirrored pictures.
    use_flip: off leaves all flips out.
    allow_missing: pictures without their output or their flip's are left out of the samples.
    Errors: DataError for a missing or empty folder, outputs that fit neither layout, a flip without its picture, and
    where no picture has all its outputs; unless missing outputs are allowed, IncompleteError for them.
    """
    folder = _list_folder(Path(output_data), "network outputs")
    flips = None
    if use_flip and output_flip is not None:
        flips = _list_folder(Path(output_flip), "outputs of the mirrored pictures")
    if datalist is None:
        _refuse_numbered(folder)
        stems, promised = _stems_of_run(folder, flips, use_flip and allow_missing)
    else:
        listed = read_datalist(datalist)
        pairs = pair_by_name(listed, use_flip)
        if _is_numbered(folder, listed):
            return _by_number(folder, flips, listed, pairs, allow_missing)
        stems, promised = [pair.stem for pair in pairs], any(map(is_flip, listed.stems))
    if not stems:
        raise DataError(
            f"{folder.path}: only outputs of flips ({first_names(sorted(folder.stems))}), expected pictures"
        )
    places = _flips_by_name(folder, flips, stems, promised, allow_missing) if use_flip else {}
    wanted = [_Wanted(stem, _Place(folder, stem), places.get(stem)) for stem in stems]
    return _found("runstream", wanted, allow_missing)


@dataclass(frozen=True)
class _Folder:
    """A folder, the stems of the npz files in it, and those of the outputs that its run was to make."""

    path: Path
    stems: frozenset[str]
    recorded: frozenset[str]


@dataclass(frozen=True)
class _Place:
    """Where an output is to be. label: which input it is the output of, where the name does not say it."""

    folder: _Folder
    stem: str
    label: str = ""

    @property
    def is_there(self) -> bool:
        return self.stem in self.folder.stems

    @property
    def path(self) -> Path:
        return self.folder.path / self.name

    @property
    def name(self) -> str:
        return self.stem + _EXTENSION

    def __str__(self) -> str:
        return f"{self.name} ({self.label})" if self.label else self.name


@dataclass(frozen=True)
class _Wanted:
    """A picture, and where its outputs are to be."""

    stem: str
    output: _Place
    flipped: _Place | None

    @property
    def places(self) -> tuple[_Place, ...]:
        return (self.output,) if self.flipped is None else (self.output, self.flipped)


def _found(layout: str, wanted: Sequence[_Wanted], allow_missing: bool, warnings: tuple[str, ...] = ()) -> OutputFolder:
    """Errors: IncompleteError, DataError where no picture has its outputs."""
    missing = [place for one in wanted for place in one.places if not place.is_there]
    if missing and not allow_missing:
        raise _incomplete(wanted, missing)
    samples = [
        Sample(one.stem, one.output.path, None if one.flipped is None else one.flipped.path)
        for one in wanted
        if all(place.is_there for place in one.places)
    ]
    if not samples:
        raise DataError(f"{missing[0].folder.path}: no picture has all its outputs, expected at least one")
    return OutputFolder(layout, tuple(samples), tuple(one.stem for one in wanted), tuple(map(str, missing)), warnings)


def _incomplete(wanted: Sequence[_Wanted], missing: Sequence[_Place]) -> IncompleteError:
    """Told of the first folder that is not complete."""
    folder = missing[0].folder
    asked = sum(place.folder is folder for one in wanted for place in one.places)
    here = [str(place) for place in missing if place.folder is folder]
    verb = "is" if len(here) == 1 else "are"
    message = f"{folder.path}: {len(here)} of {asked} outputs {verb} missing: {some_names(here)}"
    return IncompleteError(message, tuple(map(str, missing)))


def _list_folder(path: Path, what: str) -> _Folder:
    try:
        names = [entry.name for entry in path.iterdir()]
    except FileNotFoundError:
        raise DataError(f"{path}: no such folder, expected {what} (npz)") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}, expected a folder of {what} (npz)") from None
    stems = _npz_stems(names)
    if not stems:
        raise DataError(f"{path}: no .npz file in it, expected {numbered(0)}.npz ... or <picture>.npz")
    return _Folder(path, stems, _npz_stems(recorded_outputs(path)))


def _npz_stems(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.removesuffix(_EXTENSION) for name in names if name.endswith(_EXTENSION))


def _stems_of_run(folder: _Folder, flips: _Folder | None, count_orphans: bool) -> tuple[list[str], bool]:
    """Without a datalist: the pictures that were run, sorted, and whether the run was to make flips beside them.

    count_orphans: also those of which the flip's output alone is there.
    """
    recorded = {stem for stem in folder.recorded if not _NUMBERED.fullmatch(stem)}
    known = folder.stems | recorded
    stems = {stem for stem in known if not is_flip(stem)}
    if flips is not None:
        stems |= {stem.removesuffix(FLIP_SUFFIX) for stem in flips.stems | flips.recorded}
    elif count_orphans:
        stems |= {stem.removesuffix(FLIP_SUFFIX) for stem in known if is_flip(stem)}
    return sorted(stems), any(map(is_flip, recorded))


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


def _by_number(
    folder: _Folder, flips: _Folder | None, listed: Datalist, pairs: Sequence[Pair], allow_missing: bool
) -> OutputFolder:
    if flips is not None:
        raise DataError(
            f"{folder.path}: numbered outputs (vamp), whose flips stand in the datalist; --output_flip {flips.path} is "
            "for outputs with the pictures' names"
        )

    def place(line: int) -> _Place:
        return _Place(folder, numbered(line), listed.stems[line])

    wanted = [_Wanted(pair.stem, place(pair.line), None if pair.flip is None else place(pair.flip)) for pair in pairs]
    return _found("vamp", wanted, allow_missing, _check_surplus(folder, listed))


def _check_surplus(folder: _Folder, listed: Datalist) -> tuple[str, ...]:
    """More outputs than lines: a remark, but an error where the list must be that of another run."""
    found = sum(1 for stem in folder.stems if _NUMBERED.fullmatch(stem))
    if found <= len(listed):
        return ()
    what = f"{folder.path}: {found} numbered outputs, but {listed.path} has {len(listed)} lines"
    if found == 2 * len(listed) and not any(map(is_flip, listed.stems)):
        raise DataError(f"{what} and no flips, expected the list of the run, which numbers the outputs")
    return (f"{what}: outputs from {numbered(len(listed))}.npz on are left out",)


def _flips_by_name(
    folder: _Folder, flips: _Folder | None, stems: Sequence[str], promised: bool, allow_missing: bool
) -> dict[str, _Place]:
    """The flips' places: of all pictures, or none where there are none and nothing promises any."""
    if flips is not None:
        return _flips_in_second_folder(folder, flips, stems)
    if not allow_missing:
        _refuse_orphans(folder)
    names = [stem + FLIP_SUFFIX for stem in stems]
    if not promised and folder.stems.isdisjoint(names):
        return {}
    return {stem: _Place(folder, name) for stem, name in zip(stems, names, strict=True)}


def _flips_in_second_folder(folder: _Folder, flips: _Folder, stems: Sequence[str]) -> dict[str, _Place]:
    if folder.path.samefile(flips.path):
        raise DataError(f"{flips.path}: also the folder of the pictures' outputs, expected one of the flips' outputs")
    there = flips.stems | flips.recorded
    names = [stem if stem in there or stem + FLIP_SUFFIX not in there else stem + FLIP_SUFFIX for stem in stems]
    return {stem: _Place(flips, name) for stem, name in zip(stems, names, strict=True)}


def _refuse_orphans(folder: _Folder) -> None:
    flips = filter(is_flip, folder.stems)
    orphans = sorted(flip for flip in flips if flip.removesuffix(FLIP_SUFFIX) not in folder.stems)
    if orphans:
        picture = orphans[0].removesuffix(FLIP_SUFFIX) + _EXTENSION
        raise DataError(
            f"{folder.path / orphans[0]}{_EXTENSION}: the output of a flip, but {picture}, that of its picture, is not "
            f"there ({len(orphans)} such files)"
        )
