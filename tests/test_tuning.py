"""The tuning: folds, the search, the rescoring, the verdict, and the command around them."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hrnetae import DecodeParams
from hrnetae.evaluation.evaluate import EvalJob, evaluate
from hrnetae.evaluation.ground_truth import GroundTruth, load_ground_truth
from hrnetae.evaluation.synthetic import draw_scene, ground_truth
from hrnetae.files.folders import find_outputs
from hrnetae.files.npz import write_arrays
from hrnetae.rescoring import FEATURES
from hrnetae.tools import compare as compare_tool
from hrnetae.tools import eval as eval_tool
from hrnetae.tools import tune as tool
from hrnetae.tuning import Outputs, Trials, Tuning, sieve_of, tune
from hrnetae.tuning.fit import fit, scores_by
from hrnetae.tuning.folds import folds_of
from hrnetae.tuning.record import Record
from hrnetae.tuning.space import Axis

PICTURES = 24


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn scenes of a poor network: false peaks that a higher threshold would leave out."""
    root = tmp_path_factory.mktemp("tuned")
    rng = np.random.default_rng(2)
    scenes = [draw_scene(rng, int(rng.integers(1, 5)), (160, 120), (40, 40), noise=3.0) for _ in range(PICTURES)]
    dataset = ground_truth(scenes)
    (root / "person_keypoints_val2017.json").write_text(json.dumps(dataset))
    lines = []
    for number, (scene, image) in enumerate(zip(scenes, dataset["images"], strict=True)):
        stem = Path(image["file_name"]).stem
        for flip, output in enumerate((scene.output, scene.flipped)):
            assert isinstance(output, np.ndarray)
            write_arrays(root / "out" / f"output_{2 * number + flip:06d}.npz", {"output_0": output[None]})
            lines.append(f"in/{stem}{'_flip' if flip else ''}.npz\n")
    (root / "datalist.txt").write_text("".join(lines))
    return root


def words(data: Path, out: Path, *more: object) -> list[str]:
    where = ["--output_data", data / "out", "--datalist_txt", data / "datalist.txt", "--data_root", data]
    return [*map(str, [*where, "--out", out, "--rounds", 100, *more])]


def trials_of(data: Path, workers: int = 1, memory: int = 1 << 30, truth: GroundTruth | None = None) -> Trials:
    truth = truth or load_ground_truth(data / "person_keypoints_val2017.json")
    samples = find_outputs(data / "out", data / "datalist.txt").samples
    outputs = Outputs(samples, [truth.picture(sample.stem) for sample in samples], memory)
    return Trials(outputs, truth, sieve_of(len(samples), 0), workers)


@pytest.fixture(scope="module")
def tuning(data: Path) -> Tuning:
    return tune(trials_of(data), rounds=100, curves=True)


def test_folds_share_no_picture_and_leave_none_out() -> None:
    for pictures, folds in ((24, 4), (25, 4), (7, 7), (5000, 5)):
        fold_of = folds_of(pictures, folds, 3)
        sizes = np.bincount(fold_of, minlength=folds)
        assert len(fold_of) == pictures and sizes.sum() == pictures and np.ptp(sizes) <= 1
        assert (folds_of(pictures, folds, 3) == fold_of).all()
    assert (folds_of(5000, 5, 3) != folds_of(5000, 5, 4)).any()
    for folds in (1, 8):
        with pytest.raises(ValueError, match="folds"):
            folds_of(7, folds, 0)


def test_finer_values_lie_between() -> None:
    axis = Axis("detection_threshold", (0.1, 0.2, 0.4), 0.05)
    assert sorted(axis.between([0.1, 0.2, 0.4], 0.2)) == [0.15, 0.3]
    assert axis.between([0.2, 0.15, 0.25], 0.2) == []
    assert Axis("nms_kernel", (3, 5)).between([3, 5], 5) == []


def test_the_fit_finds_the_weights_that_made_the_targets() -> None:
    """Probabilities of a known logistic model as targets: without a ridge its weights come back."""
    rng = np.random.default_rng(0)
    features = rng.normal(2, 3, (4000, len(FEATURES)))
    weights = rng.normal(0, 0.2, len(FEATURES))
    target = 1 / (1 + np.exp(-(0.4 + features @ weights)))
    found = fit(features, target, 1e-9)
    np.testing.assert_allclose(found.weights, weights, atol=1e-4)
    assert found.bias == pytest.approx(0.4, abs=1e-3)
    np.testing.assert_allclose(scores_by(found, features), target, atol=1e-4)
    strong = fit(features, target, 1e12)
    assert np.abs(strong.weights).max() < 1e-6  # all that is left is the mean
    assert scores_by(strong, features)[0] == pytest.approx(target.mean(), abs=1e-3)


