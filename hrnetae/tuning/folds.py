"""Folds over pictures: what is found in one picture hangs together, so that a picture is never in two folds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def folds_of(pictures: int, folds: int, seed: int) -> NDArray[np.int64]:
    """(pictures,) the fold of each, drawn at random; the folds' sizes differ by one at most.

    Errors: ValueError for fewer than two folds, or fewer pictures than folds.
    """
    if not 2 <= folds <= pictures:
        raise ValueError(f"folds: {folds}, expected from 2 to the number of pictures ({pictures})")
    return np.random.default_rng(seed).permutation(np.arange(pictures) % folds)


def sieve_of(pictures: int, seed: int) -> NDArray[np.bool_]:
    """(pictures,) the fifth of the pictures, or 400 if that is more, on which settings are tried first."""
    chosen = np.zeros(pictures, bool)
    chosen[np.random.default_rng([seed, 1]).permutation(pictures)[: max(400, pictures // 5)]] = True
    return chosen
