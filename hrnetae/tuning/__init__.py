"""Parameters for a user's own network: searched on its outputs, judged on pictures that the search did not see.

`tune` is the whole of it: folds.py divides the pictures, space.py says what may change, search.py walks through it with
trials.py (a setting decoded and matched, on outputs.py's kept outputs, remembered by record.py), rescore.py and fit.py
fit the persons' scores, verdict.py says what it is worth.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hrnetae.evaluation.matches import ImageMatches
from hrnetae.params import DecodeParams
from hrnetae.tuning.folds import folds_of, sieve_of
from hrnetae.tuning.outputs import Outputs
from hrnetae.tuning.rescore import fit_rescoring, rescored
from hrnetae.tuning.search import search
from hrnetae.tuning.space import AXES, variant
from hrnetae.tuning.trials import Mask, Trials
from hrnetae.tuning.verdict import Verdict, judge

__all__ = ["Outputs", "Trials", "Tuning", "Verdict", "sieve_of", "tune"]


@dataclass(frozen=True)
class Tuning:
    """What came out.

    found: the best parameters over all pictures; params: these if the gain is significant, else the start.
    verdict: of pictures that the tuning did not see. contributions: parameter -> the AP, over all pictures, that is
    lost without it (rescoring left out on both sides; "rescoring": what it adds to these pictures, on which it was
    fitted).
    curves: parameter -> [(value, AP)] on the sieve's pictures, the rest as found but for the
    rescoring. settings: how many were tried.
    """

    params: DecodeParams
    found: DecodeParams
    verdict: Verdict
    contributions: Mapping[str, float]
    curves: Mapping[str, Sequence[tuple[Any, float]]]
    settings: int

    def to_dict(self) -> dict[str, Any]:
        """As plain values, without the curves."""
        return {
            "verdict": self.verdict.to_dict(),
            "found": self.found.to_dict(),
            "contributions": dict(self.contributions),
            "settings": self.settings,
        }


def tune(
    trials: Trials,
    start: DecodeParams | None = None,
    folds: int = 4,
    seed: int = 0,
    rounds: int = 1000,
    step: Callable[[str], None] | None = None,
    curves: bool = False,
) -> Tuning:
    """Search, judge, decide. The same seed gives the same answer, whatever the number of workers.

    trials: of the user's outputs. start: the parameters to better, the reference's if None. folds: 2 or more, at most
        as many as there are pictures. rounds: of the bootstrap. step: called with a line for each part of the work.
    curves: tries what these need, too.
    Errors: ValueError for folds, and for a start with a rescoring; DataError as reading and evaluating have it.
    """
    start = DecodeParams() if start is None else start
    if start.rescoring is not None:
        raise ValueError("start: has a rescoring, expected none: it may have been fitted on these pictures")
    tell = step or (lambda line: None)
    fold_of = folds_of(len(trials.outputs), folds, seed)
    tested, apart = [fold_of == fold for fold in range(folds)], []
    for fold, pictures in enumerate(tested):
        tell(f"fold {fold + 1} of {folds}")
        found = _tuned(trials, start, ~pictures, seed)
        apart.append(_matches(trials, found))
    tell("all pictures")
    everything = np.ones(len(trials.outputs), bool)
    found = _tuned(trials, start, everything, seed)
    tell("bootstrap")
    verdict = judge(trials, trials.matches(start), apart, tested, rounds, seed)
    tell("contributions")
    contributions = _contributions(trials, start, found, everything)
    settings = len(trials.settings)
    return Tuning(
        params=found if verdict.significant else start,
        found=found,
        verdict=verdict,
        contributions=contributions,
        curves=_curves(trials, found, everything) if curves else {},
        settings=settings,
    )


def _tuned(trials: Trials, start: DecodeParams, training: Mask, seed: int) -> DecodeParams:
    found = search(trials, start, training)
    if found.score_per_joint:
        return found
    rescoring = fit_rescoring(trials, trials.persons(found), training, seed)
    return dataclasses.replace(found, rescoring=rescoring)


def _matches(trials: Trials, params: DecodeParams) -> ImageMatches:
    """Of what was fitted for a fold; not remembered, since nobody else will ask."""
    persons = trials.persons(params)
    return rescored(trials, persons, persons.results.scores)


def _contributions(trials: Trials, start: DecodeParams, found: DecodeParams, pictures: Mask) -> dict[str, float]:
    bare = dataclasses.replace(found, rescoring=None)
    whole = trials.ap(bare, pictures)
    lost = {}
    for axis in AXES:
        if getattr(found, axis.name) != getattr(start, axis.name):
            without = dataclasses.replace(bare, **{axis.name: getattr(start, axis.name)})
            lost[axis.name] = whole - trials.ap(without, pictures)
    if found.rescoring is not None:
        lost["rescoring"] = trials.ap(found, pictures) - whole
    return lost


def _curves(trials: Trials, found: DecodeParams, pictures: Mask) -> dict[str, list[tuple[Any, float]]]:
    """On the sieve's pictures: the shape of a curve needs no more."""
    bare = dataclasses.replace(found, rescoring=None)
    curves = {}
    for axis in AXES:
        values = list(axis.coarse)
        own = getattr(bare, axis.name)
        if own not in values:
            values = sorted([*values, own])
        settings = [(value, variant(bare, axis.name, value)) for value in values]
        curve = [(value, trials.ap(one, pictures, whole=False)) for value, one in settings if one is not None]
        if len(curve) > 1:
            curves[axis.name] = curve
    return curves
