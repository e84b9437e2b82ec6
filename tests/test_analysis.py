"""The analysis of errors: planted ones are found again, kind by kind, and cost what a formula says they cost."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from golden import SHARED
from planted import AREA, JOINTS, Planted, reach
from test_oks import random_case, truth_of

from hrnetae.evaluation.analysis import analyse
from hrnetae.evaluation.curves import rank_correlation
from hrnetae.evaluation.findings import ERROR_KINDS, JOINT_KINDS, Analysis, Fix
from hrnetae.evaluation.ground_truth import GroundTruth, load_ground_truth
from hrnetae.evaluation.groups import crowding
from hrnetae.evaluation.metrics import keypoint_metrics
from hrnetae.evaluation.results import Results
from hrnetae.evaluation.sides import sides_of
from hrnetae.files import DataError
from hrnetae.skeleton import COCO17, CROWDPOSE14

HUNDRED = (4,) * 25
THRESHOLDS = [0.5 + 0.05 * t for t in range(10)]


def analysed(planted: Planted, **options: Any) -> Analysis:
    return analyse(planted.truth(), planted.results(), planted.image_ids(), **options)


def fixes(analysis: Analysis) -> dict[str, Fix]:
    return {fix.kind: fix for fix in analysis.taxonomy.fixes}


def counts(analysis: Analysis) -> dict[str, int]:
    return {fix.kind: fix.count for fix in analysis.taxonomy.fixes}


def points_reached(recall: float) -> float:
    """The share of COCO's 101 recall points that are not above a recall."""
    return sum(number / 100 <= recall + 1e-12 for number in range(101)) / 101


def ap_when(oks_of_the_damaged: float, damaged: int, persons: int = 100) -> float:
    """AP where so many persons, who score below all others, have this OKS and all others 1."""
    right = [oks_of_the_damaged >= threshold - 1e-9 for threshold in THRESHOLDS]
    return sum(1.0 if one else points_reached(1 - damaged / persons) for one in right) / len(right)


def check_sum(analysis: Analysis) -> None:
    taxonomy = analysis.taxonomy
    assert taxonomy.ap == analysis.metrics["AP"]
    assert taxonomy.ap + sum(fix.gain for fix in taxonomy.fixes) + taxonomy.rest == pytest.approx(1, abs=1e-12)
    steps = [taxonomy.ap, *(fix.ap for fix in taxonomy.fixes)]
    for before, fix in zip(steps, taxonomy.fixes, strict=False):
        assert fix.gain == pytest.approx(fix.ap - before, abs=1e-12)
        assert fix.alone_gain == pytest.approx(fix.alone_ap - taxonomy.ap, abs=1e-12)
        assert np.mean([point.ap for point in fix.curves.by_threshold]) == pytest.approx(fix.ap, abs=1e-12)


# ------------------------------------------------------------------------------------------------ planted errors


def test_perfect_results_have_no_errors() -> None:
    analysis = analysed(Planted(HUNDRED))
    assert counts(analysis) == dict.fromkeys(ERROR_KINDS, 0)
    assert analysis.taxonomy.good == analysis.taxonomy.labelled == 100 * JOINTS
    assert analysis.taxonomy.rest == pytest.approx(0) and analysis.metrics["AP"] == pytest.approx(1)
    check_sum(analysis)


@pytest.mark.parametrize("seed", range(12))
def test_planted_errors_are_found_again_kind_by_kind(seed: int) -> None:
    rng = np.random.default_rng(seed)
    planted = Planted(tuple(rng.integers(1, 5, 12).tolist()), rng)
    expected: Counter[str] = Counter()
    by_joint: Counter[tuple[str, str]] = Counter()
    for key in planted.truths:
        if rng.random() < 0.1:
            del planted.founds[key]
            expected["false_negative"] += 1
            continue
        for joint in rng.permutation(planted.labelled(key))[: rng.integers(0, 6)].tolist():
            kind = plant(planted, rng, key, joint)
            expected[kind] += 1
            by_joint[COCO17.joints[joint], kind] += 1
    for picture in rng.integers(0, 12, 9).tolist():
        planted.stranger(picture, float(rng.random()))
        expected["false_positive"] += 1
    analysis = analysed(planted)
    assert counts(analysis) == {kind: expected[kind] for kind in ERROR_KINDS}
    for errors in analysis.joints:
        for kind in ("jitter", "inversion", "swap", "miss"):
            assert getattr(errors, kind) == by_joint[errors.joint, kind]
        assert errors.labelled == errors.good + errors.jitter + errors.inversion + errors.swap + errors.miss
    assert sum(errors.labelled for errors in analysis.joints) == analysis.taxonomy.labelled
    assert analysis.taxonomy.duplicates == 0
    check_sum(analysis)


