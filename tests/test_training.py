"""The training of the demo's network: its samples fit the decoder, its losses their formulas, its seeds stay apart."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hrnetae import Decoder
from hrnetae.evaluation.drawn_scenes import DrawnScene, draw_scene
from hrnetae.skeleton import COCO17
from hrnetae.tools import train_demo

CELLS = train_demo.SIDE // 4
K = len(COCO17)


def gaussian(x: float, y: float, sigma: float = train_demo.SIGMA) -> NDArray[np.float64]:
    """(CELLS, CELLS), written down once more: height 1 at cell position (x, y)."""
    rows, columns = np.mgrid[:CELLS, :CELLS]
    return np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))


def ideal_maps(joints: NDArray[np.float32]) -> NDArray[np.float32]:
    """(2K, CELLS, CELLS): what a perfect network makes of a sample's joints (P, K, 3) in input pixels."""
    maps = np.zeros((2 * K, CELLS, CELLS))
    for person, row in enumerate(joints):
        for k, (x, y, v) in enumerate(row):
            if v > 0:
                blob = gaussian(x / 4 - 0.5, y / 4 - 0.5)
                maps[K + k][blob > np.maximum(maps[k], 0.01)] = 2.0 * person
                maps[k] = np.maximum(maps[k], blob)
    return maps.astype(np.float32)


def mirrored(joints: NDArray[np.float32]) -> NDArray[np.float32]:
    turned = joints[:, list(COCO17.flip_index)].copy()
    turned[:, :, 0] = train_demo.SIDE - turned[:, :, 0]
    return turned


# ------------------------------------------------------------------------------------------------------------- samples


def test_seeds_of_training_watching_and_demo_stay_apart() -> None:
    watched, demo = set(train_demo.WATCHED_SEEDS), set(train_demo.DEMO_SEEDS)
    assert len(demo) == len(watched) == 64 and not watched & demo
    assert max(watched | demo) < train_demo.FIRST_TRAINING_SEED


def lonely(seed: int) -> DrawnScene:
    """A scene of one figure; the first after the seed."""
    while len((scene := draw_scene(seed)).annotations) != 1:
        seed += 1
    return scene


@pytest.mark.parametrize("flip", [False, True])
def test_perfect_maps_of_a_sample_decode_to_the_ground_truth(flip: bool) -> None:
    """The way into the network and the decoder's way back are each other's inverse.

    A bilinear surface has its maxima at the cells' centres, 4 input pixels apart: up to 2 pixels of error each way, and
    1 for what is rounded on the way. Little of it is left in the mean of many; a shift by half a cell would show.
    """
    errors = []
    for seed in range(20_000, 20_120, 20):
        scene = lonely(seed)
        boxed, joints = train_demo.as_sample(scene)
        assert boxed.shape == (train_demo.SIDE, train_demo.SIDE, 3)
        maps = ideal_maps(joints)
        poses = Decoder().decode(maps, ideal_maps(mirrored(joints)) if flip else None, image_size=scene.image_size)
        truth = np.reshape(scene.annotations[0]["keypoints"], (K, 3))
        labelled = truth[:, 2] > 0
        assert len(poses) == 1
        difference = poses.keypoints[0, labelled, :2] - truth[labelled, :2]
        errors.append(difference * train_demo.SIDE / max(scene.image_size))
    error = np.concatenate(errors)
    assert np.abs(error).max() < 3
    assert np.abs(error.mean(axis=0)).max() < 0.8


def test_letterbox_centres_the_picture_on_grey() -> None:
    picture = np.full((100, 200, 3), 7, np.uint8)
    boxed, scale, left, top = train_demo.letterbox(picture)
    assert (scale, left, top) == (1.28, 0.0, 64.0)
    assert (boxed[64:192] == 7).all() and (boxed[:64] == 114).all() and (boxed[192:] == 114).all()


def test_joints_move_with_their_picture() -> None:
    """Every joint is one pixel, whose colour names it; after cropping and mirroring it is still there, exchanged."""
    rng = np.random.default_rng(0)
    side, crop = 200, 120
    picture = np.zeros((side, side, 3), np.uint8)
    ys, xs = np.divmod(rng.permutation(side**2)[: 2 * K].reshape(2, K), side)
    joints = np.stack([xs + 0.5, ys + 0.5, np.full((2, K), 2)], axis=2).astype(np.float32)
    names = 1 + np.arange(2 * K).reshape(2, K)
    picture[ys, xs, 0] = names
    exchanged = names[:, list(COCO17.flip_index)]
    inside = mirrors = 0
    for _ in range(30):
        part, moved = train_demo.random_part(rng, picture, joints, crop)
        assert part.shape == (crop, crop, 3) and moved.shape == joints.shape and (moved[..., 2] == 2).all()
        columns, rows = np.floor(moved[..., :2]).astype(int).transpose(2, 0, 1)
        shown = (columns >= 0) & (columns < crop) & (rows >= 0) & (rows < crop)
        found = part[rows[shown], columns[shown], 0]
        mirror = not (found == names[shown]).all()
        assert (found == (exchanged if mirror else names)[shown]).all()
        inside, mirrors = inside + found.size, mirrors + mirror
    assert inside > 100 and 5 < mirrors < 25
    assert (joints[..., 0] == xs + 0.5).all()  # the sample itself stays


