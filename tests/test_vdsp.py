"""The vdsp parameter files: three layouts, every operator and value, and what is wrong with the others."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hrnetae.files.errors import DataError
from hrnetae.files.vdsp import LETTERBOX, RESIZE, RESIZE_CROP, SHORT_EDGE_CROP, VdspParams, read_vdsp_params
from hrnetae.runtime.preprocessing import normalisation_tables

LETTERBOX_OP = "FUSION_OP_RGB_LETTERBOX_CVTCOLOR_NORM_TENSOR"
# The file of the model page, as it stands there.
PAGE = """{
    "OpType": "FUSION_OP_RGB_LETTERBOX_CVTCOLOR_NORM_TENSOR",
    "OpConfig": {
        "IimageFormat": "RGB_PLANAR",
        "IimageWidth": 512,
        "IimageHeight": 512,
        "OimageWidth": 512,
        "OimageHeight": 512,
        "IimageWidthPitch": 512,
        "IimageHeightPitch": 512,
        "Mean": [
            0.485107421875,
            0.4560546875,
            0.406005859375
        ],
        "Std": [
            0.22900390625,
            0.2239990234375,
            0.2249755859375
        ],
        "NormaType": "DIV1275_MINUSONE",
        "ColorCvtCode": "NO_CHANGE",
        "ResizeType": "BILINEAR_CV"
    }
}"""
DIVIDED = {"NormaType": "MINUSMEAN_DIVSTD", "Mean": 0}
MEAN = tuple(float(np.float16(value)) for value in (0.485, 0.456, 0.406))
STD = tuple(float(np.float16(value)) for value in (0.229, 0.224, 0.225))
# As mmdeploy writes it: the bits of float16.
FLAT: dict[str, Any] = {
    "vdsp_op_type": 303,
    "iimage_format": 5000,
    "iimage_width": 640,
    "iimage_height": 640,
    "oimage_width": 416,
    "oimage_height": 416,
    "iimage_width_pitch": 640,
    "iimage_height_pitch": 640,
    "resize_type": 1,
    "color_cvt_code": 2,
    "color_space": 0,
    "padding_value_r": 114,
    "padding_value_g": 115,
    "padding_value_b": 116,
    "edge_padding_type": 0,
    "meanr": 22459,
    "meang": 22340,
    "meanb": 22136,
    "stdr": 21325,
    "stdg": 21284,
    "stdb": 21292,
    "norma_type": 3,
}
RANGE_255 = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


def read(folder: Path, content: object) -> VdspParams:
    path = folder / "vdsp.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return read_vdsp_params(path)


def op(settings: dict[str, Any], op_type: str = LETTERBOX_OP) -> dict[str, Any]:
    return {"OpType": op_type, "OpConfig": {"NormaType": "DIV255"} | settings}


def test_the_page_s_file(tmp_path: Path) -> None:
    params = read(tmp_path, PAGE)
    expected = VdspParams(
        path=str(tmp_path / "vdsp.json"),
        op_type=LETTERBOX_OP,
        kind=LETTERBOX,
        channels="RGB",
        color_code="NO_CHANGE",
        resize_type="BILINEAR_CV",
        norm_type="DIV1275_MINUSONE",
        mean=MEAN,  # type: ignore[arg-type]
        std=STD,  # type: ignore[arg-type]
        padding=(114, 114, 114),
        output_size=(512, 512),
    )
    assert dataclasses.replace(params, warnings=()) == expected
    (warning,) = params.warnings
    for part in ("vdsp.json", "DIV1275_MINUSONE", "ignores Mean", "Std", "HRNet", "DIV255_MINUSMEAN_DIVSTD"):
        assert part in warning
    assert "\n" not in warning
    assert read(tmp_path, PAGE.replace("DIV1275_MINUSONE", "DIV255_MINUSMEAN_DIVSTD")).warnings == ()


def test_four_keys_are_enough(tmp_path: Path) -> None:
    settings = {"IimageFormat": "BGR888", "ColorCvtCode": "BGR2RGB", "ResizeType": "BILINEAR"}
    params = read(tmp_path, op(settings))
    assert (params.channels, params.output_channels, params.resize_type) == ("BGR", "RGB", "BILINEAR")
    assert params.output_size == params.resize_size == params.crop == (None, None)
    assert params.padding == (114, 114, 114) and params.edges is None and params.warnings == ()


def test_the_flat_layout_decodes_float16_bits(tmp_path: Path) -> None:
    params = read(tmp_path, FLAT)
    assert (params.kind, params.norm_type, params.resize_type) == (LETTERBOX, "MINUSMEAN_DIVSTD", "BILINEAR")
    assert (params.channels, params.color_code) == ("RGB", "NO_CHANGE")
    assert params.mean == tuple(float(np.float16(value)) for value in RANGE_255[0])
    assert params.std == tuple(float(np.float16(value)) for value in RANGE_255[1])
    assert params.padding == (114, 115, 116) and params.output_size == (416, 416)
    assert params.warnings == ()


def test_the_flat_layout_with_a_crop(tmp_path: Path) -> None:
    content = {key: value for key, value in FLAT.items() if not key.startswith(("oimage", "padding"))}
    params = read(tmp_path, content | {"vdsp_op_type": 300, "short_edge_threshold": 256, "crop_size": 224})
    assert (params.kind, params.short_edge, params.output_size) == (SHORT_EDGE_CROP, 256, (224, 224))
    assert read(tmp_path, FLAT | {"vdsp_op_type": 301}).kind == RESIZE
    with pytest.raises(DataError, match="no short_edge_threshold"):
        read(tmp_path, content | {"vdsp_op_type": 300, "crop_size": 224})


@pytest.mark.parametrize("op_type", [303, LETTERBOX_OP, "RGB_LETTERBOX_CVTCOLOR_NORM_TENSOR"])
def test_the_layout_of_sdk_1(tmp_path: Path, op_type: object) -> None:
    settings = {
        "kIimageFormat": "RGB_PLANAR",
        "OimageWidth": [640],
        "OIMAGE_HEIGHT": 512,
        "Mean": [14275, 14156, 13951],
        "Std": [13140, 13099, 13107],
        "NormaType": "DIV255_MINUSMEAN_DIVSTD",
        "Padding": [114, 127, 0],
        "PaddingLeft": 3,
    }
    config = [{"Property": key, "DType": 3, "ParamType": 1, "Value": value} for key, value in settings.items()]
    params = read(tmp_path, {"vdsp_op_type": op_type, "config": config})
    assert (params.kind, params.norm_type) == (LETTERBOX, "DIV255_MINUSMEAN_DIVSTD")
    assert (params.mean, params.std) == (MEAN, STD)
    assert (params.padding, params.edges, params.output_size) == ((114, 127, 0), (3, 0, 0, 0), (640, 512))


def test_whole_numbers_of_the_newer_layout_are_numbers(tmp_path: Path) -> None:
    settings = {"NormaType": "MINUSMEAN_DIVSTD", "Mean": [104, 117, 123], "Std": 255}
    assert read(tmp_path, op(settings)).mean == (104.0, 117.0, 123.0)
    assert read(tmp_path, op(settings)).std == (255.0,) * 3


@pytest.mark.parametrize(
    ("op_type", "kind"),
    [
        ("FUSION_OP_RGB_LETTERBOX_CVTCOLOR_NORM_TENSOR", LETTERBOX),
        ("FUSION_OP_RGB_LETTERBOX_CVTCOLOR_NORM_TENSOR_EXT", LETTERBOX),
        ("FUSION_OP_RGB_RESIZE_CVTCOLOR_NORM_TENSOR", RESIZE),
        ("FUSION_OP_RGB_RESIZE_CVTCOLOR_CROP_NORM_TENSOR", RESIZE_CROP),
    ],
)
def test_every_operator(tmp_path: Path, op_type: str, kind: str) -> None:
    sizes = {"ResizeWidth": 256, "ResizeHeight": 260, "CropX": 16, "CropY": 0, "OimageWidth": 224}
    edges = {"PaddingLeft": 1, "PaddingRight": 2, "PaddingTop": 3, "PaddingBottom": 4}
    params = read(tmp_path, op(sizes | edges, op_type))
    assert params.kind == kind
    assert (params.resize_size, params.crop, params.output_size) == ((256, 260), (16, 0), (224, None))
    assert params.edges == (1, 2, 3, 4)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"Mean": [0.485, 0.456, 0.406]}, ["DIV255 is x / 255 and ignores Mean [0.485, 0.456, 0.406];"]),
        ({"Std": [58.4, 57.1, 57.4]}, ["ignores Std [58.4, 57.1, 57.4]", "needs MINUSMEAN_DIVSTD"]),
        ({"NormaType": "EQUAL", "Mean": [0.4] * 3, "Std": [0.2] * 3}, ["EQUAL is x", "needs DIV255_MINUSMEAN_DIVSTD"]),
        ({"NormaType": "MINUSMEAN", "Mean": 1.0, "Std": 2.0}, ["ignores Std"]),
        ({"ColorCvtCode": "BGR2RGB"}, ["BGR2RGB on RGB pictures", "the network gets BGR"]),
        ({"IimageFormat": "BGR888", "ColorCvtCode": "RGB2BGR"}, ["RGB2BGR on BGR pictures", "the network gets RGB"]),
        ({"Scale": 2, "Novelty": 1}, ["Scale, Novelty without effect here"]),
    ],
)
def test_doubts_are_warned_of(tmp_path: Path, settings: dict[str, Any], words: list[str]) -> None:
    (warning,) = read(tmp_path, op(settings)).warnings
    for word in [str(tmp_path / "vdsp.json"), *words]:
        assert word in warning


@pytest.mark.parametrize(
    "settings",
    [
        {"Mean": [0, 0, 0], "Std": [1, 1, 1]},
        {"ColorCvtCode": "RGB2BGR"},
        {"IimageWidth": 7, "TensorType0": "FP16", "EdgePaddingType": "CONSTANT"},
        {"NormaType": "DIV255_MINUSMEAN_DIVSTD", "Mean": [0.5] * 3, "Std": [0.5] * 3},
    ],
)
def test_nothing_to_warn_of(tmp_path: Path, settings: dict[str, Any]) -> None:
    assert read(tmp_path, op(settings)).warnings == ()


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("", ["not JSON"]),
        ("\x00\x01", ["not JSON"]),
        ("[" * 100_000, ["not JSON"]),
        ("[]", ["a JSON list", "OpType or vdsp_op_type"]),
        ("{}", ["keys none", "OpType"]),
        ({"OpTyp": 1}, ["keys OpTyp"]),
        ({"OpType": "BERT_EMBEDDING_OP"}, ["BERT_EMBEDDING_OP has no counterpart on the CPU", LETTERBOX_OP]),
        ({"OpType": None}, ["operator None"]),
        ({"OpType": [1]}, ["operator [1]"]),
        ({"vdsp_op_type": 302}, ["operator 302", "303"]),
        ({"vdsp_op_type": 303, "config": {}}, ["config is {}", "a list"]),
        ({"vdsp_op_type": 303, "config": [{"Value": 1}]}, ['config[0] is {"Value": 1}', "Property and Value"]),
        ({"OpType": LETTERBOX_OP, "OpConfig": 5}, ["OpConfig is 5"]),
        (op({"NormaType": "DIV127"}), ['NormaType "DIV127"', "DIV1275_MINUSONE"]),
        (op({"NormaType": 9}), ["NormaType 9"]),
        (op({"NormaType": True}), ["NormaType true"]),
        (op({"IimageFormat": "YUV_NV12"}), ['IimageFormat "YUV_NV12"', "RGB_PLANAR"]),
        (op({"ColorCvtCode": "YUV2RGB_NV12"}), ["ColorCvtCode", "BGR2RGB"]),
        (op({"ResizeType": "LANCZOS_CV"}), ['ResizeType "LANCZOS_CV"', "BILINEAR_PILLOW"]),
        (op({"EdgePaddingType": "REFLECT"}), ['EdgePaddingType "REFLECT"', "CONSTANT"]),
        (op({"OimageWidth": 0}), ["OimageWidth 0", "1 to 16384"]),
        (op({"OimageWidth": 1.5}), ["OimageWidth 1.5"]),
        (op({"CropX": -1}), ["CropX -1", "0 to 16384"]),
        (op({"OimageHeight": "512"}), ['OimageHeight "512"']),
        (op({"Padding": [114, 114]}), ["Padding [114, 114]", "red, green and blue"]),
        (op({"Padding": [114, 114, 256]}), ["Padding"]),
        (op({"Mean": [1, 2]}), ["Mean [1, 2]", "three numbers"]),
        (op({"Mean": [1, 2, "3"]}), ["Mean"]),
        (op({"NormaType": "MINUSMEAN_DIVSTD", "Std": [1, 1, 1]}), ["no Mean"]),
        (op({"NormaType": "MINUSMEAN_DIVSTD", "Mean": 0}), ["no Std"]),
        (op({"NormaType": "MINUSMEAN_DIVSTD", "Mean": 0, "Std": [1, 0, 1]}), ["Std [1.0, 0.0, 1.0]", "other than 0"]),
        (json.dumps(op({"Mean": [float("nan"), 1, 1]})), ["Mean [NaN, 1, 1]"]),
        (FLAT | {"meanr": 70000}, ["Mean 70000", "bits of a float16"]),
        (FLAT | {"meanr": -1}, ["Mean -1"]),
        (FLAT | {"stdr": 0x7C00}, ["Std 31744", "inf"]),
        (FLAT | {"stdr": 0}, ["Std [0.0, "]),
        (op({"PaddingLeft": math.inf}), ["PaddingLeft Infinity", "0 to 16384"]),
        (op({"PaddingLeft": math.nan}), ["PaddingLeft NaN", "0 to 16384"]),
        (op({"PaddingLeft": 10**400}), ["PaddingLeft 1000", "0 to 16384"]),
        (op({"ResizeWidth": 16385}), ["ResizeWidth 16385", "1 to 16384"]),
        (op({"CropY": 1e300}), ["CropY 1e+300"]),
        (op({"Padding": [math.inf, 0, 0]}), ["Padding [Infinity, 0, 0]"]),
        (op({"Mean": [10**400, 0, 0]}), ["Mean [1000", "three numbers that float32 can hold"]),
        (op({"Mean": [0, -1e300, 0]}), ["Mean [0, -1e+300, 0]", "three numbers that float32 can hold"]),
        ('{"OpType": ' + "1" * 5000 + "}", ["not JSON"]),
        (op(DIVIDED | {"Std": [1e-300, 1, 1]}), ["Std [1e-300, 1.0, 1.0]", "(x - Mean) / Std out of float32"]),
        (op(DIVIDED | {"Std": [1, 7e-37, 1]}), ["Std [1.0, 7e-37, 1.0]"]),  # 255 / 7e-37 is 3.6e38
        (op(DIVIDED | {"Mean": 3e38, "Std": [1, 1, -0.5]}), ["Std [1.0, 1.0, -0.5]"]),
        (op(DIVIDED | {"NormaType": "DIV255_MINUSMEAN_DIVSTD", "Std": 1e-39}), ["(x / 255 - Mean) / Std out of"]),
    ],
)
def test_what_is_refused(tmp_path: Path, content: object, parts: list[str]) -> None:
    with pytest.raises(DataError) as error:
        read(tmp_path, content)
    assert "\n" not in str(error.value)
    for part in [str(tmp_path / "vdsp.json"), *parts]:
        assert part in str(error.value)


@pytest.mark.parametrize(("norm_type", "std"), [("MINUSMEAN_DIVSTD", 8e-37), ("DIV255_MINUSMEAN_DIVSTD", 3e-39)])
def test_the_smallest_std_gives_finite_input(tmp_path: Path, norm_type: str, std: float) -> None:
    """255 / 8e-37 = 3.2e38 and 1 / 3e-39 = 3.3e38 are within float32, which ends at 3.4e38."""
    params = read(tmp_path, op({"NormaType": norm_type, "Mean": 0, "Std": std}))
    assert np.isfinite(normalisation_tables(params)).all()


def test_a_byte_order_mark(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeff" + PAGE).norm_type == "DIV1275_MINUSONE"


def test_a_file_that_is_none(tmp_path: Path) -> None:
    for path, part in ((tmp_path / "absent.json", "no such file"), (tmp_path, "directory")):
        with pytest.raises(DataError) as error:
            read_vdsp_params(path)
        assert str(path) in str(error.value) and part in str(error.value)
