"""How the kinds of error are named, explained and coloured in reports."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hrnetae.evaluation.findings import (
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    GOOD,
    INVERSION,
    JITTER,
    MISS,
    SCORE,
    SWAP,
    UNLABELLED,
)

JOINT_ERRORS = (JITTER, INVERSION, SWAP, MISS)

TITLES: Mapping[str, str] = MappingProxyType(
    {
        GOOD: "Good",
        JITTER: "Jitter",
        INVERSION: "Inversion",
        SWAP: "Swap",
        MISS: "Miss",
        SCORE: "Score",
        FALSE_POSITIVE: "False positive",
        FALSE_NEGATIVE: "False negative",
        UNLABELLED: "Unlabelled",
    }
)

MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        JITTER: "a joint near its place, but not on it",
        INVERSION: "a joint on the place of its mirror image in the same person: the left knee on the right one",
        SWAP: "a joint on the place of the same joint, or of its mirror image, in another person",
        MISS: "a joint near none of these places",
        SCORE: "a found person whose score is below that of a false positive on the same annotated one",
        FALSE_POSITIVE: "a found person who is nobody, or somebody who was found already",
        FALSE_NEGATIVE: "a person whom nobody found",
    }
)

TONES: Mapping[str, str] = MappingProxyType({JITTER: "tone-1", INVERSION: "tone-2", SWAP: "tone-4", MISS: "tone-5"})