def test_batches_take_every_sample_once_a_round() -> None:
    pictures = np.full((6, 64, 64, 3), 100, np.uint8)
    joints = np.zeros((6, 1, K, 3), np.float32)
    joints[..., 2] = np.arange(6)[:, None, None]  # the flag tells which sample it is
    source = train_demo.batches(np.random.default_rng(0), pictures, joints, 2, 32)
    taken = [next(source) for _ in range(6)]
    assert all(part.shape == (2, 32, 32, 3) and part.dtype == np.uint8 for part, _ in taken)
    assert all(part.min() >= 70 and part.max() <= 135 for part, _ in taken)  # 100 in other light
    for round_start in (0, 3):
        flags = [moved[i, 0, 0, 2] for _, moved in taken[round_start : round_start + 3] for i in range(2)]
        assert sorted(flags) == [0, 1, 2, 3, 4, 5]


# -------------------------------------------------------------------------------------------------------------- losses


def random_joints(rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    cells = rng.uniform(-2, CELLS + 1, size=(3, 4, K, 2)).astype(np.float32)
    labelled = rng.random((3, 4, K)) < 0.7
    labelled[0] = False  # a picture of nobody
    labelled[1, 1:] = False  # of one person
    return cells, labelled


def test_losses_are_those_of_the_paper() -> None:
    """Against loops over the definitions."""
    torch = pytest.importorskip("torch", reason="training needs torch")
    from hrnetae.networks.training import losses

    rng = np.random.default_rng(3)
    cells, labelled = random_joints(rng)
    output = rng.normal(size=(3, 2 * K, CELLS, CELLS)).astype(np.float32)
    found = losses(torch.from_numpy(output), torch.from_numpy(cells), torch.from_numpy(labelled), train_demo.SIGMA)

    heat, pulls, pushes = [], [], []
    for n in range(3):
        target = np.zeros((K, CELLS, CELLS))
        means, variances = [], []
        for person in range(4):
            tags = []
            for k in range(K):
                x, y = cells[n, person, k]
                column, row = round(float(x)), round(float(y))
                if labelled[n, person, k] and 0 <= column < CELLS and 0 <= row < CELLS:
                    target[k] = np.maximum(target[k], gaussian(x, y))
                    tags.append(output[n, K + k, row, column])
            if tags:
                means.append(np.mean(tags))
                variances.append(np.var(tags))
        heat.append(np.mean((output[n, :K] - target) ** 2))
        pulls.append(np.mean(variances) if means else 0.0)
        pairs = [math.exp(-((a - b) ** 2)) for i, a in enumerate(means) for j, b in enumerate(means) if i != j]
        pushes.append(np.mean(pairs) / 2 if pairs else 0.0)
    assert found.heat.item() == pytest.approx(np.mean(heat), rel=1e-5)
    assert found.pull.item() == pytest.approx(np.mean(pulls), rel=1e-5)
    assert found.push.item() == pytest.approx(np.mean(pushes), rel=1e-5)
    assert found.total.item() == pytest.approx(np.mean(heat) + 3e-3 * (np.mean(pulls) + np.mean(pushes)), rel=1e-5)


def test_mean_weights_follow_the_network() -> None:
    torch = pytest.importorskip("torch", reason="training needs torch")
    from hrnetae.networks.training import MeanWeights

    linear = torch.nn.Linear(1, 1, bias=False)
    network = torch.nn.Sequential(linear, torch.nn.BatchNorm1d(1))
    torch.nn.init.constant_(linear.weight, 0.0)
    mean = MeanWeights(network, 0.9)
    expected = 0.0
    for step in range(1, 200):
        torch.nn.init.constant_(linear.weight, float(step))
        decay = min(0.9, step / (step + 10))
        expected = decay * expected + (1 - decay) * step
        mean.update(network, step)
    (weight, *_) = mean.network.parameters()
    assert weight.item() == pytest.approx(expected, rel=1e-5)
    assert not mean.network.training


# ------------------------------------------------------------------------------------------------------------ training


def arguments(work: Path, steps: int) -> list[str]:
    small = ["--scenes", "6", "--batch", "2", "--crop", "64", "--watch", "2"]
    return ["--work", str(work), "--out", str(work / "network.onnx"), "--steps", str(steps), *small]


@pytest.mark.slow
def test_training_is_taken_up_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", reason="training needs torch")
    pytest.importorskip("onnx", reason="writing ONNX needs it")
    import onnxruntime

    monkeypatch.setattr(train_demo, "WATCHED_SEEDS", range(1000, 1002))
    monkeypatch.setattr(train_demo, "DEMO_SEEDS", range(2))
    threads = torch.get_num_threads()
    try:
        assert train_demo.main(arguments(tmp_path, 2)) == 0
        assert train_demo.main(arguments(tmp_path, 4)) == 0
    finally:
        torch.set_num_threads(threads)
    log = (tmp_path / "train_demo.log").read_text().splitlines()
    assert [line.split()[1] for line in log if line.startswith("step")] == ["2", "4"]
    assert "taken up at step 2" in log
    assert torch.load(tmp_path / "state.pt", weights_only=True)["progress"]["step"] == 4

    # The ONNX file computes what the kept weights do.
    from hrnetae.networks.hrnet import PoseNetwork

    network = PoseNetwork(train_demo.architecture())
    network.load_state_dict(torch.load(tmp_path / "best.pt", weights_only=True))
    picture = torch.randn(1, 3, train_demo.SIDE, train_demo.SIDE)
    with torch.no_grad():
        expected = network.eval()(picture)[0].numpy()
    session = onnxruntime.InferenceSession(tmp_path / "network.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"input.1": picture.numpy()})
    assert found.shape == (1, 2 * K, CELLS, CELLS)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        train_demo.main(["--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    for action in train_demo.build_parser()._actions:
        assert isinstance(action, argparse.Action) and action.option_strings[0] in shown
