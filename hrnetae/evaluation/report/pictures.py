"""The gallery of an evaluation's report: the worst and typical pictures, with ground truth and found people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hrnetae.evaluation.findings import ERROR_KINDS, FALSE_NEGATIVE, FALSE_POSITIVE, PersonFinding, PictureFinding
from hrnetae.evaluation.ground_truth import GroundTruth
from hrnetae.evaluation.report.gallery import LAYERS, WEAK_LAYER, Card, Filter, View, embedded, gallery
from hrnetae.evaluation.report.kinds import JOINT_ERRORS, TITLES
from hrnetae.evaluation.report.markup import Child, element
from hrnetae.evaluation.report.overlay import WEAK, Drawn, image, overlay, without_faint
from hrnetae.evaluation.report.page import Section, details, number, section
from hrnetae.evaluation.results import Results
from hrnetae.files.datalist import stem_of
from hrnetae.skeleton import Skeleton

_CHOICES = (("worst", "Worst"), ("typical", "Typical"))


def gallery_section(
    findings: Sequence[PictureFinding],
    truth: GroundTruth,
    results: Results,
    picture_folder: Path | None,
    skeleton: Skeleton,
) -> Section:
    """All pictures of the gallery, with their filters. Where a picture is not at hand, the people stand on grey."""
    wanted = {person.annotation_id for one in findings for person in one.persons}
    annotations = {one["id"]: one for one in truth.dataset["annotations"] if one["id"] in wanted}
    uris = [embedded(None if picture_folder is None else picture_folder / Path(one.file_name).name) for one in findings]
    cards = [
        _card(finding, uri, truth, annotations, results, skeleton) for finding, uri in zip(findings, uris, strict=True)
    ]
    filters = (
        Filter("choice", "Show", _CHOICES),
        Filter("kinds", "With", [(kind, TITLES[kind]) for kind in ERROR_KINDS]),
    )
    absent = uris.count(None)
    note = f" {absent} of {len(uris)} pictures were not at hand: their people stand on grey." if absent else ""
    return section(
        "Pictures",
        gallery(cards, filters, (*LAYERS, WEAK_LAYER)) if cards else element("p", "There are none."),
        intro="Green: the ground truth. Orange and blue: left and right joints of the people found. Red: from a wrong "
        "joint to where it should be; dashed: a person who was not found, or who is nobody (strangers with a score "
        f"below {WEAK} are hidden at first). Choosing a kind brings the pictures with most of it to the front. A "
        "click enlarges a picture; the arrow keys then go on to the next."
        f"{note}",
    )


def _card(
    finding: PictureFinding,
    uri: str | None,
    truth: GroundTruth,
    annotations: Mapping[int, Mapping[str, Any]],
    results: Results,
    skeleton: Skeleton,
) -> Card:
    size = truth.picture(stem_of(finding.file_name)).size
    picture = None if uri is None else image(uri, size)
    annotated, found = _people(finding.persons, annotations, results, skeleton)
    drawing = overlay(size, picture, annotated, found, _told(finding), skeleton)
    kinds = [kind for kind in ERROR_KINDS if finding.counts.get(kind)]
    choices = [value for value, _ in _CHOICES if (value == "typical") == ("typical" in finding.reasons)]
    return Card(
        title=finding.file_name,
        views=(View(drawing, size),),
        words=_words(finding, kinds, skeleton),
        values={"choice": choices, "kinds": kinds},
        ranks={kind: finding.counts[kind] for kind in kinds},
    )


def _people(
    persons: Sequence[PersonFinding],
    annotations: Mapping[int, Mapping[str, Any]],
    results: Results,
    skeleton: Skeleton,
) -> tuple[list[Drawn], list[Drawn]]:
    """The annotated ones and the found ones. The worst come last, on top."""
    annotated, found = [], []
    for place, person in reversed(list(enumerate(persons, 1))):
        words = f"{place}: {_person_in_words(person, skeleton)}"
        labelled = None
        if person.annotation_id is not None:
            labelled = np.array(annotations[person.annotation_id]["keypoints"], np.float64).reshape(-1, 3)
            annotated.append(Drawn(labelled, words, boxed=person.found is None))
        if person.found is not None:
            points = np.asarray(results.keypoints[person.found], np.float64)
            offsets: dict[int, tuple[float, float]] = {}
            if labelled is not None:
                wrong = [joint for joint, kind in enumerate(person.joints) if kind in JOINT_ERRORS]
                offsets = {joint: (float(labelled[joint, 0]), float(labelled[joint, 1])) for joint in wrong}
            is_stranger = labelled is None
            weak = is_stranger and (person.score or 0.0) < WEAK
            found.append(Drawn(without_faint(points), words, offsets, is_stranger, weak))
    return annotated, found


def _told(finding: PictureFinding) -> str:
    found = sum(person.found is not None for person in finding.persons)
    return f"{finding.file_name}: {finding.annotated} annotated, {found} found"


def _words(finding: PictureFinding, kinds: Sequence[str], skeleton: Skeleton) -> Child:
    found = sum(person.found is not None for person in finding.persons)
    counts = [element("li", f"{TITLES[kind]} {finding.counts[kind]}") for kind in kinds]
    persons = [element("li", _person_in_words(person, skeleton)) for person in finding.persons]
    return (
        element("p", f"{finding.annotated} annotated, {found} found, loss {number(finding.loss, 2)}"),
        element("ul", counts, class_="kinds") if counts else None,
        details("Persons", element("ol", persons)) if persons else None,
    )


def _person_in_words(person: PersonFinding, skeleton: Skeleton) -> str:
    if FALSE_NEGATIVE in person.kinds and person.found is None:
        return "not found"
    if FALSE_POSITIVE in person.kinds and person.annotation_id is None:
        return f"false positive, score {number(person.score, 2)}, OKS {number(person.oks, 2)} at best"
    joints: dict[str, list[str]] = {}
    for joint, kind in enumerate(person.joints):
        if kind in JOINT_ERRORS:
            joints.setdefault(kind, []).append(skeleton.joints[joint].replace("_", " "))
    told = [f"{TITLES[kind].lower()}: {', '.join(names)}" for kind, names in joints.items()]
    told += [f"{TITLES[kind].lower()} error" for kind in person.kinds if kind not in joints]
    errors = "; ".join(told) or "no error"
    return f"OKS {number(person.oks, 2)}, score {number(person.score, 2)}, {errors}"
