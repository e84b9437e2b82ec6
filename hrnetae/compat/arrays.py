"""Tensors of any framework as NumPy arrays that share their memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

# DLPack's device types whose memory the processor reads: its own, and pinned memory of CUDA and of ROCm.
_READABLE = (1, 3, 11)


def as_array(name: str, tensor: Any, ndim: int) -> npt.NDArray[Any]:
    """A tensor as an array of ``ndim`` dimensions, without a copy. name: of the argument, for errors.

    TypeError for what is no tensor, lies on another device, or requires a gradient; ValueError for its shape.
    """
    array = tensor if isinstance(tensor, np.ndarray) else _exported(name, tensor)
    if array.ndim != ndim:
        raise ValueError(f"{name}: shape {array.shape}, expected {ndim} dimensions")
    return array


def as_maps(name: str, tensor: Any, ndim: int) -> npt.NDArray[Any]:
    """As `as_array`, for maps: float32 or float16, else a TypeError."""
    maps = as_array(name, tensor, ndim)
    if maps.dtype.kind != "f" or maps.dtype.itemsize not in (2, 4):
        raise TypeError(f"{name}: dtype {maps.dtype}, expected float32 or float16")
    return maps


def batch_of_one(name: str, tensor: Any, ndim: int) -> npt.NDArray[Any]:
    """As `as_array`, for a batch of one image; ValueError for any other."""
    array = as_array(name, tensor, ndim)
    if len(array) != 1:
        raise ValueError(f"{name}: shape {array.shape}, expected a batch of 1; call once for each image")
    return array


def _exported(name: str, tensor: Any) -> npt.NDArray[Any]:
    kind = f"{type(tensor).__module__}.{type(tensor).__qualname__}"
    if not hasattr(tensor, "__dlpack__") and not callable(getattr(tensor, "numpy", None)):
        raise TypeError(f"{name}: {kind}, expected a NumPy array or a tensor with numpy() or DLPack")
    if not _is_readable(tensor):
        device = getattr(tensor, "device", "another device")
        raise TypeError(f"{name}: {kind} on {device}, expected one in the processor's memory; call .cpu() on it")
    if getattr(tensor, "requires_grad", False):
        raise TypeError(f"{name}: {kind} that requires a gradient, which ends here; call .detach() on it")
    try:
        exported = tensor.numpy() if callable(getattr(tensor, "numpy", None)) else np.from_dlpack(tensor)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:  # bfloat16, sparse, ...: each has its own
        raise TypeError(f"{name}: {kind} that does not become a NumPy array ({error})") from None
    return np.asarray(exported)


def _is_readable(tensor: Any) -> bool:
    if not hasattr(tensor, "__dlpack_device__"):
        return True
    try:
        return tensor.__dlpack_device__()[0] in _READABLE
    except ValueError:  # torch's word for a device that DLPack does not know
        return False
