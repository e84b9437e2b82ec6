"""The reader of checkpoints: torch's two formats, their pickles and the network that is made of them."""

from __future__ import annotations

import io
import os
import sys
import warnings
import zipfile
from collections import OrderedDict
from functools import cache
from pathlib import Path
from typing import Any

import torch
from file_target import FileTarget
from mutate import Rng, mutate_bytes, splice

from hrnetae.networks.checkpoints import load_network, read_state_dict

sys.path.append(str(Path(__file__).resolve().parents[1]))
from pose_weights import Layout, draw_weights

_FORBIDDEN = ("os.system", "os.exec", "os.putenv", "os.posix_spawn", "os.fork", "subprocess.Popen")  # audit events
_ran: list[str] = []  # of these, those that happened


def _listen(event: str, _: object) -> None:
    if event in _FORBIDDEN:
        _ran.append(event)


sys.addaudithook(_listen)

_NAMES = (
    "os system,posix system,builtins eval,builtins exec,builtins getattr,subprocess call,os putenv,builtins bytearray,"
    "collections OrderedDict,torch Size,torch device,torch FloatStorage,torch Tensor,torch._utils _rebuild_tensor_v2,"
    "torch._utils _rebuild_parameter,torch._utils _rebuild_sparse_tensor,torch._utils _rebuild_qtensor,torch load,"
    "torch._utils _rebuild_meta_tensor_no_storage,torch.hub load,_codecs encode,numpy dtype,argparse Namespace,"
    "numpy.core.multiarray _reconstruct,pathlib PosixPath,torch.nn.modules.conv Conv2d,mmcv.runner Log,builtins set,"
    "datetime datetime,torch.storage UntypedStorage"
)
_GLOBALS = _NAMES.split(",")
# Opcodes of pickles with arguments, the lengths in them too great.
_OPCODES = (
    *b"( . 0 2 F1\n I1\n K\1 L1L\n M\1\0 N Pid\n Q R S'a'\n U\1a ] a b c d e g0\n h\0 i l o p0\n q\0 s t u }".split(
        b" "
    ),
    *b"J\xff\xff\xff\x7f T\xff\xff\xff\x7f X\xff\xff\xff\x7f j\xff\xff\xff\x7f r\xff\xff\xff\x7f \x80\2 \x81".split(
        b" "
    ),
    *b"\x82\1 \x85 \x86 \x87 \x88 \x8a\xff \x8b\xff\xff\xff\x7f \x8c\1a \x92 \x93 \x94".split(b" "),
    *(bytes([code]) + b"\xff" * 7 + b"\x7f" for code in (0x8D, 0x8E, 0x95, 0x96)),
    *(b"(" * 900, b"](" * 500, b"]" * 900 + b"a" * 899, b"K\1" * 200, b"2" * 900, b"G\x7f\xf0\0\0\0\0\0\0"),
)


class _Runs:
    """Runs a command, were it unpickled as usual."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


def _save(content: Any, new: bool = True) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=new)
    return stream.getvalue()


@cache
def _seeds() -> tuple[bytes, ...]:
    """Small ones most of all: a whole network, which takes long, is one in many."""
    few = OrderedDict((f"backbone.conv{n}.weight", torch.ones(2, n, 1, 1)) for n in (1, 2))
    few["keypoint_head.final_layer.bias"] = torch.zeros(4, dtype=torch.float16)
    kinds: dict[str, Any] = {
        "state_dict": few,
        "meta": {"epoch": 3, "time": "now", "sparse": torch.eye(3).to_sparse(), "shape": torch.Size((1, 2))},
        "optimizer": {"lr": 0.1, "steps": [1, 2.5, None, (True, b"x")]},
    }
    contents = (few, kinds, {"model": few, "x": torch.zeros(2, 2).t(), "p": torch.nn.Parameter(torch.ones(1))}, [few])
    small = [_save(content, new) for content in contents for new in (True, False)]
    return (*small, *small, _save(_Runs()), _save({"state_dict": few, "x": _Runs()}), _save({"x": _Runs()}, False))


@cache
def _network() -> tuple[bytes, dict[str, Any]]:
    weights = draw_weights(Layout(width=1, stem=1, layer1=1, modules=(1, 1, 1), first=2))
    return _save(weights), weights


def _mutate_pickle(rng: Rng, data: bytes) -> bytes:
    """Opcodes put in, names of globals exchanged."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(changed) + 1)
        way = rng.randrange(5)
        if way == 0:
            module, name = rng.choice(_GLOBALS).split()
            call = rng.choice(
                (
                    b"",
                    b")R",
                    b"(K\1tR",
                    b"(X\4\0\0\0true" + b"tR",
                    b"(X\1\0\0\0aX\1\0\0\0btR",
                    b"J\xff\xff\xff\x7f\x85R",
                )
            )
            changed[at:at] = f"c{module}\n{name}\n".encode() + call
        elif way == 1 and (start := changed.find(b"c", at)) >= 0 and (end := changed.find(b"\n", start)) >= 0:
            last = changed.find(b"\n", end + 1)
            changed[start + 1 : last] = rng.choice(_GLOBALS).replace(" ", "\n").encode()
        elif way < 4:
            changed[at : at + rng.choice((0, 0, 1, 2))] = rng.choice(_OPCODES)
        else:
            changed = bytearray(mutate_bytes(rng, bytes(changed), _OPCODES, 2) or b".")
    return bytes(changed)


