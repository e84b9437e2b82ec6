"""Which parameters are searched, in which order, and which of their values are tried: first coarse ones, then nearer.

The order is that of what a parameter was seen to be worth on real outputs (docs/tuning.md).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from hrnetae.params import DecodeParams


@dataclass(frozen=True)
class Axis:
    """A parameter. coarse: values to try. finest: how near to the best value so far others are tried, by halving the
    distance to its neighbours; 0: the coarse values are all there are."""

    name: str
    coarse: tuple[Any, ...]
    finest: float = 0.0

    def between(self, tried: list[Any], best: Any) -> list[Any]:
        """The middles between the best of the tried values and its neighbours, where these lie far enough apart."""
        if not self.finest:
            return []
        ordered = sorted(set(tried))
        at = ordered.index(best)
        neighbours = ordered[max(0, at - 1) : at] + ordered[at + 1 : at + 2]
        return [round((best + near) / 2, 6) for near in neighbours if abs(best - near) >= 2 * self.finest]


AXES = (
    Axis("detection_threshold", (0.05, 0.1, 0.15, 0.2, 0.3, 0.4), 0.0125),
    Axis("second_pass", (False, True)),
    Axis("subpixel", ("quarter", "fit")),
    Axis("person_score", ("mean", "geometric", "found")),
    Axis("tag_threshold", (0.5, 0.7, 1.0, 1.5), 0.05),
    Axis("tag_window", (1, 3, 5, 9)),
    Axis("nms_kernel", (3, 5, 7, 11)),
    Axis("max_num_people", (10, 20, 30)),
    Axis("exact_geometry", (False, True)),
    Axis("filled_floor", (0.0, 0.01, 0.03)),
    Axis("suppress_oks", (1.0, 0.9, 0.7)),
)


def variant(params: DecodeParams, name: str, value: Any) -> DecodeParams | None:
    """``params`` with one value changed; None where that does not go with the rest (UDP, mmpose1)."""
    try:
        return dataclasses.replace(params, **{name: value})
    except ValueError:
        return None
