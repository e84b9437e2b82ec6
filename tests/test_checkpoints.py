"""Checkpoints of every layout come out as the same network; what is something else is refused by its name.

The files are made by pose_weights.py, which knows names, shapes and the computation by itself.
"""

from __future__ import annotations

import functools
import os
import sys
import types
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pose_weights import Layout, Weights, draw_weights, run

torch = pytest.importorskip("torch", reason="checkpoints need torch, the extra [export]")

from hrnetae.files.errors import DataError  # noqa: E402
from hrnetae.networks.checkpoints import load_network, read_state_dict  # noqa: E402
from hrnetae.networks.hrnet import Architecture  # noqa: E402
from hrnetae.networks.layouts import canonical_names, deduce_architecture  # noqa: E402

HRNET = Layout()
HIGHER = Layout(second=5)
SAMPLE = np.random.default_rng(5).standard_normal((2, 3, 64, 96), dtype=np.float32)


@functools.cache
def drawn(layout: Layout, seed: int = 0) -> Weights:
    return draw_weights(layout, seed)


def in_parts(weights: Weights, head: str, final: str = "final_layer") -> Weights:
    """As mmpose names them: ``backbone.`` and a head; HRNet's one final convolution under the name given."""
    parts = ("final_layers.", "deconv_layers.")
    one = "final_layers.1.weight" not in weights
    renamed = OrderedDict()
    for name, value in weights.items():
        if not name.startswith(parts):
            renamed[f"backbone.{name}"] = value
        else:
            renamed[f"{head}.{name.replace('final_layers.0', final) if one else name}"] = value
    return renamed


def prefixed(weights: Weights, prefix: str) -> Weights:
    return OrderedDict((prefix + name, value) for name, value in weights.items())


def half(weights: Weights) -> Weights:
    """The authors' float16 training: convolutions in float16, batch norms in float32."""
    norm = [name.removesuffix(".running_var") for name in weights if name.endswith(".running_var")]
    return OrderedDict(
        (name, value if name.rpartition(".")[0] in norm else value.half()) for name, value in weights.items()
    )


def log_buffers() -> Any:
    """What mmengine's message hub holds: objects of its own class, with NumPy arrays and functions in them."""

    class HistoryBuffer:
        def __init__(self) -> None:
            self.log_history = np.arange(3.0)

        def mean(self) -> None: ...

        def __getstate__(self) -> dict[str, Any]:
            return {**self.__dict__, "statistics_methods": OrderedDict(mean=HistoryBuffer.mean)}

        def __setstate__(self, state: Any) -> None:
            raise AssertionError("the file's own class was used")

    HistoryBuffer.__module__ = HistoryBuffer.mean.__module__ = "mmengine.logging.history_buffer"
    HistoryBuffer.__qualname__ = "HistoryBuffer"
    HistoryBuffer.mean.__qualname__ = "HistoryBuffer.mean"
    return HistoryBuffer


def save_mmengine(content: dict[str, Any], path: Path) -> None:
    buffers = log_buffers()
    modules = {name: types.ModuleType(name) for name in ("mmengine", "mmengine.logging", buffers.__module__)}
    modules[buffers.__module__].HistoryBuffer = buffers  # type: ignore[attr-defined]
    sys.modules.update(modules)
    try:
        hub = {"log_scalars": OrderedDict(loss=buffers()), "runtime_info": {"best": np.float64(0.5)}}
        torch.save({**content, "message_hub": hub}, path)
    finally:
        for name in modules:
            del sys.modules[name]


def save_mmpose0(path: Path) -> Weights:
    weights = drawn(HRNET)
    state = in_parts(weights, "keypoint_head")
    torch.save({"meta": {"epoch": 300, "mmpose_version": "0.6.0"}, "state_dict": state, "optimizer": {"lr": 1}}, path)
    return weights


def save_mmpose0_early(path: Path) -> Weights:
    weights = drawn(HRNET)
    torch.save({"meta": {}, "state_dict": in_parts(weights, "keypoint_head", "final_layers")}, path)
    return weights


def save_mmpose0_higher(path: Path) -> Weights:
    weights = drawn(HIGHER)
    torch.save({"meta": {}, "state_dict": in_parts(weights, "keypoint_head")}, path)
    return weights


