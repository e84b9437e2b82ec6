"""What the bytes of a built model come from, as one number: the same number, the same model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hrnetae.files.errors import DataError
from hrnetae.files.model_folder import MANIFEST_NAME, ONNX_NAME, Manifest, read_manifest
from hrnetae.files.run_record import sha256_of
from hrnetae.files.vamc_config import VamcConfig
from hrnetae.runtime.checkpoint import Checkpoint

KEY = "recipe"  # of it in the manifest's source


def recipe_of(config: VamcConfig, checkpoint: Checkpoint, files: Sequence[Path], versions: Mapping[str, str]) -> str:
    """sha256, in hexadecimal, of all that a build makes its model from.

    files: the calibration pictures, whose bytes count, not their times: a copy of the folder gives the same model.
    One that cannot be read counts as empty; the calibration says what is wrong with it.
    """
    weights = checkpoint.model.SerializeToString(deterministic=True)  # with those that lie in files of their own
    parts: dict[str, Any] = {
        "name": config.name,
        "source": [config.checkpoint.name, checkpoint.sha256, hashlib.sha256(weights).hexdigest()],
        "shapes": config.shapes,
        "dtype": config.dtype,
        "settings": config.settings,
        "unknown": config.unknown,
        "versions": versions,
    }
    if config.dataset is not None and config.dtype == "int8":
        parts["quantization"] = asdict(config.quantization)
        parts["process_ops"] = config.dataset.process_ops
        parts["files"] = [[file.name, _content(file)] for file in files]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=_plain).encode()).hexdigest()


def find_built(folder: Path, recipe: str) -> Manifest | None:
    """The manifest of the model in a folder if it is whole and of this recipe."""
    try:
        manifest = read_manifest(folder / MANIFEST_NAME)
        if manifest is None or manifest.source.get(KEY) != recipe:
            return None
        return manifest if sha256_of(folder / ONNX_NAME) == manifest.sha256 else None
    except DataError:
        return None


def _content(file: Path) -> str | None:
    try:
        return sha256_of(file)
    except DataError:
        return None


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)
