"""The whole flow on a real network and real pictures, by the page's command lines: what comes out is what was recorded.

The recorded outputs and metrics were made by other code: a few lines around ONNX Runtime, and pycocotools.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden import SHARED

from hrnetae.files import read_datalist
from hrnetae.tools import cli

pytest.importorskip("cv2")
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(SHARED is None, reason="the recorded inputs (../shared or HRNETAE_SHARED) are absent"),
]

VDSP = {
    "OpType": "FUSION_OP_RGB_LETTERBOX_CVTCOLOR_NORM_TENSOR",
    "OpConfig": {
        "OimageWidth": 512,
        "OimageHeight": 512,
        "ResizeType": "BILINEAR_CV",
        "ColorCvtCode": "NO_CHANGE",
        "NormaType": "DIV255_MINUSMEAN_DIVSTD",
        "Mean": [0.485, 0.456, 0.406],
        "Std": [0.229, 0.224, 0.225],
    },
}


def build(root: Path, dtype: str = "fp32") -> Path:
    """``vamc build`` of the network, as a model prefix; the preprocessing's file beside it."""
    assert SHARED is not None
    (root / "vdsp.json").write_text(json.dumps(VDSP))
    settings = {
        "name": "realnet",
        "frontend": {
            "type": "onnx",
            "shape": {"input.1": [1, 3, 512, 512]},
            "checkpoint": str(SHARED / "realnet" / "realnet.onnx"),
            "dtype": "fp32",
        },
        "backend": {"type": "tvm_vacc", "dtype": dtype},
        "workspace": {"path": str(root / "deploy_weights")},
    }
    (root / "build.yaml").write_text(json.dumps(settings))  # JSON is YAML
    assert cli.main(["vamc", "build", str(root / "build.yaml")]) == 0
    return root / "deploy_weights" / "realnet" / "mod"


def run_flow(root: Path, pictures: Path, *more: str) -> Path:
    """convert-image, vamc build and vamp; returns the folder of the outputs. The list is root / datalist.txt."""
    inputs, datalist, out = root / "coco_flip_npz", root / "datalist.txt", root / "model_throughput_npz"
    words = ["--image_dir", pictures, "--save_dir", inputs, "--datalist", datalist]
    assert cli.main(["convert-image", *map(str, words)]) == 0
    words = ["-m", build(root), "--vdsp_params", root / "vdsp.json", "--datalist", datalist, "--path_output", out]
    assert cli.main(["vamp", *map(str, words), "-i", "2", "p", "2", "-b", "1", "-s", "[3,512,512]", *more]) == 0
    return out


def recorded_outputs() -> dict[str, Path]:
    """Of the pictures without their flips: those were mirrored after the letterbox."""
    assert SHARED is not None
    sample = SHARED / "realnet" / "sample"
    stems = read_datalist(sample / "datalist.txt").stems
    return {stem: sample / f"output_{line:06d}.npz" for line, stem in enumerate(stems) if not stem.endswith("_flip")}


def test_outputs_are_the_recorded_ones(tmp_path: Path) -> None:
    assert SHARED is not None
    want = dict(sorted(recorded_outputs().items())[:3])
    (tmp_path / "val2017").mkdir()
    for stem in want:
        shutil.copy(SHARED / "coco" / "val2017" / f"{stem}.jpg", tmp_path / "val2017")
    out = run_flow(tmp_path, tmp_path / "val2017")
    words = ["--file_path", tmp_path / "val2017", "--model", tmp_path / "deploy_weights" / "realnet"]
    words += ["--vdsp_params_info", tmp_path / "vdsp.json", "--save_dir", tmp_path / "runstream"]
    assert cli.main(["runstream", *map(str, words)]) == 0
    for number, (stem, path) in enumerate(want.items()):
        with (
            np.load(path) as recorded,
            np.load(out / f"output_{2 * number:06d}.npz") as vamp,
            np.load(tmp_path / "runstream" / f"{stem}.npz") as runstream,
        ):
            assert vamp["output_0"].dtype == recorded["output_0"].dtype and list(vamp) == list(recorded)
            np.testing.assert_allclose(vamp["output_0"], recorded["output_0"], rtol=2e-3, atol=2e-3)
            assert (runstream["output_0"].astype(np.float16) == vamp["output_0"]).all()


@pytest.mark.slow
def test_metrics_are_the_recorded_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert SHARED is not None
    out = run_flow(tmp_path, SHARED / "coco" / "val2017")
    capsys.readouterr()
    words = ["--data_root", SHARED / "coco", "--output_data", out, "--datalist_txt", tmp_path / "datalist.txt"]
    assert cli.main(["eval", *map(str, words), "--json"]) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    recorded = json.loads((SHARED / "realnet" / "metrics.json").read_text())["all_fp16_flippicture"]
    assert report["images"] == recorded["pictures"] == 152
    assert report["metrics"]["AP"] == pytest.approx(recorded["metrics"]["AP"], abs=1e-3)
    assert report["metrics"]["AR"] == pytest.approx(recorded["metrics"]["AR"], abs=2e-3)
