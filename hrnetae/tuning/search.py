"""Parameter by parameter: the value with the best AP over the training pictures is kept, then the next parameter.

A setting that does clearly worse than the best so far on the sieve's pictures is not tried on the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hrnetae.params import DecodeParams
from hrnetae.tuning.space import AXES, Axis, variant
from hrnetae.tuning.trials import Mask, Trials

# A change must be worth this much AP: less would follow the noise of the training pictures.
LEAST_GAIN = 0.0005
# A setting that is this much worse on the sieve's pictures is hopeless.
_HOPELESS = 0.01


def search(trials: Trials, start: DecodeParams, training: Mask, axes: Sequence[Axis] = AXES) -> DecodeParams:
    """The best setting found for the pictures of ``training`` (N,) bool, from ``start`` on."""
    best = start
    for axis in axes:
        best = _along(trials, best, training, axis)
    return best


def _along(trials: Trials, start: DecodeParams, training: Mask, axis: Axis) -> DecodeParams:
    own = getattr(start, axis.name)
    tried: dict[Any, float] = {own: trials.ap(start, training)}
    waiting = [value for value in axis.coarse if value != own]
    while waiting:
        best = _best(tried, own)
        for value in waiting:
            setting = variant(start, axis.name, value)
            incumbent = variant(start, axis.name, best)
            tried[value] = -1.0
            if setting is not None and incumbent is not None and not _is_hopeless(trials, setting, incumbent, training):
                tried[value] = trials.ap(setting, training)
        waiting = [value for value in axis.between(list(tried), _best(tried, own)) if value not in tried]
    return variant(start, axis.name, _best(tried, own)) or start


def _best(tried: dict[Any, float], own: Any) -> Any:
    best = max(tried, key=lambda value: tried[value])
    return best if tried[best] >= tried[own] + LEAST_GAIN else own


def _is_hopeless(trials: Trials, setting: DecodeParams, incumbent: DecodeParams, training: Mask) -> bool:
    if trials.sieve.all():
        return False
    best = trials.ap(incumbent, training, whole=False)
    return trials.ap(setting, training, whole=False) < best - _HOPELESS
