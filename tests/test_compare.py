"""`hrnetae compare`: planted differences are found and sized as formulas say, ties are not, and what is printed."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden import SHARED
from numpy.typing import NDArray

from hrnetae.evaluation.bootstrap import Shares, difference, draws, resample
from hrnetae.evaluation.columns import named_sources
from hrnetae.evaluation.comparison import FALSE_POSITIVES, Draws, Entry, compare
from hrnetae.evaluation.comparison_findings import Comparison, Row
from hrnetae.evaluation.ground_truth import GroundTruth, load_ground_truth
from hrnetae.evaluation.groups import groupings_of
from hrnetae.evaluation.matches import image_matches, metrics_of
from hrnetae.evaluation.matching import match_persons
from hrnetae.evaluation.metrics import METRICS, keypoint_metrics
from hrnetae.evaluation.person_groups import sort_people
from hrnetae.evaluation.results import Results, write_results
from hrnetae.evaluation.results_file import read_results
from hrnetae.evaluation.sides import sides_of
from hrnetae.evaluation.tag_statistics import tag_statistics
from hrnetae.files import DataError, write_outputs
from hrnetae.files.folders import find_outputs
from hrnetae.files.lock import lock_folder
from hrnetae.skeleton import COCO17
from hrnetae.tools import cli

Doubles = NDArray[np.float64]

IMAGES = 200
SIDE = 128  # pixels, of the pictures


# ----------------------------------------------------------------------------------------------------- what is compared


def make_truth(path: Path, images: int = IMAGES, people: int = 2, seed: int = 0) -> GroundTruth:
    """Persons far from each other in pictures of 128 pixels, with every joint labelled."""
    rng = np.random.default_rng(seed)
    annotations = []
    for image in range(1, images + 1):
        for person in range(people):
            size = rng.uniform(20, 50)
            points = (32 + 64 * person, 64) + rng.uniform(-0.5, 0.5, (17, 2)) * size
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": 1,
                    "iscrowd": 0,
                    "num_keypoints": 17,
                    "area": float(size**2),
                    "bbox": [*points.min(axis=0).tolist(), *np.ptp(points, axis=0).tolist()],
                    "keypoints": np.column_stack([points, np.full(17, 2)]).ravel().tolist(),
                }
            )
    pictures = [
        {"id": image, "file_name": f"{image:012d}.png", "width": SIDE, "height": SIDE} for image in range(1, images + 1)
    ]
    path.write_text(json.dumps({"images": pictures, "annotations": annotations, "categories": [{"id": 1}]}))
    return load_ground_truth(path)


def perfect(truth: GroundTruth) -> Results:
    annotations = truth.dataset["annotations"]
    keypoints = np.array([a["keypoints"] for a in annotations], np.float64).reshape(-1, 17, 3)
    scores = np.linspace(0.9, 0.8, len(annotations))
    boxes = np.array([a["bbox"] for a in annotations])
    ids = np.array([a["image_id"] for a in annotations], np.int64)
    return Results(ids, np.ones(len(ids), np.int64), keypoints, scores, boxes)


def without(results: Results, rows: Sequence[int]) -> Results:
    kept = np.setdiff1d(np.arange(len(results)), rows)
    return Results(*(getattr(results, name)[kept] for name in results.__dataclass_fields__))


def moved(results: Results, by: Doubles) -> Results:
    """by: (D, 17, 2) pixels."""
    keypoints = results.keypoints.copy()
    keypoints[:, :, :2] += by
    return Results(results.image_ids, results.category_ids, keypoints, results.scores, results.boxes)


def noisy(truth: GroundTruth, seed: int, share: float = 0.09) -> Results:
    """Joints off by a normal error of so much of the person's size, and every tenth person not found."""
    rng = np.random.default_rng(seed)
    exact = perfect(truth)
    sizes = np.sqrt([a["area"] for a in truth.dataset["annotations"]])
    results = moved(exact, rng.normal(size=(len(exact), 17, 2)) * share * sizes[:, None, None])
    return without(results, np.flatnonzero(rng.random(len(results)) < 0.1).tolist())


def ids_of(truth: GroundTruth) -> list[int]:
    return [image["id"] for image in truth.dataset["images"]]


def compared(truth: GroundTruth, *columns: Results, rounds: int = 200, **more: Any) -> Comparison:
    entries = [Entry(f"c{i}", results) for i, results in enumerate(columns)]
    return compare(truth, entries, ids_of(truth), Draws(rounds, **more))


