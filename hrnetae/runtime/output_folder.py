"""The folder that a run's outputs go to: which of those that are there it keeps, and which go before it begins."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from hrnetae.files.run_record import (
    RunRecord,
    check_record,
    check_verb,
    input_identity,
    is_record_of,
    recorded_outputs,
    write_record,
)

_TO_GO = ""  # in the record, in place of an output's input: removed, or about to be


class OutputFolder:
    """A folder and the outputs that a run is to have there. The run holds its lock (files/lock.py) all the while.

    inputs: the input of each output, by the output's file name. grows: runs alike may share the folder, each with
    inputs of its own, as where outputs go by name; else its outputs are those of one run.
    stale: names of the outputs of an earlier run that would lie there as if they were of this one.
    Nothing is written before ``claim``. Errors: DataError for a folder of another driver's outputs.
    """

    def __init__(self, path: Path, record: RunRecord, inputs: Mapping[str, Path], grows: bool = False) -> None:
        check_verb(path, record.verb)
        self.path = path
        self._record = record
        # Taken now: an input that is changed while the run goes on differs from its record, and is run again later.
        self._inputs = {name: input_identity(source) for name, source in inputs.items()}
        others = {name: source for name, source in recorded_outputs(path).items() if name not in self._inputs}
        alike = grows and is_record_of(path, record)
        self._kept = {name: source for name, source in others.items() if alike and source != _TO_GO}
        self.stale = tuple(name for name in sorted(others.keys() - self._kept) if (path / name).exists())

    def unfinished(self, is_whole: Callable[[Path], bool]) -> list[int]:
        """Which outputs, by their number in ``inputs``, are not there whole, or were made from another input.

        is_whole: of an output that is there or not. Errors: DataError for a folder that a run with another network or
        preprocessing left.
        """
        check_record(self.path, self._record)
        made_from = recorded_outputs(self.path)
        return [
            number
            for number, (name, source) in enumerate(self._inputs.items())
            if source is None or made_from.get(name) != source or not is_whole(self.path / name)
        ]

    def claim(self, todo: Collection[str]) -> None:
        """From here on the folder is this run's: stale outputs and those that would be written over go first.

        Otherwise an interrupted run would leave outputs of two kinds under names that look alike. A run that is killed
        while they go leaves a record that tells what was to go, so that the next one can finish it.
        todo: names of the outputs that are going to be made.
        """
        made_from = self._kept | {name: source for name, source in self._inputs.items() if source is not None}
        going = [name for name in (*self.stale, *todo) if (self.path / name).exists()]
        if going:
            write_record(self.path, self._record, made_from | dict.fromkeys(going, _TO_GO))
        for name in going:
            (self.path / name).unlink(missing_ok=True)
        write_record(self.path, self._record, made_from)

    @property
    def warnings(self) -> tuple[str, ...]:
        """One line where outputs are going to be removed that this run does not make anew."""
        if not self.stale:
            return ()
        return (f"{self.path}: {len(self.stale)} outputs of an earlier run are removed ({self.stale[0]} ...)",)