def test_a_trial_is_an_evaluation(data: Path) -> None:
    """The AP of a setting is that of `evaluate` with it, whatever is kept in memory and however many work."""
    params = DecodeParams(detection_threshold=0.25, subpixel="fit", second_pass=True)
    job = EvalJob(data / "out", data / "datalist.txt", data, params=params)
    expected = evaluate(job).metrics["AP"]
    everything = np.ones(PICTURES, bool)
    for workers, memory in ((1, 1 << 30), (3, 0), (2, 200_000)):
        assert trials_of(data, workers, memory).ap(params, everything) == expected


def test_tuning_helps_a_poor_network_and_the_same_comes_out_again(data: Path, tuning: Tuning) -> None:
    assert tuning.verdict.tuned["AP"] > tuning.verdict.default["AP"]
    assert tuning.verdict.low <= tuning.verdict.gain <= tuning.verdict.high
    assert tuning.params == (tuning.found if tuning.verdict.significant else DecodeParams())
    for workers in (2, 3):
        again = tune(trials_of(data, workers), rounds=100, curves=True)
        assert (again.params, again.found, again.to_dict()) == (tuning.params, tuning.found, tuning.to_dict())


def test_the_default_of_the_verdict_is_the_default(data: Path, tuning: Tuning) -> None:
    trials = trials_of(data)
    fold_of = folds_of(PICTURES, 4, 0)
    expected = np.mean([trials.ap(DecodeParams(), fold_of == fold) for fold in range(4)])
    assert tuning.verdict.default["AP"] == pytest.approx(expected, abs=1e-12)


def shuffled(truth: GroundTruth, seed: int) -> GroundTruth:
    """The same people, each picture's in another picture."""
    dataset: Any = copy.deepcopy(truth.dataset)
    ids = [image["id"] for image in dataset["images"]]
    moved = dict(zip(ids, np.roll(np.random.default_rng(seed).permutation(ids), 1).tolist(), strict=True))
    for annotation in dataset["annotations"]:
        annotation["image_id"] = moved[annotation["image_id"]]
    return dataclasses.replace(truth, dataset=dataset)


def test_shuffled_ground_truth_gives_no_significant_gain(data: Path) -> None:
    truth = shuffled(load_ground_truth(data / "person_keypoints_val2017.json"), 1)
    found = tune(trials_of(data, truth=truth), rounds=200)
    assert not found.verdict.significant
    assert found.params == DecodeParams()


def test_the_command(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], tuning: Tuning) -> None:
    out = tmp_path / "params.json"
    assert tool.main(words(data, out, "--json", "--report", tmp_path / "report")) == 0
    printed = json.loads(capsys.readouterr().out)
    assert DecodeParams.from_json(out) == tuning.params == DecodeParams.from_dict(printed["params"])
    assert printed["verdict"] == tuning.verdict.to_dict()
    assert json.loads(out.read_text())["tuning"]["contributions"] == dict(tuning.contributions)
    page = (tmp_path / "report" / "index.html").read_text()
    assert all(f"AP over {name}" in page for name in tuning.curves)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["params.json", "report"]  # no trials are left
    assert tool.main(words(data, tmp_path / "again.json", "--num_process", 2)) == 0
    assert json.loads((tmp_path / "again.json").read_text())["params"] == json.loads(out.read_text())["params"]
    text = capsys.readouterr().out
    assert ("is significant" if tuning.verdict.significant else "NOT significant") in text


def test_a_damaged_trial_is_tried_again(data: Path, tmp_path: Path, tuning: Tuning) -> None:
    everything = np.ones(PICTURES, bool)
    record = Record.open(tmp_path / "trials", {}, False)
    expected = dataclasses.replace(trials_of(data), record=record).ap(tuning.found, everything)
    (file,) = (tmp_path / "trials").glob("*.npz")
    for damage in (b"", b"PK\x03\x04", file.read_bytes()[:-50]):
        file.write_bytes(damage)
        assert dataclasses.replace(trials_of(data), record=record).ap(tuning.found, everything) == expected
    other = dataclasses.replace(trials_of(data), record=Record.open(tmp_path / "trials", {}, True))
    other.outputs = Outputs((), (), 0)  # nothing to decode: what is whole is not tried again
    assert other.ap(tuning.found, everything) == expected