def rows_of(found: Comparison) -> list[Row]:
    return [*found.metrics, *found.people, *found.joints, *(row for group in found.groups for row in group.rows)]


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> GroundTruth:
    return make_truth(tmp_path_factory.mktemp("truth") / "truth.json")


# ------------------------------------------------------------------------------------------------ ties and differences


def test_a_result_against_itself_differs_nowhere(truth: GroundTruth) -> None:
    results = noisy(truth, 1)
    found = compared(truth, results, results)
    for row in rows_of(found):
        (change,) = row.differences
        if row.values[0] is None:
            assert change is None
        else:
            assert change is not None and (change.value, change.low, change.high) == (0, 0, 0), row.name
            assert not change.significant
    column = found.columns[1]
    assert column.changes == column.pictures == () and column.changed == 0


def test_a_planted_drop_of_two_points_is_significant(truth: GroundTruth) -> None:
    exact = perfect(truth)
    lost = np.arange(0, len(exact), 50)  # one in fifty: recall ends at 0.98
    found = compared(truth, exact, without(exact, lost.tolist()))
    row = found.metric("AP")
    # Precision is 1 at the recalls 0, 0.01 ... 0.98 and 0 at the last two of the 101.
    assert row.values == pytest.approx((1.0, 99 / 101))
    (change,) = row.differences
    assert change is not None and change.value == pytest.approx(-2 / 101)
    assert change.low is not None and change.high is not None
    assert change.significant and change.low < -2 / 101 < change.high < 0


def test_a_drop_of_two_points_in_noise_is_significant_too(truth: GroundTruth) -> None:
    good = noisy(truth, 1, 0.04)
    worse = without(good, list(range(0, len(good), 33)))
    found = compared(truth, good, worse)
    (change,) = found.metric("AP").differences
    assert change is not None and -0.03 < change.value < -0.015 and change.significant


def test_a_shuffled_tie_is_not_significant(truth: GroundTruth) -> None:
    """Two networks of the same quality, exchanged picture by picture at random: of ten, at most two by chance."""
    rng = np.random.default_rng(7)
    significant = 0
    for trial in range(10):
        pair = noisy(truth, 100 + trial), noisy(truth, 200 + trial)
        coin = rng.random(IMAGES + 1) < 0.5
        columns = []
        for heads in (True, False):
            parts = [
                without(results, np.flatnonzero(coin[results.image_ids] != (heads == first)).tolist())
                for first, results in ((True, pair[0]), (False, pair[1]))
            ]
            columns.append(Results.joined(parts))
        (change,) = compared(truth, *columns, rounds=100, workers=2).metric("AP").differences
        assert change is not None and change.value != 0
        significant += change.significant
    assert significant <= 2


def test_metrics_are_those_of_the_evaluation(truth: GroundTruth) -> None:
    columns = noisy(truth, 1), noisy(truth, 2, 0.12), perfect(truth)
    found = compared(truth, *columns, rounds=20)
    for i, results in enumerate(columns):
        expected = keypoint_metrics(truth, results, ids_of(truth), backend="pycocotools")
        assert {row.name: -1.0 if row.values[i] is None else row.values[i] for row in found.metrics} == expected
    assert found.names == ("c0", "c1", "c2") and [row.name for row in found.metrics] == list(METRICS)


# -------------------------------------------------------------------------------------------------------- the bootstrap


def binomial_quantile(n: int, p: float, share: float) -> int:
    """The smallest k with P(X <= k) >= share."""
    total = 0.0
    for k in range(n + 1):
        total += math.comb(n, k) * p**k * (1 - p) ** (n - k)
        if total >= share:
            return k
    return n


def test_the_interval_of_a_share_is_the_binomial_one(tmp_path: Path) -> None:
    """One person a picture and a baseline that finds all: how many a draw loses is binomial."""
    truth = make_truth(tmp_path / "truth.json", images=100, people=1)
    exact = perfect(truth)
    found = compared(truth, exact, without(exact, list(range(20))), rounds=1000)
    (row,) = [row for row in found.people if row.name == "share found"]
    (change,) = row.differences
    assert change is not None and change.value == pytest.approx(-0.2)
    low, high = (-binomial_quantile(100, 0.2, share) / 100 for share in (0.975, 0.025))
    assert change.low == pytest.approx(low, abs=0.0101) and change.high == pytest.approx(high, abs=0.0101)