def _mutate_archive(rng: Rng, data: bytes) -> bytes:
    """Members changed, with right checksums: the pickle above all; doubled, compressed, renamed, or bombs."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w") as new, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name twice
        for info in old.infolist():
            content, name, method = old.read(info), info.filename, zipfile.ZIP_STORED
            if name.endswith("data.pkl"):
                content = _mutate_pickle(rng, content) if rng.random() < 0.6 else content
            elif rng.random() < 0.1:
                content = mutate_bytes(rng, content) if content else b"1"
            if rng.random() < 0.03:
                method = zipfile.ZIP_DEFLATED
                content += bytes(rng.choice((0, 1 << 12, 1 << 20)))
            if rng.random() < 0.03:
                name = rng.choice(
                    ("../x", "/x", "archive/constants.pkl", "archive/data/0", "archive/.format_version", "x" * 99)
                )
            new.writestr(zipfile.ZipInfo(name), content, method)
    return stream.getvalue()


def _lying_network(rng: Rng) -> bytes:
    """A network whose names, shapes or strides lie."""
    weights: dict[str, Any] = OrderedDict(_network()[1])
    for _ in range(rng.randint(1, 3)):
        name = rng.choice([key for key in weights if isinstance(key, str)])
        tensor = weights[name]
        if tensor.numel() > 2**20:  # it lies already, and what is made of it would be as large as it says
            continue
        way = rng.randrange(9)
        if way == 0:
            weights[name] = torch.zeros(1).expand(rng.choice((1, 2**20, 2**40)), *tensor.shape[1:])
        elif way == 1:
            weights[name] = torch.zeros(rng.choice((2**14, 2**31, 2**50)), 0, 1, 1)
        elif way == 2:
            weights[name] = tensor.to(
                rng.choice((torch.float64, torch.int32, torch.complex64, torch.bfloat16, torch.bool))
            )
        elif way == 3:
            weights[name] = tensor.to("meta") if rng.random() < 0.5 else tensor.to_dense().float().to_sparse()
        elif way == 4:
            weights[name] = tensor.float() * float(rng.choice(("nan", "inf")))
        elif way == 5:
            del weights[name]
        elif way == 6:
            count = rng.choice((2, 40, 200))
            places = (
                f"stage{rng.choice('234')}.%d.x",
                "stage2.0.branches.0.%d.x",
                "layer1.%d.x",
                "stage2.%d.fuse_layers.0.x",
            )
            weights |= {rng.choice(places) % n: torch.zeros(1) for n in range(count)}
        elif way == 7:
            renamed = rng.choice(("module." * 50 + name, name + "\0", "x" * 5000, 7, (name,), name.replace(".", "..")))
            weights[renamed] = weights.pop(name)
        else:
            weights[name] = tensor.reshape(-1) if rng.random() < 0.5 else tensor[None]
    return _save(weights, rng.random() < 0.7)


def _draw(rng: Rng) -> bytes:
    way = rng.random()
    if way < 0.02:
        return _lying_network(rng)
    if way < 0.021:
        return _network()[0]
    if way < 0.03:
        return mutate_bytes(rng, _network()[0])
    data = rng.choice(_seeds())
    archive = data.startswith(b"PK")
    if way < 0.5 and archive:
        data = _mutate_archive(rng, data)
    elif way < 0.5:
        data = _mutate_pickle(rng, data)
    elif way < 0.55:
        data = splice(rng, data, rng.choice(_seeds()))
    if way < 0.4 or way > 0.9:
        return data if way < 0.9 else mutate_bytes(rng, data, most=1)
    return mutate_bytes(rng, data, (b"PK\1\2", b"PK\3\4", b"PK\5\6", *_OPCODES), 3)


def _read(path: Path, _: Rng) -> Any:
    before = len(_ran)
    try:
        state = read_state_dict(path)
        return state, load_network(path) if any("stage4" in name for name in state) else None
    finally:
        if len(_ran) > before:
            raise AssertionError(f"the file ran {_ran[before:]}")


def _check(found: Any, data: bytes) -> str:
    state, network = found
    if not all(type(name) is str and isinstance(tensor, torch.Tensor) for name, tensor in state.items()):
        return f"names {list(state)[:3]}"
    if sum(tensor.numel() for tensor in state.values()) > len(data):
        return "more values than bytes"
    if network is not None:
        for name, tensor in network.state_dict().items():
            if tensor.device.type != "cpu" or not bool(torch.isfinite(tensor).all()):
                return f"{name}: {tensor.device}"
    return ""


CHECKPOINTS = FileTarget("checkpoints", _draw, _read, _check)
