"""The configurations that mmpose 0.x and HigherHRNet give their parsers, read into `DecodeParams`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from hrnetae.params import DecodeParams, check_whole

_REQUIRED = (
    "num_joints",
    "max_num_people",
    "detection_threshold",
    "tag_threshold",
    "use_detection_val",
    "ignore_too_much",
    "tag_per_joint",
    "nms_kernel",
    "nms_padding",
)
_OPTIONAL = ("use_udp", "score_per_joint")
# The rest of mmpose's test_cfg: the detector reads it, its parser does not.
_OF_THE_DETECTOR = (
    "adjust",
    "align_corners",
    "flip_test",
    "project2image",
    "refine",
    "return_heatmap",
    "scale_factor",
    "with_ae",
    "with_heatmaps",
)
# Where HigherHRNet's own configuration has them.
_HIGHERHRNET = {
    "num_joints": ("DATASET", "NUM_JOINTS"),
    "max_num_people": ("DATASET", "MAX_NUM_PEOPLE"),
    "detection_threshold": ("TEST", "DETECTION_THRESHOLD"),
    "tag_threshold": ("TEST", "TAG_THRESHOLD"),
    "use_detection_val": ("TEST", "USE_DETECTION_VAL"),
    "ignore_too_much": ("TEST", "IGNORE_TOO_MUCH"),
    "tag_per_joint": ("MODEL", "TAG_PER_JOINT"),
    "nms_kernel": ("TEST", "NMS_KERNEL"),
    "nms_padding": ("TEST", "NMS_PADDING"),
}


class ParserSettings(NamedTuple):
    """What a parser goes by. num_joints: K."""

    num_joints: int
    params: DecodeParams


def read_settings(cfg: Any) -> ParserSettings:
    """The settings of a mapping or of an object with attributes: mmcv's Config, yacs' CfgNode, a dict, a namespace.

    Raises TypeError or ValueError that names the key, what came and what was expected.
    """
    values = _entries(cfg)
    if {"DATASET", "MODEL", "TEST"} <= values.keys():
        values = _from_higherhrnet(values)
    for key in values:
        if key not in (*_REQUIRED, *_OPTIONAL, *_OF_THE_DETECTOR):
            raise ValueError(
                f"cfg.{key}: unknown, expected only {', '.join((*_REQUIRED, *_OPTIONAL))} and the test_cfg"
            )
    for key in _REQUIRED:
        if key not in values:
            raise ValueError(f"cfg.{key}: missing, expected a value")
    joints = check_whole("cfg.num_joints", values["num_joints"])
    if joints < 1:
        raise ValueError(f"cfg.num_joints: {joints}, expected 1 or more")
    settings = {key: values[key] for key in (*_REQUIRED, *_OPTIONAL) if key in values}
    padding = check_whole("cfg.nms_padding", settings.pop("nms_padding"))
    del settings["num_joints"]
    params = renamed_params({key: f"cfg.{key}" for key in settings}, settings)
    if 2 * padding != params.nms_kernel - 1:
        expected = f"(nms_kernel - 1) / 2 = {params.nms_kernel // 2}"
        raise ValueError(f"cfg.nms_padding: {padding}, expected {expected}: the maps keep their size")
    return ParserSettings(joints, params)


def renamed_params(names: Mapping[str, str], values: Mapping[str, Any]) -> DecodeParams:
    """``DecodeParams(**values)``, whose errors call a parameter what its user calls it. names: parameter -> that."""
    try:
        return DecodeParams(**values)
    except (TypeError, ValueError) as error:
        name, colon, rest = str(error).partition(":")
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{names.get(name, name)}{colon}{rest}") from None


def _entries(cfg: Any) -> dict[str, Any]:
    if isinstance(cfg, Mapping) or (hasattr(cfg, "keys") and hasattr(cfg, "__getitem__")):
        return {str(key): cfg[key] for key in cfg.keys()}  # noqa: SIM118 (mmcv's Config iterates otherwise)
    if cfg is None or isinstance(cfg, (str, bytes, int, float, list, tuple)):
        raise TypeError(f"cfg: {type(cfg).__name__}, expected a mapping or an object with attributes")
    known = (*_REQUIRED, *_OPTIONAL, "DATASET", "MODEL", "TEST")
    plain = {key: value for key, value in getattr(cfg, "__dict__", {}).items() if not key.startswith("_")}
    return plain | {key: getattr(cfg, key) for key in known if hasattr(cfg, key)}


def _from_higherhrnet(values: Mapping[str, Any]) -> dict[str, Any]:
    """The whole configuration of an experiment: only what its parser reads is looked at."""
    sections = {name: _entries(values[name]) for name in ("DATASET", "MODEL", "TEST")}
    found = {}
    for key, (section, name) in _HIGHERHRNET.items():
        if name not in sections[section]:
            raise ValueError(f"cfg.{section}.{name}: missing, expected a value")
        found[key] = sections[section][name]
    if sections["DATASET"].get("WITH_CENTER", False):
        if not sections["TEST"].get("IGNORE_CENTER", True):
            raise ValueError("cfg.TEST.IGNORE_CENTER: False, expected True: a joint for the centre is not decoded")
        found["num_joints"] = check_whole("cfg.DATASET.NUM_JOINTS", found["num_joints"]) - 1
    return found