def test_curves_pass_through_what_was_found(data: Path, tuning: Tuning) -> None:
    bare = dataclasses.replace(tuning.found, rescoring=None)
    expected = trials_of(data).ap(bare, np.ones(PICTURES, bool))
    assert len(tuning.curves) >= 10
    for name, curve in tuning.curves.items():
        assert dict(curve)[getattr(bare, name)] == expected and len(curve) == len(dict(curve))


def test_a_stopped_run_goes_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tuning: Tuning
) -> None:
    out = tmp_path / "params.json"
    decoded = 0
    own = Trials._decode

    def stops(self: Trials, params: DecodeParams, chosen: Any) -> Any:
        nonlocal decoded
        decoded += 1
        if decoded == 20:
            raise KeyboardInterrupt
        return own(self, params, chosen)

    monkeypatch.setattr(Trials, "_decode", stops)
    with pytest.raises(KeyboardInterrupt):
        tool.main(words(data, out))
    kept = tmp_path / "params.json.trials"
    assert not out.exists() and len(list(kept.glob("*.npz"))) == 19
    assert tool.main(words(data, out)) == 1  # not by accident
    assert "--resume" in capsys.readouterr().err
    assert tool.main(words(data, out, "--seed", 5, "--resume")) == 1
    decoded = 100
    assert tool.main(words(data, out, "--resume")) == 0
    assert decoded - 100 == tuning.settings - 19
    assert DecodeParams.from_json(out) == tuning.params and not kept.exists()


def test_eval_and_compare_take_the_parameters(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], tuning: Tuning
) -> None:
    file = tmp_path / "params.json"
    file.write_text(tuning.found.to_json())
    where = words(data, tmp_path / "results.json")[:-2]
    assert eval_tool.main([*where, "--params", str(file), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert DecodeParams.from_dict(printed["parameters"]) == tuning.found
    assert printed["metrics"]["AP"] == trials_of(data).ap(tuning.found, np.ones(PICTURES, bool))
    # What stands on the line goes before the file, also where it says the default.
    assert eval_tool.main([*where, "--params", str(file), "--detection_threshold", "0.1", "--json"]) == 0
    given = json.loads(capsys.readouterr().out)["parameters"]
    assert given == tuning.found.replace(detection_threshold=0.1).to_dict()
    both = [f"one={data / 'out'}", f"other={data / 'out'}", "--datalist_txt", str(data / "datalist.txt")]
    assert compare_tool.main([*both, "--data_root", str(data), "--params", str(file), "--rounds", "10", "--json"]) == 0
    capsys.readouterr()
    assert eval_tool.main([*where, "--params", str(file), "--report", str(tmp_path / "report")]) == 0
    page = (tmp_path / "report" / "index.html").read_text()
    assert str(tuning.found.detection_threshold) in page


def test_the_tuning_fits_its_own_rescoring(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], tuning: Tuning
) -> None:
    assert tuning.found.rescoring is not None
    with pytest.raises(ValueError, match="start: has a rescoring"):
        tune(trials_of(data), tuning.found)
    file = tmp_path / "params.json"
    file.write_text(tuning.found.to_json())
    assert tool.main(words(data, tmp_path / "out.json", "--params", file)) == 1
    assert str(file) in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        eval_tool.main([*words(data, tmp_path / "r.json")[:-2], "--params", str(file), "--score_per_joint"])
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert f"--params {file}: rescoring: given, expected None with score_per_joint" in " ".join(message.split())


def test_bad_parameters_and_data(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    where = words(data, tmp_path / "results.json")[:-2]
    for file, said in ((bad, "hrnetae params"), (tmp_path / "none.json", "No such file")):
        with pytest.raises(SystemExit) as caught:
            eval_tool.main([*where, "--params", str(file)])
        assert caught.value.code == 1
        message = capsys.readouterr().err
        assert str(file) in message and said in message and message.count("\n") == 1
    assert tool.main(words(data, tmp_path)) == 1
    assert tool.main(words(data, tmp_path / "p.json", "--folds", PICTURES + 1)) == 1
    assert str(PICTURES) in capsys.readouterr().err
    (tmp_path / "q.json.trials").mkdir()
    (tmp_path / "q.json.trials" / "mine.txt").write_text("kept")
    assert tool.main(words(data, tmp_path / "q.json")) == 1
    broken = tmp_path / "broken"
    shutil.copytree(data / "out", broken)
    os.truncate(broken / "output_000004.npz", 1000)
    line = words(data, tmp_path / "r.json")
    line[1] = str(broken)
    assert tool.main(line) == 1
    assert "output_000004.npz" in capsys.readouterr().err and not (tmp_path / "r.json").exists()