def plant(planted: Planted, rng: np.random.Generator, key: tuple[int, int], joint: int) -> str:
    """An error of a random kind that this joint can have."""
    opposite = COCO17.flip_index[joint]
    others = [other for other in planted.truths if other[0] == key[0] and other != key]
    kind = str(rng.choice(("jitter", "inversion", "swap", "miss")))
    if kind == "inversion" and opposite != joint and opposite in planted.labelled(key):
        planted.invert(key, joint)
        return kind
    if kind == "swap" and others:
        other = others[int(rng.integers(len(others)))]
        places = [place for place in (joint, opposite) if place in planted.labelled(other)]
        if places:
            planted.swap(key, joint, other, places[-1])
            return kind
    if kind == "miss":
        planted.miss(key, joint)
        return kind
    planted.jitter(key, joint, float(rng.uniform(0.51, 0.84)))
    return "jitter"


def last(planted: Planted, many: int) -> list[tuple[int, int]]:
    """Those who score lowest."""
    return list(planted.truths)[-many:]


def only(analysis: Analysis, kind: str, before: float, after: float) -> None:
    """There are errors of this kind alone, and correcting it leads from one AP to another."""
    assert {name for name, count in counts(analysis).items() if count} == {kind}
    fix = fixes(analysis)[kind]
    assert analysis.metrics["AP"] == pytest.approx(before, abs=1e-9)
    assert fix.alone_ap == pytest.approx(after, abs=1e-9)
    assert fix.gain == pytest.approx(after - before, abs=1e-9) == pytest.approx(fix.alone_gain, abs=1e-9)
    assert analysis.taxonomy.rest == pytest.approx(1 - after, abs=1e-9)
    for other in analysis.taxonomy.fixes:
        assert other.kind == kind or other.gain == pytest.approx(0, abs=1e-9)
    check_sum(analysis)


@pytest.mark.parametrize("damaged", [1, 20])
def test_what_jitter_costs(damaged: int) -> None:
    planted = Planted(HUNDRED)
    for key in last(planted, damaged):
        for joint in range(JOINTS):
            planted.jitter(key, joint, 0.7)
    only(analysed(planted), "jitter", ap_when(0.7, damaged), ap_when(0.85, damaged))


@pytest.mark.parametrize("joints", [1, 4, 8])
def test_what_misses_cost(joints: int) -> None:
    planted = Planted(HUNDRED)
    left_over = 0.0
    for key in last(planted, 20):
        for joint in range(JOINTS - joints, JOINTS):
            planted.miss(key, joint)
    for joint in range(JOINTS - joints, JOINTS):  # a missed joint is similar to its place to some degree
        left_over += math.exp(-(30**2 + 30**2) / (2 * AREA * (2 * COCO17.sigmas[joint]) ** 2))
    before = (JOINTS - joints + left_over) / JOINTS
    after = (JOINTS - joints / 2) / JOINTS
    only(analysed(planted), "miss", ap_when(before, 20), ap_when(after, 20))


def test_what_inversions_cost() -> None:
    planted = Planted(HUNDRED)
    for key in last(planted, 20):
        for joint in range(5, JOINTS):
            planted.invert(key, joint)
    analysis = analysed(planted)
    assert counts(analysis)["inversion"] == 20 * 12
    only(analysis, "inversion", ap_when(5 / JOINTS, 20), 1.0)  # 60 pixels away the rest is below 0.001


def test_what_swaps_cost() -> None:
    planted = Planted(HUNDRED)
    for key in last(planted, 20):
        for joint in range(4):
            planted.swap(key, joint, (key[0], (key[1] + 1) % 4))
    only(analysed(planted), "swap", ap_when(13 / JOINTS, 20), 1.0)


def test_what_missing_persons_cost() -> None:
    planted = Planted(HUNDRED)
    for key in last(planted, 20):
        del planted.founds[key]
    only(analysed(planted), "false_negative", points_reached(0.8), 1.0)


