"""Trials on disk, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from hrnetae.evaluation.matches import ImageMatches
from hrnetae.files.atomic import atomic_write, remove_leftovers
from hrnetae.files.errors import DataError
from hrnetae.files.npz import write_arrays
from hrnetae.params import DecodeParams

_MARK = "run.json"


@dataclass(frozen=True)
class Record:
    """A folder with a file for each trial.

    folder: made by `open`. A file that cannot be read is tried again.
    """

    folder: Path

    @classmethod
    def open(cls, folder: Path, run: dict[str, object], resume: bool) -> Record:
        """run: what the trials are of; a folder of another run is not gone on with. Nobody else has it open (a lock).

        Errors: DataError for a folder of another run, or, without ``resume``, for one that is there at all.
        """
        mark = folder / _MARK
        if folder.is_dir():
            remove_leftovers(folder)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            if not mark.is_file():
                raise DataError(f"{folder}: not a folder of trials, expected none or one of an earlier run")
            if not resume:
                raise DataError(f"{folder}: trials of a run that was stopped, expected --resume, or no such folder")
            if _read(mark) != run:
                raise DataError(f"{folder}: trials of other outputs or ground truth, expected those of this run")
            return cls(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(mark) as handle:
            handle.write(json.dumps(run, indent=2).encode())
        return cls(folder)

    def find(self, params: DecodeParams, whole: bool) -> ImageMatches | None:
        """A trial of an earlier run."""
        try:
            with np.load(io.BytesIO(self._path(params, whole).read_bytes()), allow_pickle=False) as arrays:
                return ImageMatches(*(arrays[field.name] for field in fields(ImageMatches)))
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
            return None

    def keep(self, params: DecodeParams, whole: bool, matches: ImageMatches) -> None:
        """Write a trial, whole or not at all."""
        arrays = {field.name: getattr(matches, field.name) for field in fields(ImageMatches)}
        write_arrays(self._path(params, whole), arrays)

    def close(self) -> None:
        """Remove the trials: the run has come to its end. The mark goes last: what is left by a kill is still ours."""
        for path in self.folder.iterdir():
            if path.name != _MARK:
                path.unlink()
        shutil.rmtree(self.folder)

    def _path(self, params: DecodeParams, whole: bool) -> Path:
        text = json.dumps([params.to_dict(), whole], sort_keys=True)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.npz"


def _read(mark: Path) -> object:
    try:
        return json.loads(mark.read_text())
    except ValueError:
        return None