def test_every_draw_has_as_many_pictures_as_there_are() -> None:
    drawn = np.concatenate(list(draws(7, 45, 3)))
    assert drawn.shape == (45, 7) and (drawn.sum(axis=1) == 7).all()
    assert np.array_equal(drawn, np.concatenate(list(draws(7, 45, 3))))
    assert not np.array_equal(drawn, np.concatenate(list(draws(7, 45, 4))))


def test_shares_of_draws_are_those_of_pictures_laid_out() -> None:
    rng = np.random.default_rng(0)
    below = rng.integers(0, 3, (6, 4)).astype(np.float64)
    above = below * rng.random((6, 4))
    weights = np.concatenate(list(draws(6, 30, 0)))
    expected = np.full((30, 4), np.nan)
    for r, often in enumerate(weights):
        rows = np.repeat(np.arange(6), often)
        for m in range(4):
            if below[rows, m].sum():
                expected[r, m] = above[rows, m].sum() / below[rows, m].sum()
    np.testing.assert_allclose(Shares(above, below).resampled(weights), expected)


def test_metrics_of_draws_are_those_of_pictures_laid_out(tmp_path: Path) -> None:
    """A picture drawn three times is three pictures."""
    truth = make_truth(tmp_path / "truth.json", images=12)
    results = noisy(truth, 3)

    weights = next(draws(12, 3, 5))
    found = metrics_of(image_matches(truth, results, ids_of(truth)), weights)
    for often, metrics in zip(weights, found, strict=True):
        images, annotations, parts = [], [], []
        for copy, image in enumerate(np.repeat(np.arange(1, 13), often).tolist(), 1):
            images.append({"id": copy, "file_name": f"{copy}.png"})
            for one in truth.dataset["annotations"]:
                if one["image_id"] == image:
                    annotations.append({**one, "id": len(annotations) + 1, "image_id": copy})
            part = without(results, np.flatnonzero(results.image_ids != image).tolist())
            parts.append(Results(np.full(len(part), copy), part.category_ids, part.keypoints, part.scores, part.boxes))
        dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1}]}
        laid_out = GroundTruth(Path("laid out"), dataset, {}, None)
        expected = keypoint_metrics(laid_out, Results.joined(parts), range(1, 13), backend="pycocotools")
        assert metrics.tolist() == pytest.approx(list(expected.values()), abs=1e-12)


def test_the_result_does_not_depend_on_the_workers(truth: GroundTruth) -> None:
    columns = noisy(truth, 1), noisy(truth, 2)
    one = compared(truth, *columns, rounds=60, workers=1).to_dict()
    assert one == compared(truth, *columns, rounds=60, workers=3).to_dict()
    assert one["metrics"] != compared(truth, *columns, rounds=60, seed=1).to_dict()["metrics"]


def test_without_anything_to_measure_there_is_no_interval() -> None:
    nothing = np.full(5, np.nan)
    assert difference(float("nan"), 0.5, nothing, 10) is None
    for drawn, pictures in ((nothing, 10), (np.zeros(5), 1)):
        alone = difference(0.25, 0.5, drawn, pictures)
        assert alone is not None and (alone.value, alone.low, alone.high) == (0.25, None, None)
        assert not alone.significant
    told: list[tuple[int, int]] = []
    assert resample(lambda w: w.astype(np.float64), 3, 50, 0, 2, lambda a, b: told.append((a, b))).shape == (50, 3)
    assert told[-1] == (50, 50) and [done for done, _ in told] == sorted(done for done, _ in told)


# ----------------------------------------------------------------------------------------- joints, groups, persons


def test_a_joint_that_is_off_costs_what_the_formula_says(truth: GroundTruth) -> None:
    exact = perfect(truth)
    by = np.zeros((len(exact), 17, 2))
    by[:, 9, 0] = 3.0
    found = compared(truth, exact, moved(exact, by), rounds=20)
    areas = np.array([a["area"] for a in truth.dataset["annotations"]])
    expected = np.exp(-(3.0**2) / (2 * areas * (2 * COCO17.sigmas[9]) ** 2)).mean()
    for joint, row in enumerate(found.joints):
        assert row.name == COCO17.joints[joint]
        assert row.values == pytest.approx((1.0, expected if joint == 9 else 1.0))
        (change,) = row.differences
        assert change is not None and change.significant == (joint == 9)