def test_what_strangers_cost() -> None:
    planted = Planted(HUNDRED)
    for picture in range(10):
        planted.stranger(picture, 0.99)
    analysis = analysed(planted)
    fix = fixes(analysis)["false_positive"]
    assert fix.count == 10 and analysis.taxonomy.duplicates == 0
    assert analysis.metrics["AP"] == pytest.approx(100 / 110)
    assert fix.alone_gain == pytest.approx(10 / 110)
    # Better scores put strangers last, where they cost nothing: in the row of corrections that comes first.
    assert fixes(analysis)["score"].count == 0
    assert fixes(analysis)["score"].gain == pytest.approx(10 / 110) and fix.gain == pytest.approx(0)
    check_sum(analysis)


def test_what_wrong_scores_cost() -> None:
    planted = Planted(HUNDRED)
    for key in last(planted, 20):
        planted.copy(key, 0.95, similarity=0.62)
    analysis = analysed(planted)
    # At 0.5, 0.55 and 0.6 the copies are right and the persons themselves wrong, after all others; above, the copies
    # are 20 wrong ones before all.
    assert analysis.metrics["AP"] == pytest.approx((3 * 1.0 + 7 * 100 / 120) / 10)
    assert counts(analysis) == dict.fromkeys(ERROR_KINDS, 0) | {"score": 20, "false_positive": 20}
    assert analysis.taxonomy.duplicates == 20 and analysis.taxonomy.paired == 100
    assert fixes(analysis)["score"].alone_ap == pytest.approx(1)
    assert fixes(analysis)["false_positive"].alone_ap == pytest.approx(1)
    check_sum(analysis)


def test_a_copy_that_scores_lower_is_no_wrong_score() -> None:
    planted = Planted((2,))
    planted.copy((0, 1), 0.01, similarity=0.9)
    found = counts(analysed(planted))
    assert found["score"] == 0 and found["false_positive"] == 1


def test_the_best_scores_leave_copies_behind_everyone() -> None:
    planted = Planted(HUNDRED)
    for key in last(planted, 20):
        for joint in range(JOINTS):
            planted.jitter(key, joint, 0.7)
    for key in list(planted.truths)[:10]:
        planted.copy(key, 0.01, similarity=0.9)  # more similar to somebody than those 20
    analysis = analysed(planted)
    assert analysis.metrics["AP"] == pytest.approx(ap_when(0.7, 20))
    assert fixes(analysis)["score"].alone_gain == pytest.approx(0, abs=1e-12)
    check_sum(analysis)


def test_who_does_not_count_is_neither_error_nor_partner() -> None:
    planted = Planted((2, 2))
    truth = planted.truth()
    for annotation in truth.dataset["annotations"][1:2]:
        annotation["num_keypoints"] = 0
    analysis = analyse(truth, planted.results(), planted.image_ids())
    assert analysis.annotated == 3 and analysis.found == 4
    assert counts(analysis) == dict.fromkeys(ERROR_KINDS, 0)


def test_the_rest_is_what_corrections_leave() -> None:
    planted = Planted(HUNDRED)
    for key in last(planted, 20):
        for joint in range(JOINTS):
            planted.jitter(key, joint, 0.84)
    analysis = analysed(planted)
    assert analysis.taxonomy.rest == pytest.approx(2 / 10 * (1 - points_reached(0.8)))  # at 0.90 and 0.95


# ----------------------------------------------------------------------------------- against code written otherwise


def kind_of(truth: dict[str, Any], found: dict[str, Any], joint: int, others: list[dict[str, Any]]) -> str:
    """The definition, word by word, one joint at a time."""

    def similarity(person: dict[str, Any], place: int) -> float:
        x, y, v = person["keypoints"][3 * place : 3 * place + 3]
        dx, dy = found["keypoints"][3 * joint] - x, found["keypoints"][3 * joint + 1] - y
        spread = person["area"] + np.spacing(1)
        return math.exp(-(dx * dx + dy * dy) / (2 * spread * (2 * COCO17.sigmas[joint]) ** 2)) if v > 0 else 0.0

    if truth["keypoints"][3 * joint + 2] <= 0:
        return "unlabelled"
    if similarity(truth, joint) >= 0.85:
        return "good"
    flipped = COCO17.flip_index[joint]
    places = [("jitter", similarity(truth, joint))]
    places += [("inversion", similarity(truth, flipped))] if flipped != joint else []
    places += [("swap", similarity(other, place)) for other in others for place in (joint, flipped)]
    name, best = max(places, key=lambda place: place[1])
    return name if best >= 0.5 else "miss"