def save_mmpose1(path: Path) -> Weights:
    weights = drawn(HRNET)
    state = in_parts(weights, "head")
    state["data_preprocessor.mean"] = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
    other = in_parts(drawn(HRNET, 1), "head")  # what mmengine keeps beside averaged weights
    meta = {"seed": np.int64(3), "dataset_meta": {"sigmas": np.ones(17, np.float32)}, "cfg": "model = dict()"}
    content = {"state_dict": state, "ema_state_dict": other, "meta": meta, "param_schedulers": [{"last_step": 3}]}
    save_mmengine(content, path)
    return weights


def save_authors_hrnet(path: Path) -> Weights:
    torch.save(drawn(HRNET), path)
    return drawn(HRNET)


def save_authors_higher(path: Path) -> Weights:
    torch.save(drawn(HIGHER), path, _use_new_zipfile_serialization=False)
    return drawn(HIGHER)


def save_authors_half(path: Path) -> Weights:
    rounded = half(drawn(HIGHER))
    torch.save(prefixed(rounded, "1."), path, _use_new_zipfile_serialization=False)
    return OrderedDict((name, value.float()) for name, value in rounded.items())


def save_training(path: Path, wrapper: str = "module.", best_wrapper: str = "", new: bool = True) -> Weights:
    content = {
        "epoch": 299,
        "model": "pose_higher_hrnet",
        "state_dict": prefixed(drawn(HIGHER, 1), wrapper),
        "best_state_dict": prefixed(drawn(HIGHER), best_wrapper),
        "perf": np.float64(0.671),
        "optimizer": {"state": {}, "param_groups": [{"lr": 0.001}]},
    }
    torch.save(content, path, _use_new_zipfile_serialization=new)
    return drawn(HIGHER)


def save_training_running(path: Path) -> Weights:
    torch.save({"epoch": 1, "model": "pose_higher_hrnet", "state_dict": prefixed(drawn(HIGHER), "module.1.")}, path)
    return drawn(HIGHER)


def save_simple(path: Path) -> Weights:
    torch.save({"epoch": 1, "model": drawn(HIGHER), "optimizer": {}}, path)
    return drawn(HIGHER)


def save_without_counters(path: Path) -> Weights:
    weights = drawn(HRNET)
    torch.save(OrderedDict((n, v) for n, v in weights.items() if not n.endswith("num_batches_tracked")), path)
    return weights


def save_with_coarse_exchange(path: Path) -> Weights:
    """A backbone that also made the coarser maps of the last module, which the head does not read."""
    weights = OrderedDict(drawn(HRNET))
    first = HRNET.modules[2] - 1
    weights[f"stage4.{first}.fuse_layers.1.2.0.weight"] = torch.ones(4, 8, 1, 1)
    torch.save(weights, path)
    return drawn(HRNET)


SAVERS: dict[str, Callable[[Path], Weights]] = {
    "mmpose 0.x": save_mmpose0,
    "mmpose 0.x before #68": save_mmpose0_early,
    "mmpose 0.x HigherHRNet": save_mmpose0_higher,
    "mmpose 1.x": save_mmpose1,
    "authors' HRNet": save_authors_hrnet,
    "authors' HigherHRNet": save_authors_higher,
    "authors' float16": save_authors_half,
    "training": save_training,
    "training, float16": lambda path: save_training(path, "module.1.", "1."),
    "training, old torch": lambda path: save_training(path, new=False),
    "training, running": save_training_running,
    "under model": save_simple,
    "no counters": save_without_counters,
    "coarse exchange": save_with_coarse_exchange,
}


