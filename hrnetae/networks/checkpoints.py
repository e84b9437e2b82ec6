"""Checkpoint files: reading the weights without running anything, and the network that they fill.

docs/export.md lists the layouts that are taken, and what is refused and why.
"""

from __future__ import annotations

import os
import re
import warnings
import zipfile
from collections.abc import Mapping
from itertools import islice
from typing import Any, BinaryIO

import torch
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from hrnetae.files.errors import DataError, first_names
from hrnetae.foreign import check_regular, shown
from hrnetae.networks.hrnet import Architecture, PoseNetwork
from hrnetae.networks.layouts import canonical_names, check_fit, deduce_architecture, refuse_others

# Where the weights are in a file that holds more, best first: the authors' training files keep the running ones beside.
_CONTAINERS = ("best_state_dict", "state_dict", "model_state_dict", "model")
# What training leaves beside the weights (log buffers, the command line, scores as NumPy numbers). Nothing of it is
# wanted; a stand-in takes its place, so that none of this code runs.
_HARMLESS_PACKAGES = ("argparse", "datetime", "mmcv", "mmengine", "numpy", "pathlib")
_HARMLESS_NAMES = ("builtins.getattr",)  # how methods are pickled; the stand-in looks nothing up
# Files of torch before 1.6 cannot be searched beforehand; NumPy numbers are all that is taken there.
_LEGACY_NAMES = (
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "numpy.ndarray",
)
_ZIP = b"PK"
_MAGIC = (_ZIP, b"\x80\x02\x8a\nl\xfc\x9c")  # what torch.save begins a file with: zip; before 1.6
_TORCHSCRIPT = "constants.pkl"  # a member that only such archives have
_LONGEST_NAME = 1000
_WORDS = 100  # characters of torch's reasons in a message
_TRUSTED = (
    "where you trust it, load it with the code that wrote it and save torch.save(model.state_dict(), 'weights.pth')"
)


class _StandIn:
    """Takes the place of any harmless object in a checkpoint: accepts whatever it is made of and keeps nothing."""

    def __new__(cls, *_: object, **__: object) -> _StandIn:
        return object.__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


def load_network(path: str | os.PathLike[str], joints: int | None = None) -> PoseNetwork:
    """The network of a checkpoint file, in eval mode, float32.

    joints: K, where the number of output channels alone cannot tell it.
    Errors: DataError that names the file, for one that cannot be read safely, holds another network, or does not fit
    together.
    """
    state = read_state_dict(path)
    try:
        names = canonical_names(state)
        refuse_others(names.values())
        weights = {new: state[old] for old, new in names.items()}
        shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
        architecture = deduce_architecture(shapes, joints)
        network = _empty(architecture)
        expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
        check_fit(shapes, expected, architecture)
        network.load_state_dict({name: _weight(weights, name) for name in expected}, assign=True)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    network.eval()
    return network


