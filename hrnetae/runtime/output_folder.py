"""The folder that a run's outputs go to: which of those that are there it keeps, and which go before it begins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hrnetae.files.npz import ReadBuffer
from hrnetae.files.run_record import (
    RunRecord,
    check_record,
    input_identity,
    is_record_of,
    recorded_outputs,
    write_record,
)
from hrnetae.runtime.outputs import is_finished
from hrnetae.runtime.sessions import Tensor


class OutputFolder:
    """A folder and the outputs that a run is to have there.

    inputs: the input of each output, by the output's file name. grows: runs alike may share the folder, each with
    inputs of its own, as where outputs go by name; else its outputs are those of one run.
    stale: names of the outputs of an earlier run that would lie there as if they were of this one.
    Nothing is written before ``claim``.
    """

    def __init__(self, path: Path, record: RunRecord, inputs: Mapping[str, Path], grows: bool = False) -> None:
        self.path = path
        self._record = record
        # Taken now: an input that is changed while the run goes on differs from its record, and is run again later.
        self._inputs = {name: input_identity(source) for name, source in inputs.items()}
        earlier = recorded_outputs(path)
        others = {name: source for name, source in earlier.items() if name not in self._inputs}
        self._kept = others if grows and is_record_of(path, record) else {}
        self.stale = tuple(name for name in sorted(others.keys() - self._kept) if (path / name).exists())

    def unfinished(self, outputs: Sequence[Tensor], dtype: type[np.floating[Any]]) -> list[int]:
        """Which outputs, by their number in ``inputs``, are not there whole, or were made from another input.

        outputs: the network's. Errors: DataError for a folder that a run with another network or preprocessing left.
        """
        check_record(self.path, self._record)
        made_from, buffer = recorded_outputs(self.path), ReadBuffer()
        return [
            number
            for number, (name, source) in enumerate(self._inputs.items())
            if source is None
            or made_from.get(name) != source
            or not is_finished(self.path / name, outputs, dtype, buffer)
        ]

    def claim(self, todo: Iterable[Path]) -> None:
        """From here on the folder is this run's: stale outputs and those that would be written over go first.

        Otherwise an interrupted run would leave outputs of two kinds under names that look alike.
        """
        for path in (*(self.path / name for name in self.stale), *todo):
            path.unlink(missing_ok=True)
        made_from = {name: source for name, source in self._inputs.items() if source is not None}
        write_record(self.path, self._record, self._kept | made_from)

    @property
    def warnings(self) -> tuple[str, ...]:
        """One line where outputs are going to be removed that this run does not make anew."""
        if not self.stale:
            return ()
        return (f"{self.path}: {len(self.stale)} outputs of an earlier run are removed ({self.stale[0]} ...)",)