@pytest.mark.parametrize("seed", range(15))
def test_kinds_in_crowded_pictures_are_those_of_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images, annotations, found = random_case(rng, 17, (1,))
    annotations = [entry | {"id": number} for number, entry in enumerate(annotations, 1)]
    for entry in annotations:  # nearer to each other, so that all kinds come up
        entry["keypoints"] = [v if i % 3 == 2 else v / 4 for i, v in enumerate(entry["keypoints"])]
    for entry in found:
        entry["keypoints"] = [v if i % 3 == 2 else v / 4 for i, v in enumerate(entry["keypoints"])]
    truth, results = truth_of(images, annotations), Results.of_entries(found, 17)
    analysis = analyse(truth, results, images, gallery=1000)
    check_kinds(truth, results, analysis)
    assert analysis.metrics == keypoint_metrics(truth, results, images)


def check_kinds(truth: GroundTruth, results: Results, analysis: Analysis) -> int:
    by_id = {annotation["id"]: annotation for annotation in truth.dataset["annotations"]}
    checked = 0
    for picture in analysis.gallery:
        for person in picture.persons:
            if person.annotation_id is None or person.found is None:
                continue
            annotation, found = by_id[person.annotation_id], results[person.found]
            others = [
                one for one in by_id.values() if one["image_id"] == annotation["image_id"] and one is not annotation
            ]
            expected = tuple(kind_of(annotation, found, joint, others) for joint in range(JOINTS))
            assert person.joints == expected
            assert found["score"] == person.score
            checked += 1
    return checked


def test_crowding_is_the_overlap_of_boxes_as_pycocotools_has_it() -> None:
    from pycocotools import mask

    rng = np.random.default_rng(2)
    planted = Planted((5, 1, 3))
    truth = planted.truth()
    for annotation in truth.dataset["annotations"]:
        annotation["bbox"] = [*rng.uniform(0, 60, 2).tolist(), *rng.uniform(20, 80, 2).tolist()]
    sides = sides_of(truth, planted.results(), planted.image_ids(), COCO17)
    expected = []
    for picture in planted.image_ids():
        boxes = np.array([a["bbox"] for a in truth.dataset["annotations"] if a["image_id"] == picture])
        overlap = mask.iou(boxes, boxes, [0] * len(boxes))
        np.fill_diagonal(overlap, 0)
        expected += overlap.max(axis=1).tolist()
    assert crowding(sides) == pytest.approx(expected)


# ---------------------------------------------------------------------------------------------- groups, scores, joints


def groups_of(analysis: Analysis, name: str) -> dict[str, Any]:
    grouping = next(grouping for grouping in analysis.groupings if grouping.name == name)
    return {group.name: group for group in grouping.groups}


@pytest.mark.parametrize("seed", range(5))
def test_coco_s_sizes_are_its_metrics(seed: int) -> None:
    images, annotations, found = random_case(np.random.default_rng(100 + seed), 17, (1,))
    analysis = analyse(truth_of(images, annotations), Results.of_entries(found, 17), images)
    sizes = groups_of(analysis, "coco_size")
    for name, letter in (("medium", "m"), ("large", "l")):
        assert sizes[name].ap == pytest.approx(analysis.metrics[f"AP{letter}"], abs=1e-12)
        assert sizes[name].ar == pytest.approx(analysis.metrics[f"AR{letter}"], abs=1e-12)


def test_errors_stay_in_their_group() -> None:
    planted = Planted((2,) * 20)
    for number, key in enumerate(planted.truths):
        if number % 2:  # smaller, with few joints, and not found as they are
            planted.areas[key] = 40.0**2
            planted.truths[key][5:] = 0
            for joint in range(JOINTS):
                planted.founds[key][joint, 0] += reach(joint, 0.3, 40.0**2)
    for picture in range(20):
        planted.stranger(picture, 0.99)
    analysis = analysed(planted)
    sizes, joints = groups_of(analysis, "size"), groups_of(analysis, "visible_joints")
    assert (sizes["32 to 64"].persons, sizes["96 to 128"].persons) == (20, 20)
    assert sizes["32 to 64"].ap == joints["1 to 5"].ap == 0
    assert sizes["32 to 64"].mean_oks == pytest.approx(0.3, abs=0.02)
    assert sizes["96 to 128"].ap == pytest.approx(1) == joints["16 to 17"].ap  # strangers are in no group
    assert joints["6 to 10"].persons == 0 and joints["6 to 10"].ap == -1
    assert groups_of(analysis, "crowding")["alone"].persons == 40
    assert analysis.metrics["AP"] < 0.5