def test_groups_are_those_of_the_analysis(truth: GroundTruth) -> None:
    sides = sides_of(truth, perfect(truth), ids_of(truth), COCO17)
    expected = {one.name: one for one in groupings_of(sides, match_persons(sides))}
    for sorting in sort_people(sides):
        groups = expected[sorting.name].groups
        assert (sorting.title, sorting.unit) == (expected[sorting.name].title, expected[sorting.name].unit)
        assert list(sorting.names) == [group.name for group in groups]
        assert sorting.members().sum(axis=0).tolist() == [group.persons for group in groups]


def test_only_the_group_that_changed_differs(truth: GroundTruth) -> None:
    exact = perfect(truth)
    small = [i for i, a in enumerate(truth.dataset["annotations"]) if a["area"] < 32**2]
    found = compared(truth, exact, without(exact, small[::2]), rounds=50)
    (sizes,) = [group for group in found.groups if group.name == "size"]
    changes = {row.name: row.differences[0] for row in sizes.rows if row.persons}
    assert list(changes) == ["under 32", "32 to 64"]
    small_change, other = changes.values()
    assert small_change is not None and other is not None
    assert small_change.value == pytest.approx(-len(small[::2]) / len(small)) and small_change.significant
    assert (other.value, other.low, other.high) == (0, 0, 0)


def test_persons_lost_and_won_are_named(truth: GroundTruth) -> None:
    exact = perfect(truth)
    annotations = truth.dataset["annotations"]
    before, after = [3, 40], [8, 9, 77]  # rows that one of the two has not
    found = compared(truth, without(exact, before), without(exact, after), rounds=20)
    column = found.columns[1]
    told = {(change.kind, change.annotation_id) for change in column.changes}
    expected = {("won", annotations[row]["id"]) for row in before} | {("lost", annotations[row]["id"]) for row in after}
    assert told == expected and column.count("lost") == 3 and column.count("won") == 2
    # Rows 8 and 9 are the two persons of one picture: it changed most, by an OKS of 1 each.
    first = column.pictures[0]
    assert (first.image_id, first.lost, first.won) == (annotations[8]["image_id"], 2, 0)
    assert (first.change, first.oks_change) == pytest.approx((2.0, -2.0))
    assert column.changed == 4


def test_false_positives_are_counted(truth: GroundTruth) -> None:
    exact = perfect(truth)
    strange = moved(exact, np.full((len(exact), 17, 2), 5000.0))[:30]
    found = compared(truth, exact, Results.joined([exact, strange]), rounds=20)
    (row,) = [row for row in found.people if row.name == FALSE_POSITIVES]
    assert row.values == pytest.approx((0.0, 30 / IMAGES))
    changed = {one.image_id: one for one in found.columns[1].pictures}
    assert all(one.strangers[0] == 0 and one.strangers[1] > 0 for one in changed.values())
    one = found.columns[1].pictures[0]
    added = strange.scores[strange.image_ids == one.image_id]
    assert one.change == pytest.approx(added.sum()) and one.strangers[1] == len(added)


def test_what_cannot_be_compared_is_refused(truth: GroundTruth) -> None:
    entry = Entry("a", perfect(truth))
    for entries, images, word in (
        ([entry], [1], "two or more"),
        ([entry, entry], [1], "different"),
        ([entry, Entry("b", entry.results)], [], "at least one picture"),
    ):
        with pytest.raises(ValueError, match=word):
            compare(truth, entries, images)


# ------------------------------------------------------------------------------------------------------------ tag maps


