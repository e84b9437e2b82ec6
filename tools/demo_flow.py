"""The demo's steps, each by the code of the verb that does it: pictures, inputs, model folders, outputs, metrics."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from hrnetae.decoder import available_processors
from hrnetae.evaluation.drawing import draw
from hrnetae.evaluation.drawn_scenes import DrawnScene, draw_scene, scenes_ground_truth
from hrnetae.evaluation.evaluate import EvalJob, EvalReport, evaluate
from hrnetae.evaluation.results import Results
from hrnetae.files.atomic import atomic_write
from hrnetae.files.errors import DataError
from hrnetae.files.pictures import read_picture, write_picture
from hrnetae.files.vamc_config import read_vamc_config
from hrnetae.poses import Poses
from hrnetae.runtime.build import BuildReport, build
from hrnetae.runtime.conversion import ConvertJob, convert
from hrnetae.runtime.vamp import Vamp, VampJob, VampRun

DTYPES = ("fp32", "fp16", "int8")
PICTURES = 64  # the seeds 0, 1, ...: the network has never seen them
CALIBRATION_SEEDS = range(2000, 2050)
SIDE = 256  # pixels, of the network's input
OWN_FOLDERS = ("val2017", "calibration", "data_npz", "models", "outputs", "drawn")  # what a run begins without
LEAST_SCORE = 0.25  # of a person that is drawn
LEAST_VALUE = 0.2  # of a joint that is drawn: those that were filled in are mostly outside or hidden

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Folder:
    """Where the demo's files lie."""

    root: Path

    @property
    def pictures(self) -> Path:
        return self.root / "val2017"

    @property
    def calibration(self) -> Path:
        return self.root / "calibration"

    @property
    def ground_truth(self) -> Path:
        return self.root / "person_keypoints_val2017.json"

    @property
    def inputs(self) -> Path:
        return self.root / "data_npz"

    @property
    def datalist(self) -> Path:
        return self.root / "datalist.txt"

    @property
    def vdsp_params(self) -> Path:
        return self.root / "vdsp_params.json"

    @property
    def checkpoint(self) -> Path:
        return self.root / "hrnet_demo.onnx"

    def build_file(self, dtype: str) -> Path:
        """What vamc builds this kind of network from."""
        return self.root / f"hrnet_{dtype}.yaml"

    def outputs(self, dtype: str) -> Path:
        """What vamp leaves."""
        return self.root / "outputs" / dtype

    def results(self, dtype: str) -> Path:
        """The people found, as COCO results."""
        return self.root / f"results_{dtype}.json"

    def drawn(self, dtype: str) -> Path:
        """The pictures with the people found."""
        return self.root / "drawn" / dtype


@dataclass(frozen=True)
class Variant:
    """One of the networks, built, run and scored."""

    model: BuildReport
    run: VampRun
    evaluation: EvalReport


def demo_network() -> bytes:
    """The network that the package carries, as ONNX."""
    return (resources.files("hrnetae.data") / "demo" / "hrnet_demo.onnx").read_bytes()


def draw_pictures(folder: Folder, count: int) -> None:
    """Draw so many scenes and their ground truth, and others to calibrate with."""
    scenes = [draw_scene(seed) for seed in range(count)]
    truth = scenes_ground_truth(scenes)
    _write_pictures(folder.pictures, [image["file_name"] for image in truth["images"]], scenes)
    _write_text(folder.ground_truth, json.dumps(truth) + "\n")
    others = [draw_scene(seed) for seed in CALIBRATION_SEEDS]
    _write_pictures(folder.calibration, [f"{seed:012d}.png" for seed in CALIBRATION_SEEDS], others)


def convert_pictures(folder: Folder) -> None:
    """What ``hrnetae convert-image`` does."""
    report = convert(ConvertJob(folder.pictures, folder.inputs, folder.datalist, workers=available_processors()))
    if report.failed:
        raise DataError(report.failed[0])


def write_settings(folder: Folder) -> None:
    """The network, its preprocessing, and a build file for each kind of numbers."""
    with atomic_write(folder.checkpoint) as stream:
        stream.write(demo_network())
    _write_text(folder.vdsp_params, json.dumps(_vdsp_params(), indent=2) + "\n")
    for dtype in DTYPES:
        _write_text(folder.build_file(dtype), _build_file(folder, dtype))


def run_variant(folder: Folder, dtype: str) -> Variant:
    """What ``hrnetae vamc build``, ``hrnetae vamp`` and ``hrnetae eval`` do, one after the other."""
    model = build(read_vamc_config(folder.build_file(dtype)))
    with Vamp(VampJob(str(model.folder), folder.vdsp_params, folder.datalist, folder.outputs(dtype))) as vamp:
        run = vamp.run(1)
    if run.failed:
        raise DataError(run.failed[0][1])
    job = EvalJob(folder.outputs(dtype), folder.datalist, folder.root, out=folder.results(dtype))
    return Variant(model, run, evaluate(job))


def draw_people(folder: Folder, dtype: str, results: Results) -> None:
    """The pictures with the people who were found."""
    truth = json.loads(folder.ground_truth.read_text())
    folder.drawn(dtype).mkdir(parents=True, exist_ok=True)
    for image in truth["images"]:
        rows = results.image_ids == image["id"]
        poses = Poses(results.keypoints[rows], results.scores[rows], np.zeros((int(rows.sum()), 17, 2), np.float32))
        picture = read_picture(folder.pictures / image["file_name"])
        write_picture(
            folder.drawn(dtype) / image["file_name"], draw(picture, poses, min_score=LEAST_SCORE, min_value=LEAST_VALUE)
        )


def _write_pictures(folder: Path, names: Sequence[str], scenes: Sequence[DrawnScene]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, scene in zip(names, scenes, strict=True):
        write_picture(folder / name, scene.picture)


def _vdsp_params() -> dict[str, Any]:
    return {
        "OpType": "FUSION_OP_RGB_LETTERBOX_CVTCOLOR_NORM_TENSOR",
        "OpConfig": {
            "IimageFormat": "RGB_PLANAR",
            "OimageWidth": SIDE,
            "OimageHeight": SIDE,
            "Mean": list(_MEAN),
            "Std": list(_STD),
            "NormaType": "DIV255_MINUSMEAN_DIVSTD",
            "ColorCvtCode": "NO_CHANGE",
            "ResizeType": "BILINEAR_CV",
            "Padding": [114, 114, 114],
        },
    }


def _build_file(folder: Folder, dtype: str) -> str:
    """As the model pages write it. The paths are JSON strings, which YAML reads as they stand."""
    return f"""name: hrnet_demo_{dtype}
frontend:
  type: onnx
  checkpoint: {json.dumps(str(folder.checkpoint))}
  dtype: fp32
  shape:
    input.1: [1, 3, {SIDE}, {SIDE}]
backend:
  type: tvm_vacc
  dtype: {dtype}
  quantize:
    calibrate_mode: max
    quantize_per_channel: true
dataset:
  type: tvm
  path: {json.dumps(str(folder.calibration))}
  sampler:
    suffix: png
    get_data_num: {len(CALIBRATION_SEEDS)}
  process_ops:
    - type: DecodeImage
    - type: Resize
      size: [{SIDE}, -1]
      adaptive_side: long
    - type: Pad
      pad_to_square: true
    - type: Normalize
      div255: true
      mean: {list(_MEAN)}
      std: {list(_STD)}
    - type: ToTensor
workspace:
  path: {json.dumps(str(folder.root / "models"))}
"""


def _write_text(path: Path, text: str) -> None:
    with atomic_write(path) as stream:
        stream.write(text.encode())