def test_scores_that_are_the_similarity_are_in_order() -> None:
    planted = Planted(HUNDRED)
    for number, key in enumerate(planted.truths):
        similarity = 0.55 + 0.004 * number
        for joint in range(JOINTS):
            planted.jitter(key, joint, similarity)
        planted.scores[key] = similarity
    calibration = analysed(planted).calibration
    assert calibration.rank_correlation == pytest.approx(1)
    assert [one.persons for one in calibration.bins] == [10] * 10
    for number, one in enumerate(calibration.bins):
        assert one.mean_oks == pytest.approx(one.mean_score, abs=1e-6)
        assert one.mean_oks == pytest.approx(0.55 + 0.004 * (10 * number + 4.5), abs=1e-6)
        assert one.precision50 == 1
        assert one.precision75 == pytest.approx(sum(0.55 + 0.004 * (10 * number + n) >= 0.75 for n in range(10)) / 10)


def test_precision_is_at_half_and_at_three_quarters() -> None:
    planted = Planted((1,) * 4)
    for key, similarity in zip(planted.truths, (0.49, 0.52, 0.74, 0.77), strict=True):
        for joint in range(JOINTS):
            planted.jitter(key, joint, similarity)
    (one,) = analysed(planted).calibration.bins
    assert (one.persons, one.precision50, one.precision75) == (4, 0.75, 0.25)


def test_rank_correlation_shares_ranks_among_equals() -> None:
    a, b = np.array([1.0, 1, 1, 2, 5, 5]), np.array([3.0, 1, 2, 2, 2, 9])
    ranks = [[np.sum(one < x) + (np.sum(one == x) + 1) / 2 for x in one] for one in (a, b)]
    assert rank_correlation(a, b) == pytest.approx(np.corrcoef(ranks)[0, 1])
    assert rank_correlation(a, -a) == pytest.approx(-1)
    assert rank_correlation(a, np.ones(6)) is None and rank_correlation(a[:1], a[:1]) is None


def test_distances_are_in_pixels_and_in_sizes() -> None:
    planted = Planted((1,) * 10)
    for number, key in enumerate(planted.truths):
        planted.founds[key][0, :2] += (3 * (number + 1), 4 * (number + 1))
    nose = analysed(planted).joints[0]
    assert nose.joint == "nose" and nose.labelled == 10
    assert nose.mean_pixels == pytest.approx(5 * 5.5) and nose.median_pixels == pytest.approx(5 * 5.5)
    assert nose.mean_scaled == pytest.approx(5 * 5.5 / 100)
    assert nose.p90_pixels == pytest.approx(5 * 9.1)
    assert analysed(planted).joints[1].mean_pixels == 0


# --------------------------------------------------------------------------------------------------------- the gallery


def test_the_gallery_shows_every_kind_and_typical_pictures() -> None:
    planted = Planted((2,) * 60)
    planted.jitter((3, 0), 5)
    planted.miss((7, 1), 9)
    planted.invert((11, 0), 10)
    planted.swap((13, 0), 10, (13, 1))
    planted.copy((17, 0), 0.99, 0.6)
    del planted.founds[19, 1]
    analysis = analysed(planted, gallery=45)
    by_reason = {reason: picture for picture in analysis.gallery for reason in picture.reasons}
    expected = {"jitter": 4, "miss": 8, "inversion": 12, "swap": 14, "score": 18, "false_positive": 18}
    for kind, image_id in (expected | {"false_negative": 20}).items():
        assert by_reason[kind].image_id == image_id and by_reason[kind].counts[kind] == 1
        assert kind in {name for person in by_reason[kind].persons for name in person.kinds}
    first, second = analysis.gallery[:2]  # a false positive that scores above all, and a person who is missing
    assert (first.image_id, first.loss) == (18, 1) and (second.image_id, second.loss) == (20, 1)
    assert second.file_name == "000000000020.jpg" and second.persons[0].kinds == ("false_negative",)
    assert analysis.gallery[2].loss < 1
    typical = [picture for picture in analysis.gallery if picture.reasons == ("typical",)]
    assert len(typical) == 15 and all(picture.loss == 0 for picture in typical)
    assert len({picture.image_id for picture in analysis.gallery}) == len(analysis.gallery) <= 45
    assert analysed(planted, gallery=0).gallery == ()


