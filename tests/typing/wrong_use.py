"""Slips that a type checker must see. Each ignore names the error; `mypy --strict` reports one that is not needed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import hrnetae
from hrnetae import DecodeParams, Decoder, PoseEstimator


def slips(output: NDArray[np.float32], picture: NDArray[np.uint8]) -> None:
    Decoder({"detection_threshold": 0.2})  # type: ignore[arg-type]
    Decoder().decode(output)  # type: ignore[call-arg]
    Decoder().decode(output, None, (640, 480))  # type: ignore[call-arg]
    Decoder().decode(output, image_size="640x480")  # type: ignore[arg-type]
    print(Decoder().decode(output, image_size=(640, 480)).keypoint)  # type: ignore[attr-defined]
    Decoder().decode_batch([output], image_sizes=[(640, 480)], threads="2")  # type: ignore[arg-type]
    DecodeParams(detection_treshold=0.2)  # type: ignore[call-arg]
    DecodeParams(nms_kernel="5")  # type: ignore[arg-type]
    DecodeParams().refine = False  # type: ignore[misc]
    PoseEstimator("model", flip=1.5)  # type: ignore[arg-type]
    hrnetae.heatmap_nms(output, kernel="5")  # type: ignore[arg-type]
    hrnetae.draw(picture)  # type: ignore[call-arg]
    hrnetae.Decodr()  # type: ignore[attr-defined]