@pytest.mark.parametrize("layout", SAVERS)
def test_every_layout_is_the_network_that_was_saved(layout: str, tmp_path: Path) -> None:
    expected = run(SAVERS[layout](tmp_path / "a.pth"), torch.from_numpy(SAMPLE))
    with torch.no_grad():
        found = load_network(tmp_path / "a.pth")(torch.from_numpy(SAMPLE))
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert 0.05 < float(theirs.std()) < 50
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("layout", "joints", "per_joint"),
    [
        (replace(HRNET, width=3, stem=5, layer1=5, first=28), 14, True),
        (replace(HRNET, first=34, blocks=2, modules=(1, 2, 1)), 17, True),
        (replace(HIGHER, width=4, first=34, second=17), 17, True),
        (replace(HIGHER, first=18, second=17), 17, False),
        (replace(HIGHER, first=266, second=133), 133, True),
    ],
)
def test_sizes_are_read_from_the_weights(layout: Layout, joints: int, per_joint: bool, tmp_path: Path) -> None:
    torch.save(drawn(layout), tmp_path / "a.pth")
    network = load_network(tmp_path / "a.pth")
    blocks = layout.blocks
    assert network.architecture == Architecture(
        width=layout.width,
        stem=layout.stem,
        layer1=layout.layer1,
        joints=joints,
        tag_per_joint=per_joint,
        higher=layout.second is not None,
        blocks=(blocks, blocks, blocks, blocks),
        modules=layout.modules,
    )
    expected = run(drawn(layout), torch.from_numpy(SAMPLE))
    with torch.no_grad():
        for ours, theirs in zip(network(torch.from_numpy(SAMPLE)), expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_the_published_names_and_sizes_are_those_of_w32_and_w48() -> None:
    """Key counts of the published files: 1752 in the backbone, 2 or 58 in the head."""
    for width in (32, 48):
        published = Layout(width, 64, 64, 4, (1, 4, 3), 34)
        for second, keys in ((None, 1754), (17, 1810)):
            shapes = {n: tuple(v.shape) for n, v in draw_weights(replace(published, second=second), None).items()}
            assert len(shapes) == keys
            shapes = {new: shapes[old] for old, new in canonical_names(shapes).items()}
            assert deduce_architecture(shapes) == Architecture(width=width, higher=second is not None)


def test_one_tag_for_all_joints_has_to_be_said_for_hrnet(tmp_path: Path) -> None:
    """K + 1 channels: an odd number cannot be 2K, an even one reads as 2K until --joints says otherwise."""
    torch.save(drawn(replace(HRNET, first=15)), tmp_path / "odd.pth")
    torch.save(drawn(replace(HRNET, first=18)), tmp_path / "even.pth")
    with pytest.raises(DataError, match=r"15 output channels.*top-down.*--joints 14"):
        load_network(tmp_path / "odd.pth")
    for name, joints, expected in (("odd", 14, (14, False)), ("even", None, (9, True)), ("even", 17, (17, False))):
        architecture = load_network(tmp_path / f"{name}.pth", joints).architecture
        assert (architecture.joints, architecture.tag_per_joint) == expected
    with pytest.raises(DataError, match="18 output channels, expected 20 or 11 for 10 joints"):
        load_network(tmp_path / "even.pth", 10)


# ------------------------------------------------------------------------------------------------ what is refused


def tensors(*names: str) -> Weights:
    return OrderedDict((name, torch.ones(2, 2, 1, 1)) for name in names)


def without_head(weights: Weights) -> Weights:
    return OrderedDict((n, v) for n, v in weights.items() if not n.startswith(("final", "deconv")))


OTHERS: dict[str, tuple[Callable[[], Any], str]] = {
    "ImageNet": (
        lambda: (
            without_head(drawn(HRNET))
            | tensors("incre_modules.0.0.conv1.weight", "final_layer.0.weight", "classifier.weight")
        ),
        "an ImageNet HRNet: classifier and incre_modules but no keypoint head",
    ),
    "backbone": (lambda: without_head(drawn(HRNET)), "an HRNet backbone alone"),
    "backbone in parts": (lambda: {"state_dict": prefixed(without_head(drawn(HRNET)), "backbone.")}, "backbone alone"),
    "segmentation": (
        lambda: prefixed(without_head(drawn(HRNET)), "backbone.") | tensors("decode_head.conv_seg.weight"),
        "an HRNet with decode_head, no keypoint head",
    ),
    "ResNet": (lambda: tensors("conv1.weight", "layer4.2.conv3.weight", "fc.weight"), "a ResNet, expected"),
    "ResNet with an AE head": (
        lambda: tensors(
            "backbone.layer4.0.conv1.weight",
            "keypoint_head.deconv_layers.0.weight",
            "keypoint_head.final_layer.weight",
        ),
        "a ResNet, expected",
    ),
    "MobileNet": (lambda: tensors("backbone.layer4.0.conv.weight", "backbone.layer7.0.conv.weight"), "a MobileNet"),
    "hourglass": (lambda: tensors("backbone.stem.0.conv.weight", "head.multi_final_layers.0.weight"), "an hourglass"),
    "DEKR": (
        lambda: drawn(HRNET) | tensors("offset_feature_layers.0.0.conv1.weight", "offset_final_layer.0.weight"),
        "DEKR",
    ),
    "unrelated": (lambda: tensors("encoder.weight", "decoder.weight"), "encoder.weight: no HRNet"),
    "top-down": (lambda: drawn(replace(HRNET, first=17)), "17 output channels, expected twice the joints"),
    "three stages": (
        lambda: drawn(HIGHER) | tensors("final_layers.2.weight"),
        "final_layers 0, 1, 2, expected 0 and 1",
    ),
    "both with tags": (lambda: drawn(replace(HIGHER, first=10, second=10)), "10 output channels, expected 20 or 11"),
    "two heads": (
        lambda: drawn(HRNET) | tensors("deconv_layers.0.0.0.weight"),
        "final_layers 0, expected 0 and 1",
    ),
    "a weight is missing": (
        lambda: OrderedDict((n, v) for n, v in drawn(HRNET).items() if n != "stage3.0.branches.2.0.bn1.bias"),
        "stage3.0.branches.2.0.bn1.bias is missing",
    ),
    "no first convolution": (
        lambda: OrderedDict((n, v) for n, v in drawn(HRNET).items() if n != "conv1.weight"),
        "backbone.conv1.weight is missing",
    ),
    "a weight too many": (lambda: drawn(HRNET) | tensors("se.weight"), "backbone.se.weight is of no use"),
    "a wrong shape": (
        lambda: drawn(HRNET) | tensors("stage2.0.branches.1.0.conv1.weight"),
        r"shape \(2, 2, 1, 1\), expected \(4, 4, 3, 3\)",
    ),
    "grey pictures": (lambda: drawn(HRNET) | {"conv1.weight": torch.ones(4, 1, 3, 3)}, r"expected \(4, 3, 3, 3\)"),
    "no shape": (lambda: drawn(HRNET) | {"conv1.weight": torch.tensor(1.0)}, r"shape \(\), expected that of a conv"),
    "whole numbers": (
        lambda: drawn(HRNET) | {"conv1.weight": torch.ones(4, 3, 3, 3, dtype=torch.int8)},
        "conv1.weight: torch.int8",
    ),
    "not finite": (lambda: drawn(HRNET) | {"bn1.bias": torch.full((4,), torch.nan)}, "bn1.bias: holds values that are"),
    "a list": (lambda: [torch.ones(1)], "an object of type list"),
    "a tensor": (lambda: torch.ones(1), "an object of type Tensor"),
    "nothing": (dict, "no weights under no key"),
    "no weights": (lambda: {"epoch": 3, "optimizer": {"lr": 1}}, "no weights under epoch, optimizer"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_another_network_is_refused_by_its_name(what: str, tmp_path: Path) -> None:
    make, message = OTHERS[what]
    path = tmp_path / "other.pth"
    torch.save(make(), path)
    with pytest.raises(DataError, match=message) as caught:
        load_network(path)
    assert str(caught.value).startswith(f"{path}: ") and "expected" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"begins with b''"),
        (b"<!DOCTYPE html><html>not found</html>", r"begins with b'<!DOCTYP'"),
        (b"version https://git-lfs.github.com/spec/v1\n", r"begins with b'version "),
        (b"PK\x03\x04 and no more", "cut short or damaged, expected a whole checkpoint"),
        (b"\x80\x02}q\x00.", r"begins with b'\\x80\\x02"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_one_line(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_network(path)


@pytest.mark.parametrize("new", [True, False])
def test_a_file_cut_short_is_one_line(new: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save(drawn(HRNET), path, _use_new_zipfile_serialization=new)
    whole = path.read_bytes()
    for size in (len(whole) - 1, len(whole) // 2, 200):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"a\.pth: (cut short|more than weights)"):
            load_network(path)


@pytest.mark.parametrize("new", [True, False])
def test_damaged_bytes_are_one_line_or_nothing(new: bool, tmp_path: Path) -> None:
    """A few bytes changed, in the pickle or in the weights: refused in one line, or harmless."""
    path = tmp_path / "a.pth"
    torch.save(drawn(HRNET), path, _use_new_zipfile_serialization=new)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(300 if os.environ.get("HRNETAE_FULL") == "1" else 15):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[int(len(whole) * rng.random() ** 3)] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            load_network(path)
        except DataError as error:
            assert str(error).startswith(f"{path}: ") and len(str(error).splitlines()) == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, of TorchScript
def test_torchscript_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.jit.script(torch.nn.Linear(2, 2)).save(path)
    with pytest.raises(DataError, match="a TorchScript archive"):
        load_network(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for path, found in ((tmp_path / "none.pth", "no such file"), (tmp_path, "Is a directory")):
        with pytest.raises(DataError) as caught:
            load_network(path)
        assert str(caught.value).startswith(f"{path}: {found}, expected a ")


# ------------------------------------------------------------------------------------------------- nothing is run


class Evil:
    """Unpickled, it calls something with the path of a file to make."""

    def __init__(self, call: Callable[[str], object], path: Path) -> None:
        self.call, self.path = call, path

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return self.call, (str(self.path),)


def touch(path: str) -> None:
    Path(path).touch()


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("package", ["evil", "os", "builtins"])
def test_a_file_that_runs_code_is_refused_and_named(package: str, new: bool, tmp_path: Path) -> None:
    module = types.ModuleType("evil")
    call = types.FunctionType(touch.__code__, globals(), "touch")
    call.__module__, module.touch = "evil", call  # type: ignore[attr-defined]
    chosen = {"evil": call, "os": os.mkdir, "builtins": exec}[package]
    sys.modules["evil"] = module
    try:
        path = tmp_path / "a.pth"
        torch.save({**drawn(HRNET), "x": Evil(chosen, tmp_path / "made")}, path, _use_new_zipfile_serialization=new)
        with pytest.raises(DataError, match=r"(touch|mkdir|exec).*which reading could run as code; where you trust it"):
            load_network(path)
    finally:
        del sys.modules["evil"]
    assert not (tmp_path / "made").exists()


def test_harmless_packages_are_not_run_either(tmp_path: Path) -> None:
    """A function in a package whose objects are passed over is passed over as well, although it can be imported."""
    module = types.ModuleType("mmengine")
    call = types.FunctionType(touch.__code__, globals(), "touch")
    call.__module__, module.touch = "mmengine", call  # type: ignore[attr-defined]
    sys.modules["mmengine"] = module
    try:
        torch.save({"state_dict": drawn(HRNET), "x": Evil(call, tmp_path / "made")}, tmp_path / "a.pth")
        load_network(tmp_path / "a.pth")
    finally:
        del sys.modules["mmengine"]
    assert not (tmp_path / "made").exists()


def test_a_harmless_object_that_needs_its_own_class_is_refused(tmp_path: Path) -> None:
    """Stand-ins take no items, as a config of mmengine's own dict class would need."""
    module = types.ModuleType("mmengine")
    module.ConfigDict = type("ConfigDict", (dict,), {"__module__": "mmengine"})  # type: ignore[attr-defined]
    sys.modules["mmengine"] = module
    try:
        content = {"state_dict": drawn(HRNET), "cfg": module.ConfigDict(model=1)}  # type: ignore[attr-defined]
        torch.save(content, tmp_path / "a.pth")
    finally:
        del sys.modules["mmengine"]
    with pytest.raises(DataError, match=r"a\.pth: more than weights.*SETITEM.*where you trust it"):
        load_network(tmp_path / "a.pth")


def test_getattr_is_not_looked_up(tmp_path: Path) -> None:
    """Methods are pickled as getattr(class, name); a stand-in takes both."""
    torch.save({"state_dict": drawn(HRNET), "x": functools.partial}, tmp_path / "refused.pth")
    with pytest.raises(DataError, match=r"functools\.partial"):
        read_state_dict(tmp_path / "refused.pth")
    save_mmpose1(tmp_path / "taken.pth")
    assert set(read_state_dict(tmp_path / "taken.pth")) >= {"head.final_layer.weight", "backbone.conv1.weight"}
    from torch.serialization import get_safe_globals

    assert [name for _, name in (one for one in get_safe_globals() if isinstance(one, tuple))] == []


def test_a_whole_pickled_model_is_refused_with_what_to_do(tmp_path: Path) -> None:
    torch.save(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1)), tmp_path / "a.pth")
    with pytest.raises(DataError, match=r"a whole pickled model \(torch\.nn\.modules.*model\.state_dict\(\)"):
        load_network(tmp_path / "a.pth")