def test_the_worst_pictures_come_first() -> None:
    planted = Planted((1,) * 30)
    order = np.random.default_rng(1).permutation(30).tolist()
    for rank, picture in enumerate(order):  # better from rank to rank
        for joint in range(JOINTS):
            planted.jitter((picture, 0), joint, 0.51 + 0.01 * rank)
    analysis = analysed(planted, gallery=12)
    worst = [picture for picture in analysis.gallery if "worst" in picture.reasons]
    typical = [picture for picture in analysis.gallery if picture.reasons == ("typical",)]
    assert [picture.image_id - 1 for picture in worst] == order[:4]
    assert [picture.loss for picture in worst] == pytest.approx([0.49, 0.48, 0.47, 0.46])
    assert {picture.image_id - 1 for picture in typical} == set(order[13:17])  # about the median, between 14 and 15


def test_other_skeletons_and_single_precision() -> None:
    rng = np.random.default_rng(4)
    images, annotations, found = random_case(rng, len(CROWDPOSE14), (1,))
    truth, results = truth_of(images, annotations), Results.of_entries(found, len(CROWDPOSE14))
    single = Results(
        results.image_ids,
        results.category_ids,
        results.keypoints.astype(np.float32),
        results.scores.astype(np.float32),
        results.boxes.astype(np.float32),
    )
    single.keypoints.flags.writeable = False
    analysis = analyse(truth, single, images, CROWDPOSE14)
    assert analysis.metrics == keypoint_metrics(truth, single, images, CROWDPOSE14)
    assert [errors.joint for errors in analysis.joints] == list(CROWDPOSE14.joints)
    assert list(groups_of(analysis, "visible_joints")) == ["1 to 5", "6 to 10", "11 to 14"]
    check_sum(analysis)


def test_numbers_only() -> None:
    planted = Planted((2, 3, 0))
    planted.stranger(2, 0.3)
    told = analysed(planted).to_dict()
    assert json.loads(json.dumps(told, allow_nan=False)) == told


@pytest.mark.parametrize("case", ["nobody annotated", "nobody found", "nothing at all"])
def test_nobody(case: str) -> None:
    planted = Planted((2, 2))
    truth, results = planted.truth(), planted.results()
    if case != "nobody found":
        truth.dataset["annotations"].clear()
    if case != "nobody annotated":
        results = Results.of_entries([], JOINTS)
    analysis = analyse(truth, results, planted.image_ids())
    assert analysis.metrics == keypoint_metrics(truth, results, planted.image_ids())
    if case == "nobody found":
        assert fixes(analysis)["false_negative"].count == 4
        assert fixes(analysis)["false_negative"].gain == 1
        check_sum(analysis)
    else:
        assert analysis.taxonomy.ap == -1 and all(fix.gain == 0 for fix in analysis.taxonomy.fixes)
    json.dumps(analysis.to_dict(), allow_nan=False)


def test_a_ground_truth_of_other_joints_is_refused() -> None:
    planted = Planted((1,))
    truth = planted.truth()
    truth.dataset["annotations"][0]["keypoints"] = [1, 2, 3]
    with pytest.raises(DataError, match=r"truth.json: annotation 1 has keypoints of length 3, expected 51"):
        analyse(truth, planted.results(), planted.image_ids())


@pytest.mark.shared
@pytest.mark.skipif(SHARED is None, reason="the recorded inputs (../shared or HRNETAE_SHARED) are absent")
def test_recorded_results_of_a_real_network() -> None:
    assert SHARED is not None
    truth = load_ground_truth(SHARED / "coco" / "person_keypoints_val2017.json")
    entries = json.loads((SHARED / "realnet" / "reference_results.json").read_text())
    results = Results.of_entries(entries, JOINTS)
    recorded = json.loads((SHARED / "realnet" / "metrics.json").read_text())["sample"]
    images = recorded["image_ids"]
    analysis = analyse(truth, results, images, gallery=1000)
    assert analysis.metrics == keypoint_metrics(truth, results, images, backend="pycocotools")
    assert list(analysis.metrics.values()) == pytest.approx(list(recorded["metrics"].values()), abs=1e-12)
    check_sum(analysis)
    assert check_kinds(truth, results, analysis) == analysis.taxonomy.paired > 20
    assert all(min(fix.gain, fix.alone_gain) > -0.005 for fix in analysis.taxonomy.fixes)
    kinds = Counter(kind for picture in analysis.gallery for person in picture.persons for kind in person.joints)
    for name in JOINT_KINDS:
        assert kinds[name] == sum(getattr(errors, name) for errors in analysis.joints)