def write_maps(folder: Path, truth: GroundTruth, tag_of: dict[int, float], off: float = 0.0) -> None:
    """Outputs of every picture: heat 0.75 and the person's tag at each joint's cell; ``off`` on tags of joint 0."""
    for image in truth.dataset["images"]:
        maps = np.zeros((34, SIDE // 4, SIDE // 4), np.float32)
        people = [a for a in truth.dataset["annotations"] if a["image_id"] == image["id"]]
        for person, annotation in enumerate(people):
            points = np.array(annotation["keypoints"]).reshape(17, 3)
            for joint, (x, y, _) in enumerate(points):
                cell = int(y // 4), int(x // 4)
                maps[joint][cell] = 0.75
                maps[17 + joint][cell] = tag_of[person] + (off if joint == 0 else 0.0)
        write_outputs(folder / f"{Path(image['file_name']).stem}.npz", [maps])


def test_tag_maps_are_measured_as_they_were_made(tmp_path: Path) -> None:
    truth = make_truth(tmp_path / "truth.json", images=5)
    write_maps(tmp_path / "a", truth, {0: 0.0, 1: 2.0})
    write_maps(tmp_path / "b", truth, {0: 0.0, 1: 2.0}, off=1.5)
    folders = [find_outputs(tmp_path / name) for name in "ab"]
    first, second = tag_statistics(folders, truth)
    assert first is not None and second is not None
    assert (first.pictures, first.people, first.joints) == (5, 10, 170)
    assert (first.heat, first.spread, first.distance) == (0.75, 0.0, 2.0)
    assert (first.confused, first.beyond, first.levels) == (0.0, 0.0, 2.0)
    assert first.tag_change is first.heat_change is None
    # One joint of 17 is 1.5 off: 1.5 * 16 / 17 from the mean, the others 1.5 / 17.
    assert second.spread == pytest.approx(1.5 * math.sqrt(16) / 17)
    assert second.distance == pytest.approx(2.0) and second.beyond == pytest.approx(1 / 17)
    # Of two persons, that of the lower tag has a joint nearer to the other's mean.
    assert second.confused == pytest.approx(0.5 / 17)
    assert second.tag_change == pytest.approx(1.5 / math.sqrt(17)) and second.heat_change == 0.0
    assert tag_statistics([None, folders[1]], truth)[0] is None


def test_folders_of_other_shapes_are_named(tmp_path: Path) -> None:
    truth = make_truth(tmp_path / "truth.json", images=1)
    write_maps(tmp_path / "a", truth, {0: 0.0, 1: 2.0})
    write_outputs(tmp_path / "b" / f"{1:012d}.npz", [np.zeros((34, 8, 8), np.float32)])
    with pytest.raises(DataError, match=r"b/000000000001.npz: heatmaps of shape \(17, 8, 8\), expected \(17, 32, 32\)"):
        tag_statistics([find_outputs(tmp_path / name) for name in "ab"], truth)
    write_outputs(tmp_path / "b" / f"{1:012d}.npz", [np.zeros((18, 8, 8), np.float32)])
    with pytest.raises(DataError, match=r"expected 34 channels"):
        tag_statistics([None, find_outputs(tmp_path / "b")], truth)


# ---------------------------------------------------------------------------------------------------------- the command


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with truth.json, good.json, and bad.json that lacks 1 of 16 persons."""
    truth = make_truth(tmp_path / "truth.json", images=40)
    exact = perfect(truth)
    write_results(tmp_path / "good.json", exact)
    write_results(tmp_path / "bad.json", without(exact, list(range(0, len(exact), 16))))
    return tmp_path


def run(folder: Path, *words: object) -> int:
    return cli.main(["compare", *map(str, words), "--ann_file", str(folder / "truth.json"), "--rounds", "40"])


def test_the_command_prints_one_json_object(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(files, files / "good.json", f"int8={files / 'bad.json'}", "--json", "--seed", "3") == 0
    found = json.loads(capsys.readouterr().out)
    assert [column["name"] for column in found["columns"]] == ["good", "int8"] and found["baseline"] == "good"
    assert found["columns"][1]["lost"] == 5 and found["images"] == 40 and found["annotated"] == 80
    ap = found["metrics"]["AP"]
    assert ap["values"]["good"] == 1.0 and ap["differences"]["int8"]["difference"] == ap["values"]["int8"] - 1.0
    assert found["bootstrap"] == {"rounds": 40, "seed": 3, "confidence": 0.95}


def test_the_command_prints_a_table(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(files, files / "good.json", files / "bad.json", files / "good.json") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["good", "bad", "points", "interval", "good", "(2)", "points", "interval"]
    assert [line.split()[0] for line in lines[1:11]] == list(METRICS)
    assert lines[1].split()[1:4] == ["1.0000", "0.9307", "-6.93"]  # up to recall 0.93: 94 of 101
    assert "bad: persons lost 5, won 0; images changed 5" in lines


@pytest.mark.parametrize(("allowed", "code"), [("6.9", 1), ("7", 0), ("0", 1)])
def test_fail_if_worse(files: Path, capsys: pytest.CaptureFixture[str], allowed: str, code: int) -> None:
    assert run(files, files / "good.json", files / "bad.json", "--fail-if-worse", allowed) == code
    told = capsys.readouterr()
    assert told.out and (f"bad: AP is 6.93 points below that of good, allowed are {allowed}" in told.err) == bool(code)
    assert run(files, files / "bad.json", files / "good.json", "--fail-if-worse", allowed) == 0


def test_where_nobody_is_annotated_nothing_is_as_good(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = json.loads((files / "truth.json").read_text())
    (files / "truth.json").write_text(json.dumps(truth | {"annotations": []}))
    words = files / "good.json", files / "bad.json"
    assert run(files, *words) == run(files, *words, "--report", files / "report") == 0
    assert run(files, *words, "--fail-if-worse", "5") == 1
    assert "bad: no AP to judge" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "no such file or folder"),
        ("", "malformed JSON"),
        ("{}", "a JSON object, expected COCO results"),
        ("[3]", "entry 0 is a number"),
        ('[{"image_id": 1}]', "entry 0 has no category_id"),
        ('[{"image_id": true, "category_id": 1}]', "has true as image_id"),
        ('[{"image_id": 1, "category_id": 1, "score": "x"}]', 'has "x" as score'),
        ('[{"image_id": 1, "category_id": 1, "score": 1, "keypoints": [1]}]', "1 numbers as keypoints, expected 51"),
        ('[{"image_id": 99, "category_id": 1, "score": 1, "keypoints": [%s]}]', "image_id 99"),
        ('[{"image_id": 1, "category_id": 1, "score": NaN, "keypoints": [%s]}]', "than finite numbers as score"),
        ('[{"image_id": 1, "category_id": 1, "score": 1, "keypoints": [%s], "bbox": [1]}]', "expected x, y, width"),
    ],
)
def test_a_bad_results_file_is_named(
    files: Path, capsys: pytest.CaptureFixture[str], text: str | None, complaint: str
) -> None:
    path = files / "new.json"
    if text is not None:
        path.write_text(text % ",".join(["1"] * 51) if "%s" in text else text)
    assert run(files, files / "good.json", path) == 1
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1
    assert str(path) in told.err and complaint in told.err


@pytest.mark.parametrize(
    "words",
    [
        ["one.json"],
        ["a.json", "b.json", "--rounds", "0"],
        ["a", "b", "--seed", "-1"],
        ["a", "b", "--fail-if-worse", "x"],
    ],
)
def test_wrong_usage(words: list[str], files: Path) -> None:
    with pytest.raises(SystemExit) as error:
        cli.main(["compare", *words, "--ann_file", str(files / "truth.json")])
    assert error.value.code == 2


def test_a_results_file_comes_back_as_it_was_written(files: Path) -> None:
    good = read_results(files / "good.json")
    expected = perfect(load_ground_truth(files / "truth.json"))
    for name in expected.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(good, name), getattr(expected, name))
    entries = json.loads((files / "good.json").read_text())
    for entry in entries:
        del entry["bbox"]
    (files / "boxless.json").write_text(json.dumps(entries))
    np.testing.assert_allclose(read_results(files / "boxless.json").boxes, expected.boxes, atol=1e-9)
    (files / "nobody.json").write_text("[]")
    assert len(read_results(files / "nobody.json")) == 0
    assert run(files, files / "good.json", files / "nobody.json") == 0


def test_columns_have_names_that_tell_them_apart(tmp_path: Path) -> None:
    for name in ("x/out", "y/out"):
        (tmp_path / name).mkdir(parents=True)
    words = [str(tmp_path / "x" / "out"), str(tmp_path / "y" / "out"), f"third={tmp_path}", str(tmp_path / "x" / "out")]
    assert [source.name for source in named_sources(words)] == ["x/out", "y/out", "third", "x/out (2)"]
    assert [source.path for source in named_sources(words)][2] == tmp_path
    given = [f"{name}={tmp_path}" for name in ("a", "a", "a (2)")]
    assert [source.name for source in named_sources(given)] == ["a", "a (2)", "a (2) (2)"]


def test_a_report_of_pictures_without_sizes_is_refused_before_the_work(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = json.loads((files / "truth.json").read_text())
    for image in truth["images"]:
        del image["width"], image["height"]
    (files / "truth.json").write_text(json.dumps(truth))
    assert run(files, files / "good.json", files / "good.json") == 0
    capsys.readouterr()
    assert run(files, files / "good.json", files / "good.json", "--report", files / "report") == 1
    error = capsys.readouterr().err
    assert "no size of" in error and error.count("\n") == 1
    assert not (files / "report").exists()


def test_few_rounds_are_warned_of(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(files, files / "good.json", files / "good.json", "--json") == 0
    assert "40 rounds: intervals from fewer than 100 mean little" in capsys.readouterr().err


def test_folders_of_outputs_are_decoded_and_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = make_truth(tmp_path / "truth.json", images=6)
    write_maps(tmp_path / "a", truth, {0: 0.0, 1: 2.0})
    write_maps(tmp_path / "b", truth, {0: 0.0, 1: 2.0}, off=1.5)
    assert run(tmp_path, tmp_path / "a", tmp_path / "b", "--json") == 0
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert found["columns"][0]["found"] >= 12 and found["columns"][1]["tags"]["spread"] > 0.3
    assert "6 pictures: intervals from fewer than 30 are too narrow" in told.err
    (tmp_path / "b" / f"{6:012d}.npz").unlink()
    assert run(tmp_path, tmp_path / "a", tmp_path / "b") == 1
    assert "not the pictures of" in capsys.readouterr().err


# ----------------------------------------------------------------------------------------------------------- the report


def test_the_report_needs_nothing_beside_it(files: Path) -> None:
    strange = "<b>&\"'"
    assert run(files, files / "good.json", f"{strange}={files / 'bad.json'}", "--report", files / "report") == 0
    text = (files / "report" / "index.html").read_text()
    assert strange not in text and "&lt;b&gt;&amp;&quot;" in text
    assert "http://" not in text.replace("http://www.w3.org", "") and "https://" not in text
    numbers = json.loads((files / "report" / "comparison.json").read_text())
    assert numbers["columns"][1]["name"] == strange and numbers["columns"][1]["lost"] == 5
    (files / "file").write_text("")
    assert run(files, files / "good.json", files / "bad.json", "--report", files / "file") == 1


def test_a_report_that_another_run_writes(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with lock_folder(files / "report"):
        assert run(files, files / "good.json", files / "bad.json", "--report", files / "report") == 1
        assert f"{files / 'report'}: another run writes there" in capsys.readouterr().err


def test_the_report_in_a_browser(files: Path) -> None:
    """Opens without an error, has no horizontal scroll, and its filters filter."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    chromium = Path("/usr/bin/chromium")
    if not chromium.is_file():
        pytest.skip("no /usr/bin/chromium (Debian's)")
    moved_by = np.random.default_rng(0).normal(size=(80, 17, 2)) * 2
    truth = load_ground_truth(files / "truth.json")
    write_results(files / "other.json", moved(perfect(truth), moved_by))
    assert run(files, *(files / f"{name}.json" for name in ("good", "bad", "other")), "--report", files / "report") == 0
    said: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium), args=["--no-sandbox"])
        for width in (1280, 390):
            page = browser.new_page(viewport={"width": width, "height": 800})
            page.on("console", lambda message: said.append(message.text))
            page.on("pageerror", lambda error: said.append(str(error)))
            page.goto((files / "report" / "index.html").as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.locator(".card").count() == 17  # 5 of bad, 12 of other
            page.locator("label", has_text="Persons lost").click()
            assert page.locator(".card:visible").count() == 5
        browser.close()
    assert said == []


# ------------------------------------------------------------------------------------------------------- recorded data


@pytest.mark.shared
@pytest.mark.skipif(SHARED is None, reason="the recorded inputs (../shared or HRNETAE_SHARED) are absent")
def test_recorded_outputs_against_the_reference_decoder(capsys: pytest.CaptureFixture[str]) -> None:
    """A folder of real outputs, decoded, is what the reference decoder's results file says: no difference at all."""
    assert SHARED is not None
    sample = SHARED / "realnet" / "sample"
    words = [SHARED / "realnet" / "reference_results.json", sample, "--datalist_txt", sample / "datalist.txt"]
    words += ["--ann_file", SHARED / "coco" / "person_keypoints_val2017.json", "--rounds", "50", "--json"]
    assert cli.main(["compare", *map(str, words)]) == 0
    found = json.loads(capsys.readouterr().out)
    column = found["columns"][1]
    assert found["images"] == 12 and column["found"] == 280 and column["lost"] == column["won"] == 0
    for row in found["metrics"].values():
        (change,) = row["differences"].values()
        assert change["difference"] == pytest.approx(0, abs=1e-4) and not change["significant"]
    tags = column["tags"]
    assert tags["pictures"] == 12 and 0 < tags["confused"] < 0.5 < tags["distance"]
