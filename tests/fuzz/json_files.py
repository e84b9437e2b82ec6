"""The readers of JSON: preprocessing, ground truth, results, manifests, records of runs, parameters, model_info."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from file_target import FileTarget
from mutate import Rng, draw_json

from hrnetae.evaluation.ground_truth import GroundTruth, load_ground_truth
from hrnetae.evaluation.results import Results
from hrnetae.evaluation.results_file import read_results
from hrnetae.files.errors import DataError
from hrnetae.files.model_folder import FORMAT as MANIFEST_FORMAT
from hrnetae.files.model_folder import Manifest, find_model
from hrnetae.files.run_record import FORMAT as RECORD_FORMAT
from hrnetae.files.run_record import RECORD_NAME, RunRecord, check_record, is_record_of, recorded_outputs
from hrnetae.files.vdsp import VdspParams, read_vdsp_params
from hrnetae.geometry import MOST_SIDE
from hrnetae.params import DecodeParams
from hrnetae.rescoring import FEATURES, Rescoring
from hrnetae.runtime.runstream import model_of_info

_LARGEST_ID = 2**62

# ----------------------------------------------------------------------------------------------------------------- vdsp

_CONFIG = {
    "IimageFormat": "RGB_PLANAR",
    "OimageWidth": 512,
    "OimageHeight": 512,
    "ResizeType": "BILINEAR_CV",
    "ColorCvtCode": "NO_CHANGE",
    "NormaType": "DIV255_MINUSMEAN_DIVSTD",
    "Mean": [0.485107421875, 0.4560546875, 0.406005859375],
    "Std": [0.22900390625, 0.2239990234375, 0.2249755859375],
    "PaddingValues": [114, 114, 114],
    "EdgePaddingType": "CONSTANT",
    "PaddingLeft": 1,
}
VDSP_SEEDS: tuple[Any, ...] = (
    {"OpType": "RGB_LETTERBOX_CVTCOLOR_NORM_TENSOR", "OpConfig": _CONFIG},
    {
        "OpType": "FUSION_OP_RGB_RESIZE_CVTCOLOR_CROP_NORM_TENSOR",
        "OpConfig": {**_CONFIG, "CropX": 3, "ResizeWidth": 600},
    },
    {
        "vdsp_op_type": 303,
        "config": [
            {"Property": "kOimageWidth", "DType": "uint32", "ParamType": "SCALAR", "Value": [512]},
            {"Property": "kMeanR", "DType": "fp16", "ParamType": "SCALAR", "Value": 14275},
            {"Property": "kNormaType", "Value": 4},
        ],
    },
    {
        "vdsp_op_type": 300,
        "iimage_width": 640,
        "short_edge_threshold": 256,
        "crop_size": 224,
        **{f"{name}{letter}": 14275 for name in ("mean", "std") for letter in "rgb"},
        "norma_type": 4,
        "color_cvt_code": 2,
    },
)


def _check_vdsp(found: VdspParams, _: bytes) -> str:
    numbers = (*found.mean, *found.std)
    if not all(type(number) is float and math.isfinite(number) for number in numbers):
        return f"constants {numbers}"
    if not all(type(level) is int and 0 <= level <= 255 for level in found.padding):
        return f"padding {found.padding}"
    sides = (*found.output_size, *found.resize_size, *found.crop, *(found.edges or ()), found.short_edge)
    if not all(side is None or (type(side) is int and 0 <= side <= MOST_SIDE) for side in sides):
        return f"sides {sides}"
    return ""


# --------------------------------------------------------------------------------------------- COCO: truth and results


def _keypoints() -> list[Any]:
    return [number for joint in range(17) for number in (10 * joint, 5 * joint + 0.5, 2)]


_PERSON = {
    "id": 7,
    "image_id": 1,
    "category_id": 1,
    "keypoints": _keypoints(),
    "num_keypoints": 17,
    "area": 900.5,
    "bbox": [0, 0, 160, 80],
    "iscrowd": 0,
}
TRUTH_SEEDS: tuple[Any, ...] = (
    {
        "info": {},
        "images": [
            {"id": 1, "file_name": "000000000001.jpg", "width": 200, "height": 100},
            {"id": 2, "file_name": "folder/b.png", "width": 1, "height": 32768},
            {"id": 3, "file_name": "no_size.png"},
        ],
        "annotations": [_PERSON, {**_PERSON, "id": 8, "iscrowd": 1, "num_keypoints": 0}],
        "categories": [{"id": 1, "name": "person", "keypoints": ["nose"], "skeleton": [[1, 2]]}],
    },
)


def _read_truth(path: Path, rng: Rng) -> GroundTruth:
    truth = load_ground_truth(path, path.parent if rng.random() < 0.5 else None)
    for stem in truth.by_stem:
        try:
            picture = truth.picture(stem)
        except DataError as error:
            if not str(error).startswith(str(path.parent)):
                raise AssertionError(f"an error that names no file: {error}") from None
            continue
        assert abs(picture.id) <= _LARGEST_ID, picture
        assert all(type(side) is int and 1 <= side <= 1 << 15 for side in picture.size), picture
    return truth


def _check_truth(found: GroundTruth, _: bytes) -> str:
    for one in found.dataset["annotations"]:
        if not all(abs(one[name]) <= _LARGEST_ID for name in ("id", "image_id", "category_id")):
            return f"annotation {one['id']} of picture {one['image_id']}"
    return ""


RESULT_SEEDS: tuple[Any, ...] = (
    [],
    [{"image_id": 1, "category_id": 1, "keypoints": _keypoints(), "score": 0.5, "bbox": [0, 0, 1.5, 2]}],
    [{"image_id": 10**12, "category_id": 1, "keypoints": _keypoints(), "score": 1} for _ in range(3)],
)


def _check_results(found: Results, _: bytes) -> str:
    count = len(found.image_ids)
    arrays = {"keypoints": (found.keypoints, (count, 17, 3)), "scores": (found.scores, (count,))}
    arrays["boxes"] = (found.boxes, (count, 4))
    for name, (array, shape) in arrays.items():
        if array.shape != shape or array.dtype != np.float64 or not np.isfinite(array).all():
            return f"{name}: {array.dtype} {array.shape}"
    return "" if found.image_ids.dtype == np.int64 and found.category_ids.shape == (count,) else "ids"


# ------------------------------------------------------------------------------------------------------ our own records

_TENSOR = {"name": "input.1", "shape": [1, 3, 512, 512], "dtype": "float32"}
MANIFEST_SEEDS: tuple[Any, ...] = (
    {
        "format": MANIFEST_FORMAT,
        **dict.fromkeys(("name", "backend", "dtype", "execution", "sha256"), "hrnet"),
        "inputs": [_TENSOR],
        "outputs": [{**_TENSOR, "name": "o"}],
        **{name: {"file": "x", "n": 1} for name in ("source", "versions", "settings", "unknown")},
        "calibration": {"mode": "max"},
    },
    {"nodes": [], "arg_nodes": []},
)


def _read_manifest(path: Path, _: Rng) -> Manifest | None:
    path.with_name("mod.onnx").touch()
    return find_model(path.parent).manifest


def _check_manifest(found: Manifest | None, _: bytes) -> str:
    if found is None:
        return ""
    tensors = (*found.inputs, *found.outputs)
    whole = all(type(size) is int and size >= -1 for one in tensors for size in one.shape)
    return "" if whole and isinstance(found.to_dict(), dict) else f"tensors {tensors}"


_RECORD = RunRecord("vamp", "onnxruntime", "float16", "a" * 64, "b" * 64, None)
RECORD_SEEDS: tuple[Any, ...] = (
    {"format": RECORD_FORMAT, **vars(_RECORD), "outputs": {f"output_{n:06d}.npz": f"/p/{n} 1 2 3" for n in range(3)}},
)


def _read_record(path: Path, _: Rng) -> Mapping[str, str]:
    ours = is_record_of(path.parent, _RECORD)
    outputs = recorded_outputs(path.parent)
    try:
        check_record(path.parent, _RECORD)
    except DataError:
        if ours:
            raise AssertionError("a record of this run and of another one") from None
        raise
    return outputs


def _check_record(found: Mapping[str, str], _: bytes) -> str:
    leads_out = [name for name in found if Path(name).name != name or "\0" in name or "\\" in name]
    return f"names that lead out of the folder: {leads_out}" if leads_out else ""


PARAMS_SEEDS: tuple[Any, ...] = tuple(
    {"format": "hrnetae params", "version": 1, "params": params.to_dict(), "report": {"ap": 0.5}}
    for params in (
        DecodeParams(),
        DecodeParams(input_size=(512, 512), tag_window=3, subpixel="fit", exact_geometry=True),
        DecodeParams(rescoring=Rescoring(0.5, tuple(0.25 for _ in FEATURES))),
    )
)


def _check_params(found: DecodeParams, _: bytes) -> str:
    if DecodeParams.from_dict(found.to_dict()) != found:
        return f"not the same from its own dict: {found}"
    numbers = [value for value in found.to_dict().values() if isinstance(value, (int, float))]
    return "" if all(math.isfinite(number) and abs(number) < 1e309 for number in numbers) else f"{found}"


INFO_SEEDS: tuple[Any, ...] = ({"model_name": "hrnet", "model_lib_path": "deploy_weights/hrnet/mod.so", "n": [1, 2]},)


def _check_info(found: str, _: bytes) -> str:
    return "" if found or isinstance(found, str) else f"{found!r}"


VDSP = FileTarget("vdsp", lambda rng: draw_json(rng, VDSP_SEEDS), lambda path, _: read_vdsp_params(path), _check_vdsp)
TRUTH = FileTarget("ground_truth", lambda rng: draw_json(rng, TRUTH_SEEDS), _read_truth, _check_truth)
RESULTS = FileTarget(
    "results", lambda rng: draw_json(rng, RESULT_SEEDS), lambda path, _: read_results(path), _check_results
)
MANIFEST = FileTarget(
    "manifest", lambda rng: draw_json(rng, MANIFEST_SEEDS), _read_manifest, _check_manifest, "mod.json"
)
RECORD = FileTarget("run_record", lambda rng: draw_json(rng, RECORD_SEEDS), _read_record, _check_record, RECORD_NAME)
PARAMS = FileTarget(
    "params",
    lambda rng: draw_json(rng, PARAMS_SEEDS),
    lambda path, _: DecodeParams.from_json(path),
    _check_params,
    errors=(ValueError,),
)
MODEL_INFO = FileTarget(
    "model_info", lambda rng: draw_json(rng, INFO_SEEDS), lambda path, _: model_of_info(path), _check_info
)