def read_state_dict(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The named tensors of a checkpoint file, whatever it holds besides; on the CPU, with the types they were saved in.

    Nothing in the file is run: torch's weights-only reader does the work, with stand-ins for what training logs leave.
    Errors: DataError that names the file.
    """
    try:
        check_regular(path)
        with open(path, "rb") as stream:  # noqa: PTH123 (any path-like)
            content = _load(path, stream)
            size = os.fstat(stream.fileno()).st_size
    except FileNotFoundError:
        raise DataError(f"{path}: no such file, expected a checkpoint") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}, expected a readable checkpoint") from None
    if not isinstance(content, Mapping):
        raise DataError(f"{path}: holds {_kind(content)}, expected a state dict or a checkpoint around one")
    state = next((content[key] for key in _CONTAINERS if isinstance(content.get(key), Mapping)), content)
    tensors = {name: value for name, value in state.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if not tensors:
        keys = first_names([shown(key, write=str) for key in islice(content, 4)])
        raise DataError(
            f"{path}: no weights under {keys or 'no key'}, expected a state dict or a checkpoint around one"
        )
    _check_sizes(path, tensors, size)
    return tensors


def _check_sizes(path: str | os.PathLike[str], tensors: Mapping[str, Tensor], size: int) -> None:
    """Raise DataError for tensors that are larger than the file of ``size`` bytes: copies would take memory for each.

    A tensor may repeat one value without end (a stride of 0), and many may share the same values.
    """
    if sum(tensor.numel() for tensor in tensors.values()) > size:
        raise DataError(f"{path}: tensors of more values than the file has bytes, expected weights that are in it")
    for name, tensor in tensors.items():
        if len(name) > _LONGEST_NAME:
            raise DataError(f"{path}: a name of {len(name)} characters, expected those of a network's weights")
        if tensor.device.type != "cpu":
            raise DataError(f"{path}: {name} has no values ({tensor.device}), expected weights")


def _load(path: str | os.PathLike[str], stream: BinaryIO) -> Any:
    foreign = _foreign_names(path, stream)
    stream.seek(0)
    try:
        with safe_globals([(_StandIn, name) for name in foreign]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old formats; what cannot be read is an error anyway
            return torch.load(stream, map_location="cpu", weights_only=True)
    # A damaged or hand-made pickle can raise anything, and none of it is worth more than one line.
    except Exception as error:
        stream.seek(0)
        raise _unreadable(path, stream.read(8), str(error)) from None


def _unreadable(path: str | os.PathLike[str], head: bytes, reason: str) -> DataError:
    """What to say of a file that torch does not read. head: its first 8 bytes; reason: torch's own, many words."""
    name = re.search(r"GLOBAL (\S+)", reason)
    if name:
        return _unsafe(path, [name[1]])
    if not head.startswith(_MAGIC):
        return DataError(f"{path}: begins with {head!r}, expected a file that torch.save wrote")
    refused = re.search(r"WeightsUnpickler error:\s*(\S.*)", reason)
    if refused:
        return DataError(f"{path}: more than weights, or damaged ({refused[1][:_WORDS]}); {_TRUSTED}")
    return DataError(f"{path}: cut short or damaged, expected a whole checkpoint")


def _foreign_names(path: str | os.PathLike[str], stream: BinaryIO) -> list[str]:
    """What the file refers to outside of torch, harmless as it is. Errors: DataError where it is not."""
    head = stream.read(8)
    if not head.startswith(_ZIP):
        return list(_LEGACY_NAMES)
    try:
        with zipfile.ZipFile(stream) as archive:
            members = {name.rpartition("/")[2] for name in archive.namelist()}
            _check_archive(path, archive, os.fstat(stream.fileno()).st_size)
        stream.seek(0)
        names = [] if _TORCHSCRIPT in members else sorted(get_unsafe_globals_in_checkpoint(stream))
    except DataError:
        raise
    except Exception as error:  # as above
        raise _unreadable(path, head, str(error)) from None
    if _TORCHSCRIPT in members:
        raise DataError(f"{path}: a TorchScript archive, expected a checkpoint with the weights alone")
    unsafe = [name for name in names if name not in _HARMLESS_NAMES and name.split(".")[0] not in _HARMLESS_PACKAGES]
    if unsafe:
        raise _unsafe(path, unsafe)
    return names


def _check_archive(path: str | os.PathLike[str], archive: zipfile.ZipFile, size: int) -> None:
    """Raise DataError for members that are more than the file of ``size`` bytes; torch.save compresses nothing.

    torch reads archives with code of its own. With a comment behind the directory the two might find different ones.
    """
    claimed = sum(info.file_size for info in archive.infolist())
    if claimed > size:
        raise DataError(f"{path}: members of {claimed} bytes in {size}, expected them stored, as torch.save does")
    if archive.comment:
        raise DataError(f"{path}: an archive with a comment, expected a file that torch.save wrote")


def _unsafe(path: str | os.PathLike[str], names: list[str]) -> DataError:
    what = (
        "a whole pickled model" if any(name.startswith("torch.nn.modules.") for name in names) else "more than weights"
    )
    return DataError(f"{path}: {what} ({first_names(names)}), which reading could run as code; {_TRUSTED}")


def _kind(content: object) -> str:
    return f"an object of type {type(content).__name__}"


def _empty(architecture: Architecture) -> PoseNetwork:
    """A network with shapes but no memory for its weights."""
    with torch.device("meta"):
        return PoseNetwork(architecture)


def _weight(weights: Mapping[str, Tensor], name: str) -> Tensor:
    tensor = weights.get(name)
    if tensor is None:
        return torch.zeros((), dtype=torch.int64)  # num_batches_tracked, which files of old torch lack
    plain = tensor.layout == torch.strided
    if name.endswith(".num_batches_tracked") and plain and not tensor.is_complex():
        return tensor.to(torch.int64)
    if not tensor.is_floating_point() or not plain:
        raise DataError(f"{name}: {tensor.dtype}, {tensor.layout}, expected plain floating-point weights")
    tensor = tensor.detach().to(torch.float32).contiguous()
    if not bool(torch.isfinite(tensor).all()):
        raise DataError(f"{name}: holds values that are not finite, expected finite weights")
    return tensor
