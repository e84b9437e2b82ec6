"""The build file of vamc in its two schemas, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from hrnetae.files.errors import DataError
from hrnetae.files.vamc_config import Quantization, read_vamc_config

# The model page's own file: the older schema, with its indentation and comments of none.
PAGE = """\
name: hrnet

frontend:
  shape:
    input.1: [1,3,512,512]
  checkpoint: ./model/hrnet.onnx

backend:
  type: tvm_vacc
  dtype: fp16
  compile:
    cluster_mode: 0

  quantize:
    calibrate_mode: max
    quantize_per_channel: true

dataset:
  path: ./coco/hrnet_pose_calib
  sampler:
    suffix: jpg
    get_data_num: 200
  process_ops:
    - type: DecodeImage
    - type: Resize
      size: [512, -1]
      adaptive_side: long
    - type: Pad
      pad_to_square: true
    - type: Normalize
      div255: true
      mean: [0.485, 0.456, 0.406]
      std: [0.229, 0.224, 0.225]
    - type: ToTensor

workspace:
  work_dir: ./vacc
  enable_ir: false
  save_log: true
"""


def newer() -> dict[str, Any]:
    """The newer schema, int8, with every key that has a meaning."""
    return {
        "name": "pose_int8",
        "frontend": {
            "type": "onnx",
            "shape": {"input": [1, 3, 64, 64]},
            "checkpoint": "pose.onnx",
            "dtype": "fp32",
        },
        "backend": {
            "type": "tvm_vacc",
            "dtype": "int8",
            "compile": {"cluster_mode": 0, "data_transport_mode": 1},
            "quantize": {
                "calibrate_mode": "percentile",
                "quantize_per_channel": False,
                "calibrate_range": 0.999,
                "skip_conv_layers": [0, 3],
                "skip_matmul_layers": [1],
                "exclude_layers": ["head", 2],
                "weight_scale": "power2",
            },
        },
        "dataset": {
            "type": "tvm",
            "path": "calib",
            "sampler": {"suffix": ".JPEG", "get_data_num": 5},
            "process_ops": [{"type": "DecodeImage"}],
        },
        "workspace": {"path": "./deploy_weights/"},
    }


def write(folder: Path, data: dict[str, Any] | str) -> Path:
    path = folder / "build.yaml"
    path.write_text(data if isinstance(data, str) else yaml.safe_dump(data))
    return path


def test_the_pages_own_file(tmp_path: Path) -> None:
    config = read_vamc_config(write(tmp_path, PAGE))
    assert (config.name, config.frontend, config.dtype) == ("hrnet", "onnx", "fp16")
    assert config.checkpoint == Path("model/hrnet.onnx")
    assert config.shapes == {"input.1": (1, 3, 512, 512)}
    assert config.folder == Path("vacc/hrnet-fp16-none-1_3_512_512-vacc")
    assert config.settings == {
        "backend.compile.cluster_mode": 0,
        "workspace.enable_ir": False,
        "workspace.save_log": True,
    }
    assert config.unknown == {} and config.warnings == ()


def test_the_pages_own_file_as_int8(tmp_path: Path) -> None:
    config = read_vamc_config(write(tmp_path, PAGE.replace("fp16", "int8")))
    assert config.quantization == Quantization("max", True)
    assert config.folder == Path("vacc/hrnet-int8-max-1_3_512_512-vacc")
    assert config.dataset is not None
    assert (config.dataset.suffix, config.dataset.get_data_num) == ("jpg", 200)
    kinds = [op["type"] for op in config.dataset.process_ops]
    assert kinds == ["DecodeImage", "Resize", "Pad", "Normalize", "ToTensor"]
    assert config.dataset.process_ops[1]["size"] == [512, -1]


def test_the_newer_schema(tmp_path: Path) -> None:
    config = read_vamc_config(write(tmp_path, newer()))
    assert config.quantization == Quantization("percentile", False, 0.999, (0, 3), (1,), ("head", 2))
    assert config.folder == Path("deploy_weights/pose_int8")
    assert config.dataset is not None and config.dataset.suffix == "jpeg"
    assert config.settings["backend.quantize.weight_scale"] == "power2"
    assert config.warnings == ()


def test_unknown_keys_are_kept_and_named_once(tmp_path: Path) -> None:
    data = newer()
    data["backend"]["quantize"]["magic"] = {"level": 3}
    data["surprise"] = [1, 2]
    config = read_vamc_config(write(tmp_path, data))
    assert config.unknown == {"backend.quantize.magic": {"level": 3}, "surprise": [1, 2]}
    (warning,) = config.warnings
    assert "backend.quantize.magic, surprise" in warning and "\n" not in warning


def test_a_published_typo_is_understood(tmp_path: Path) -> None:
    data = newer()
    data["backend"]["quantize"]["alibrate_mode"] = data["backend"]["quantize"].pop("calibrate_mode")
    config = read_vamc_config(write(tmp_path, data))
    assert config.quantization.calibrate_mode == "percentile"
    assert len(config.warnings) == 1 and "alibrate_mode" in config.warnings[0]
    assert config.unknown == {}


def test_extra_operators_are_kept_with_a_word(tmp_path: Path) -> None:
    data = newer()
    data["graph"] = {"extra_ops": {"type": "yolov8_nms"}}
    config = read_vamc_config(write(tmp_path, data))
    assert config.settings["graph.extra_ops"] == {"type": "yolov8_nms"}
    assert len(config.warnings) == 1 and "graph.extra_ops" in config.warnings[0]


@pytest.mark.parametrize(
    ("checkpoint", "frontend"),
    [("net.onnx", "onnx"), ("NET.ONNX", "onnx"), ("net.pt", "pytorch"), ("net.h5", "keras"), ("net", "unknown")],
)
def test_the_older_schema_tells_the_format_by_the_suffix(tmp_path: Path, checkpoint: str, frontend: str) -> None:
    data = newer()
    del data["frontend"]["type"]
    data["frontend"]["checkpoint"] = checkpoint
    assert read_vamc_config(write(tmp_path, data)).frontend == frontend


def test_floats_need_no_dataset(tmp_path: Path) -> None:
    data = newer()
    del data["dataset"], data["backend"]["quantize"]
    data["backend"]["dtype"] = "fp32"
    config = read_vamc_config(write(tmp_path, data))
    assert config.dataset is None and config.quantization == Quantization()


def test_dates_and_other_kinds_of_yaml_become_text(tmp_path: Path) -> None:
    text = yaml.safe_dump(newer()) + "made: 2024-01-04\n1: one\n"
    config = read_vamc_config(write(tmp_path, text))
    assert config.unknown == {"made": "2024-01-04", "1": "one"}


REMOVED = (
    "name",
    "frontend.shape",
    "frontend.checkpoint",
    "backend.dtype",
    "dataset.path",
    "dataset.sampler.suffix",
    "dataset.sampler.get_data_num",
    "dataset.process_ops",
    "workspace.path",
)


@pytest.mark.parametrize("key", REMOVED)
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    data = newer()
    *sections, last = key.split(".")
    section = data
    for name in sections:
        section = section[name]
    del section[last]
    path = write(tmp_path, data)
    with pytest.raises(DataError) as caught:
        read_vamc_config(path)
    assert str(path) in str(caught.value) and key in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("backend.quantize.calibrate_mode", "median", "max, kl_divergence, percentile, mse"),
        ("backend.quantize.quantize_per_channel", "yes please", "true or false"),
        ("backend.quantize.calibrate_range", 1.5, "a share"),
        ("backend.quantize.skip_conv_layers", [-1], "whole numbers"),
        ("backend.quantize.exclude_layers", [1.5], "names of layers"),
        ("backend.quantize", [1], "a section"),
        ("backend.dtype", "bf16", "fp32, fp16, int8"),
        ("frontend.shape", [1, 3, 64, 64], "input names"),
        ("frontend.shape.input", [1, 3, 0, 64], "whole numbers"),
        ("frontend.shape.input", "1,3,64,64", "whole numbers"),
        ("frontend.checkpoint", 7, "text"),
        ("frontend.checkpoint", "a\0b.onnx", "text that can name a file"),
        ("frontend.checkpoint", "a\ud800.onnx", "text that can name a file"),
        ("workspace.path", "mo\0d", "text that can name a file"),
        ("name", "a\0b", "a name"),
        ("name", "a\udfff", "a name"),
        ("dataset.sampler.get_data_num", 0, "a whole number"),
        ("dataset.sampler.get_data_num", True, "a whole number"),
        ("dataset.process_ops", {"type": "DecodeImage"}, "a list of operations"),
        ("dataset.process_ops", ["DecodeImage"], "a list of operations"),
        ("name", "a/b", "a name"),
        ("name", "..", "a name"),
        ("frontend", "onnx", "a section"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, key: str, value: Any, expected: str) -> None:
    data = newer()
    *sections, last = key.split(".")
    section = data
    for name in sections:
        section = section[name]
    section[last] = value
    path = write(tmp_path, data)
    with pytest.raises(DataError) as caught:
        read_vamc_config(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: {key} is ") and expected in message and "\n" not in message


@pytest.mark.parametrize("text", ["", "just words", "[1, 2]", "a: [", "\x00", "a: &a [*a]\nb: {"])
def test_what_is_no_build_file(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(DataError, match="expected a build file") as caught:
        read_vamc_config(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_vamc_config(tmp_path / "none.yaml")
    with pytest.raises(DataError, match="a directory, expected a build file"):
        read_vamc_config(tmp_path)
