"""Which pictures to look at: those that lose most, those that lose most by each kind of error, and typical ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hrnetae.evaluation.findings import (
    ERROR_KINDS,
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    GOOD,
    JOINT_KINDS,
    SCORE,
    UNLABELLED,
    PersonFinding,
    PictureFinding,
)
from hrnetae.evaluation.matching import Matching
from hrnetae.evaluation.oks import Doubles, Whole
from hrnetae.evaluation.sides import Sides
from hrnetae.evaluation.taxonomy import JointFindings

WORST, TYPICAL = "worst", "typical"


@dataclass(frozen=True, eq=False)
class _Account:
    """What every picture, person and joint has on it, before any is chosen.

    truth_loss: (G,), found_loss: (D,), picture_loss: (I,) as `PictureFinding.loss`. counts: (I, kinds) as ERROR_KINDS.
    """

    sides: Sides
    matching: Matching
    joints: JointFindings
    truth_loss: Doubles
    found_loss: Doubles
    picture_loss: Doubles
    counts: Whole


def gallery_of(
    sides: Sides, matching: Matching, joints: JointFindings, images: Sequence[Mapping[str, Any]], size: int
) -> tuple[PictureFinding, ...]:
    """About ``size`` pictures: a third the worst, a third the worst of each kind, the rest typical ones.

    images: the ground truth's entries, for the names.
    """
    account = _account(sides, matching, joints)
    names = {image["id"]: str(image.get("file_name", image["id"])) for image in images}
    reasons = _choose(account, size)
    typical = [i for i, why in reasons.items() if why == [TYPICAL]]
    worst = sorted((i for i in reasons if i not in set(typical)), key=lambda i: (-account.picture_loss[i], i))
    return tuple(
        _picture(account, i, names.get(int(sides.image_ids[i]), str(sides.image_ids[i])), reasons[i])
        for i in [*worst, *typical]
    )


def _account(sides: Sides, matching: Matching, joints: JointFindings) -> _Account:
    images = len(sides.image_ids)
    truth_loss = np.ones(len(matching.found))
    truth_loss[joints.truth] = 1 - matching.oks[joints.found]
    truth_loss = np.where(sides.truths.ignored, 0.0, truth_loss)
    scores = sides.founds.scores
    share = np.searchsorted(np.sort(scores), scores, side="right") / max(1, len(scores))
    wrong = matching.false_positives
    found_loss = np.where(wrong, share, 0.0)
    truth_images, found_images = sides.truth_images, sides.found_images
    missed = (matching.found < 0) & ~sides.truths.ignored
    per_kind = {
        SCORE: np.bincount(truth_images[matching.outscored], minlength=images),
        FALSE_POSITIVE: np.bincount(found_images[wrong], minlength=images),
        FALSE_NEGATIVE: np.bincount(truth_images[missed], minlength=images),
    }
    for number, kind in enumerate(JOINT_KINDS):
        many = np.count_nonzero(joints.kind == number, axis=1)
        per_kind[kind] = np.bincount(found_images[joints.found], many, images).astype(np.int64)
    loss = np.zeros(images)
    np.add.at(loss, truth_images, truth_loss)
    np.add.at(loss, found_images, found_loss)
    counts = np.stack([per_kind[kind] for kind in ERROR_KINDS], axis=1)
    return _Account(sides, matching, joints, truth_loss, found_loss, loss, counts)


def _choose(account: _Account, size: int) -> dict[int, list[str]]:
    """Pictures and why they are chosen."""
    reasons: dict[int, list[str]] = {}
    third = max(1, size // 3) if size else 0
    by_loss = np.argsort(-account.picture_loss, kind="stable")
    for i in by_loss[:third].tolist():
        if account.picture_loss[i] > 0:
            reasons.setdefault(i, []).append(WORST)
    each = -(-third // len(ERROR_KINDS))
    for number, kind in enumerate(ERROR_KINDS):
        many = account.counts[:, number]
        order = np.lexsort((-account.picture_loss, -many))
        for i in order[:each].tolist():
            if many[i]:
                reasons.setdefault(i, []).append(kind)
    for i in _typical(account, max(0, min(third, size - len(reasons))), set(reasons)):
        reasons[i] = [TYPICAL]
    return reasons


def _typical(account: _Account, count: int, taken: set[int]) -> list[int]:
    """Pictures with persons in them whose loss is next to the median of those."""
    peopled = np.flatnonzero(
        np.bincount(account.sides.truth_images[~account.sides.truths.ignored], minlength=len(account.picture_loss))
    )
    if not len(peopled):
        return []
    loss = account.picture_loss[peopled]
    nearest = peopled[np.argsort(np.abs(loss - np.median(loss)), kind="stable")].tolist()
    return [i for i in nearest if i not in taken][:count]


def _picture(account: _Account, i: int, file_name: str, reasons: Sequence[str]) -> PictureFinding:
    there, here = account.sides.there.start, account.sides.here.start
    truths = [g for g in range(there[i], there[i + 1]) if not account.sides.truths.ignored[g]]
    wrong = [d for d in range(here[i], here[i + 1]) if account.matching.false_positives[d]]
    persons = [(account.truth_loss[g], _annotated(account, g)) for g in truths]
    persons += [(account.found_loss[d], _false_positive(account, d)) for d in wrong]
    return PictureFinding(
        image_id=int(account.sides.image_ids[i]),
        file_name=file_name,
        reasons=tuple(reasons),
        loss=float(account.picture_loss[i]),
        annotated=len(truths),
        counts=dict(zip(ERROR_KINDS, account.counts[i].tolist(), strict=True)),
        persons=tuple(person for _, person in sorted(persons, key=lambda entry: -entry[0])),
    )


def _annotated(account: _Account, g: int) -> PersonFinding:
    found = int(account.matching.found[g])
    annotation = int(account.sides.annotation_ids[g])
    if found < 0:
        return PersonFinding(annotation, None, 0.0, None, (FALSE_NEGATIVE,), ())
    codes = account.joints.kind[np.searchsorted(account.joints.found, found)].tolist()
    names = tuple(UNLABELLED if code < 0 else JOINT_KINDS[code] for code in codes)
    wrong = {name for name in names if name not in (UNLABELLED, GOOD)}
    if account.matching.outscored[g]:
        wrong.add(SCORE)
    return PersonFinding(
        annotation_id=annotation,
        found=int(account.sides.rows[found]),
        oks=float(account.matching.oks[found]),
        score=float(account.sides.founds.scores[found]),
        kinds=tuple(kind for kind in ERROR_KINDS if kind in wrong),
        joints=names,
    )


def _false_positive(account: _Account, d: int) -> PersonFinding:
    best, score = float(account.matching.best[d]), float(account.sides.founds.scores[d])
    return PersonFinding(None, int(account.sides.rows[d]), best, score, (FALSE_POSITIVE,), ())
