"""A person's score learnt from what the decoder knows of it: a logistic model, kept as plain numbers.

The reference scores a person by the mean of its joints' heat. How likely a found person is right also hangs on how many
joints were found and how many filled in, how well their tags agree, how large it is and whom it overlaps. The features
are computed by the kernels (csrc/features.c); the weights are fitted by ``hrnetae tune``.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# In the order of the kernels. Values are heats; K joints; sizes relative to the picture's longer side; logs natural.
FEATURES = (
    "mean",  # of the found joints' values, over all K
    "mean_found",  # over the found ones
    "geometric",  # sqrt(mean * mean_found)
    "log_mean",
    "log_mean_found",
    "highest",
    "lowest",
    "found",  # share of K
    "log_found",
    "filled",  # share of K that refine filled in
    "mean_filled",
    "tag_spread",
    "log_extent",  # of all joints' box
    "log_found_extent",
    "log_shape",  # height / width
    "log_persons",  # in the picture
    "overlap",  # highest similarity with another person
    "better_overlap",  # with one of a higher mean
    "lead",  # mean less that of the person most alike
    "log_tag_distance",  # from the nearest person's mean tag
    "placed",  # mean over all K of all values
    "log_placed",
)


def _is_finite(value: numbers.Real) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an int beyond all floats
        return False


@dataclass(frozen=True)
class Rescoring:
    """score = 1 / (1 + exp(-(bias + sum of weight * feature))).

    bias: a number. weights: one for each of FEATURES, in their order.
    """

    bias: float
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", tuple(self.weights))
        if len(self.weights) != len(FEATURES):
            raise ValueError(f"weights: {len(self.weights)} numbers, expected {len(FEATURES)}")
        for name, value in zip(("bias", *FEATURES), self.numbers(), strict=True):
            if isinstance(value, bool) or not isinstance(value, numbers.Real) or not _is_finite(value):
                raise ValueError(f"{name}: {value!r}, expected a finite number")
        # Whole numbers beyond 2**53 would not be the same after to_dict.
        object.__setattr__(self, "bias", float(self.bias))
        object.__setattr__(self, "weights", tuple(map(float, self.weights)))

    def numbers(self) -> Iterator[float]:
        """The bias, then the weights."""
        yield self.bias
        yield from self.weights

    def to_dict(self) -> dict[str, float]:
        """By name, as plain values."""
        return dict(zip(("bias", *FEATURES), map(float, self.numbers()), strict=True))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Rescoring:
        """The inverse of `to_dict`. ValueError for names that are missing or unknown."""
        expected = ("bias", *FEATURES)
        wrong = sorted(set(expected) ^ set(values))
        if wrong:
            raise ValueError(
                f"{wrong[0]}: {'unknown' if wrong[0] in values else 'missing'}, expected {len(expected)} "
                "numbers: bias and a weight for each feature"
            )
        return cls(values["bias"], tuple(values[name] for name in FEATURES))
