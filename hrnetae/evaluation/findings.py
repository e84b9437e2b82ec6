"""What an error analysis finds, as plain numbers: frozen dataclasses that turn into JSON. `analysis.py` fills them.

Everywhere: scores, similarities (OKS), precision, recall and AP go from 0 to 1; an AP or AR of -1 says that nobody was
to be found, as in COCO's metrics; a mean over nothing is None. docs/errors.md explains each kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

GOOD, JITTER, INVERSION, SWAP, MISS = "good", "jitter", "inversion", "swap", "miss"
SCORE, FALSE_POSITIVE, FALSE_NEGATIVE = "score", "false_positive", "false_negative"

# How a labelled joint of a person that was found can be. UNLABELLED joints have no truth to compare with.
JOINT_KINDS = (GOOD, JITTER, INVERSION, SWAP, MISS)
UNLABELLED = "unlabelled"
# The kinds of error, in the order in which `Taxonomy.fixes` corrects them.
ERROR_KINDS = (MISS, SWAP, INVERSION, JITTER, SCORE, FALSE_POSITIVE, FALSE_NEGATIVE)


@dataclass(frozen=True)
class PrecisionRecall:
    """At one OKS threshold. precision: at each of `Curves.recalls`; ap: its mean; recall: the highest reached."""

    threshold: float
    precision: tuple[float, ...]
    ap: float
    recall: float


@dataclass(frozen=True)
class Curves:
    """recalls: 0, 0.01 ... 1. by_threshold: for OKS 0.50, 0.55 ... 0.95; their ``ap`` over threshold: the OKS curve."""

    recalls: tuple[float, ...]
    by_threshold: tuple[PrecisionRecall, ...]


@dataclass(frozen=True)
class JointErrors:
    """One joint, over all paired persons in which it is labelled.

    labelled: how many these are; good ... miss: how many of them are of which kind, which adds up to labelled.
    *_pixels: distance to the truth in pixels; *_scaled: the same divided by the square root of the person's area.
    mean_similarity: of exp(-d^2 / (2 area (2 sigma)^2)), the joint's part in OKS.
    """

    joint: str
    labelled: int
    good: int
    jitter: int
    inversion: int
    swap: int
    miss: int
    mean_pixels: float | None
    median_pixels: float | None
    p90_pixels: float | None
    mean_scaled: float | None
    median_scaled: float | None
    p90_scaled: float | None
    mean_similarity: float | None


@dataclass(frozen=True)
class Group:
    """Annotated persons that have something in common.

    name: to show. low, high: the range of what is common, low included, high not (None: no bound).
    persons: annotated ones in it. paired: how many of them were found at OKS 0.1 or more; mean_oks: of those.
    ap ... ar: as COCO's, of this group alone. Groups of nobody are kept.
    """

    name: str
    low: float
    high: float | None
    persons: int
    paired: int
    mean_oks: float | None
    ap: float
    ap50: float
    ap75: float
    ar: float


@dataclass(frozen=True)
class Grouping:
    """One way to sort the annotated persons. title, unit: to show.

    name: "coco_size", "size" (both by area; low and high are square roots of it), "crowding" (highest IoU with another
        person's box) or "visible_joints" (how many are labelled). The groups are disjoint.
    """

    name: str
    title: str
    unit: str
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class CalibrationBin:
    """Found persons of like score. low, high: lowest and highest score in it. persons: how many that count.

    mean_oks: of each one's best OKS with an annotated person (0 if none). precision50, precision75: the share that COCO
    counts as right at these OKS thresholds.
    """

    low: float
    high: float
    persons: int
    mean_score: float
    mean_oks: float
    precision50: float
    precision75: float


@dataclass(frozen=True)
class Calibration:
    """bins: equally many persons in each, by rising score. rank_correlation: Spearman's, of score and OKS; None where
    there are fewer than two persons or all are equal."""

    bins: tuple[CalibrationBin, ...]
    rank_correlation: float | None


@dataclass(frozen=True)
class Fix:
    """What correcting all errors of one kind is worth.

    kind: one of ERROR_KINDS. count: joints for the four kinds of joint error, persons for the others.
    alone_ap: the AP with this kind alone corrected; alone_gain: that less the AP as it is.
    ap: the AP with this kind and all before it in ERROR_KINDS corrected; gain: that less the AP of the step before.
    curves: the precision-recall curves that belong to ``ap``.
    """

    kind: str
    count: int
    alone_ap: float
    alone_gain: float
    ap: float
    gain: float
    curves: Curves


@dataclass(frozen=True)
class Taxonomy:
    """The errors by kind, after Ronchi and Perona, "Benchmarking and Error Diagnosis in Multi-Instance Pose
    Estimation", ICCV 2017.

    ap: as it is. fixes: one per ERROR_KINDS, in that order. rest: what is lacking to 1 when all are corrected;
    ap + the gains + rest = 1.
    labelled, good: labelled joints of paired persons, and those of them that need no correction.
    paired: persons found at OKS 0.1 or more. duplicates: how many of the false positives lie (OKS 0.1 or more) on a
    person that another one was paired with.
    """

    ap: float
    fixes: tuple[Fix, ...]
    rest: float
    labelled: int
    good: int
    paired: int
    duplicates: int


@dataclass(frozen=True)
class PersonFinding:
    """One person of a picture: annotated and found, annotated alone (false negative), or found alone (false positive).

    annotation_id: of the ground truth, None for a false positive. found: index into the results that were analysed,
    None for a false negative. oks: of the pair; for a false positive its best with anybody; 0 for a false negative.
    score: None for a false negative.
    kinds: the errors in it, as in ERROR_KINDS and that order. joints: per joint one of JOINT_KINDS or UNLABELLED;
    empty where there is no pair.
    """

    annotation_id: int | None
    found: int | None
    oks: float
    score: float | None
    kinds: tuple[str, ...]
    joints: tuple[str, ...]


@dataclass(frozen=True)
class PictureFinding:
    """One picture of the gallery.

    reasons: why it is there: "worst", "typical", or the ERROR_KINDS for which it is among the worst.
    loss: the sum of 1 - OKS over the annotated persons (1 for each false negative), and for each false positive the
        share of all found persons that score no higher.
    counts: errors by kind, all of ERROR_KINDS; joints or persons as in Fix.
    persons: by falling loss. Persons that do not count (crowds, no labelled joint) are not among them.
    """

    image_id: int
    file_name: str
    reasons: tuple[str, ...]
    loss: float
    annotated: int
    counts: Mapping[str, int]
    persons: tuple[PersonFinding, ...]


@dataclass(frozen=True)
class Analysis:
    """metrics: COCO's ten. images: pictures; annotated: persons that count in them; found: persons that count, which
    are at most 20 a picture. gallery: the worst pictures by falling loss, then typical ones."""

    metrics: Mapping[str, float]
    images: int
    annotated: int
    found: int
    curves: Curves
    joints: tuple[JointErrors, ...]
    groupings: tuple[Grouping, ...]
    calibration: Calibration
    taxonomy: Taxonomy
    gallery: tuple[PictureFinding, ...]

    def to_dict(self) -> dict[str, Any]:
        """All of it as dicts, lists and numbers that ``json.dumps`` takes."""
        plain = _plain(asdict(self))
        assert isinstance(plain, dict)
        return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(one) for one in value]
    return value
