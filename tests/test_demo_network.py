"""The bundled network: small, and good on scenes that it was not trained on."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hrnetae import Decoder
from hrnetae.evaluation.drawn_scenes import draw_scene, scenes_ground_truth
from hrnetae.evaluation.ground_truth import GroundTruth
from hrnetae.evaluation.metrics import keypoint_metrics
from hrnetae.evaluation.results import Results
from hrnetae.tools.train_demo import DEMO_SEEDS, MEAN, SIDE, STD, letterbox

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def network() -> bytes:
    return resources.files("hrnetae").joinpath("data", "demo", "hrnet_demo.onnx").read_bytes()


@pytest.fixture(scope="module")
def session(network: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])


def test_network_is_small_and_plain(network: bytes) -> None:
    import onnx

    assert len(network) <= 4_000_000
    model = onnx.load_from_string(network)
    onnx.checker.check_model(model, full_check=True)
    kinds = {node.op_type for node in model.graph.node}
    assert "BatchNormalization" not in kinds  # folded
    assert {"Conv", "Relu", "Add", "Resize"} <= kinds
    assert b"/home/" not in network and b"/tmp/" not in network  # no paths of the machine that wrote it


def test_network_takes_a_square_picture_and_gives_maps(session: Any) -> None:
    ((given,), (made,)) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape, given.type) == ("input.1", [1, 3, SIDE, SIDE], "tensor(float)")
    assert (made.shape, made.type) == ([1, 34, SIDE // 4, SIDE // 4], "tensor(float)")


@pytest.mark.slow
def test_network_finds_the_people_of_the_demo(session: Any) -> None:
    """The demo's 64 scenes, flip test, the decoder's defaults: AP 0.80 or more; and flips help."""
    mean, std = (np.array(values, np.float32)[:, None, None] for values in (MEAN, STD))

    def maps(picture: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        scaled = (picture.transpose(2, 0, 1).astype(np.float32) / 255 - mean) / std
        output: np.ndarray[Any, Any] = session.run(None, {"input.1": scaled[None]})[0]
        return output

    scenes = [draw_scene(seed) for seed in DEMO_SEEDS]
    truth = GroundTruth(Path("drawn"), scenes_ground_truth(scenes), {}, None)
    both, alone = [], []
    for number, scene in enumerate(scenes, 1):
        boxed = letterbox(scene.picture)[0]
        plain, flipped = maps(boxed), maps(boxed[:, ::-1])
        both.append(Results.of_poses(Decoder().decode(plain, flipped, image_size=scene.image_size), number))
        alone.append(Results.of_poses(Decoder().decode(plain, image_size=scene.image_size), number))
    ids = range(1, len(scenes) + 1)
    with_flip, without = (keypoint_metrics(truth, Results.joined(parts), ids)["AP"] for parts in (both, alone))
    assert with_flip >= 0.80
    assert with_flip > without - 0.01


@pytest.mark.skipif(not (ROOT / "tools").is_dir(), reason="no training log here: not a source checkout")
def test_the_training_log_is_that_of_the_bundled_network(network: bytes) -> None:
    log = (ROOT / "tools" / "train_demo.log").read_text(encoding="utf-8").splitlines()
    assert log[-1] == f"hrnet_demo.onnx: {len(network)} bytes"
