"""The key layouts of checkpoints: to one spelling of the names, and from names and shapes to the architecture.

Everything here looks at names and shapes alone. The one spelling is mmpose 0.x's: ``backbone.*``, ``keypoint_head.*``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from hrnetae.files.errors import DataError, first_names
from hrnetae.networks.hrnet import Architecture

Shapes = Mapping[str, tuple[int, ...]]

BACKBONE = "backbone."
HEAD = "keypoint_head."
_WRAPPERS = ("module.", "model.", "1.")  # of DataParallel; of trainers; of the authors' float16 training
_DROPPED = ("data_preprocessor.",)  # mean and std of the pictures, which the driver of the network applies
_MOST_CHANNELS = 1 << 14
_HEAD_PARTS = ("final_layer.", "final_layers.", "deconv_layers.")
# What else may lie in a .pth file, told by a name that only it has. The first that matches counts.
_OTHERS = (
    (
        r"(^|\.)(incre_modules|downsamp_modules)\.",
        "an ImageNet HRNet: classifier and incre_modules but no keypoint head",
    ),
    (r"(^|\.)(multi_deconv_layers|multi_final_layers|hourglass_modules|hgs)\.", "an hourglass network"),
    (r"\.cross_resolution_weighting\.|\.stage0\.", "a Lite-HRNet"),
    (r"\.attn\.", "a transformer (HRFormer or alike)"),
    (r"(^|\.)(\w*offset_conv\w*|offset_final_layer|transition_heatmap)\.", "a DEKR network"),
    (r"(^|\.)layer7\.|(^|\.)features\.\d+\.", "a MobileNet"),
    (r"(^|\.)layer4\.", "a ResNet"),
)


def canonical_names(names: Iterable[str]) -> dict[str, str]:
    """Each name of a state dict -> its canonical spelling; what no network needs is left out.

    Errors: DataError where two names become one.
    """
    kept = {name: name for name in names}
    kept = {old: name for old, name in _unwrapped(kept).items() if not name.startswith(_DROPPED)}
    in_parts = any(name.startswith(BACKBONE) for name in kept.values())
    renamed = {old: _in_parts(name) if in_parts else _of_authors(name) for old, name in kept.items()}
    return _one_spelling_of_hrnet_head(renamed)


def _unwrapped(names: dict[str, str]) -> dict[str, str]:
    """Without the prefixes that all names share because something was wrapped around the network."""
    while names:
        wrapper = next((w for w in _WRAPPERS if all(name.startswith(w) for name in names.values())), None)
        if wrapper is None:
            break
        names = {old: name.removeprefix(wrapper) for old, name in names.items()}
    return names


def _in_parts(name: str) -> str:
    """mmpose 1.x calls the head ``head``."""
    return HEAD + name.removeprefix("head.") if name.startswith("head.") else name


def _of_authors(name: str) -> str:
    """The authors' files have backbone and head side by side."""
    return (HEAD if name.startswith(_HEAD_PARTS) else BACKBONE) + name


def _one_spelling_of_hrnet_head(names: dict[str, str]) -> dict[str, str]:
    """HRNet's one convolution: ``final_layers`` in mmpose before its #68, ``final_layers.0`` with the authors."""
    stages = {name.split(".")[2] for name in names.values() if name.startswith(f"{HEAD}final_layers.")}
    if stages == {"0"} and not any(name.startswith(f"{HEAD}deconv_layers.") for name in names.values()):
        names = {old: name.replace(f"{HEAD}final_layers.0.", f"{HEAD}final_layer.") for old, name in names.items()}
    elif stages and stages <= {"weight", "bias"}:
        names = {old: name.replace(f"{HEAD}final_layers.", f"{HEAD}final_layer.") for old, name in names.items()}
    if len(set(names.values())) < len(names):
        twice = sorted(name for name, count in Counter(names.values()).items() if count > 1)
        raise DataError(f"{first_names(twice)} are there twice, under different names")
    return names


def refuse_others(names: Collection[str]) -> None:
    """Raise DataError, with the network's name, for one that is no HRNet-AE or HigherHRNet-AE."""
    for pattern, what in _OTHERS:
        if any(re.search(pattern, name) for name in names):
            raise DataError(f"{what}, expected an HRNet or HigherHRNet with a keypoint head for associative embedding")
    if not any(name.startswith(f"{BACKBONE}stage4.") for name in names):
        raise DataError(
            f"keys {first_names(sorted(names))}: no HRNet (no stage2 to stage4), expected one with a keypoint head"
        )
    if not any(name.startswith(HEAD) for name in names):
        others = sorted({name.split(".")[0] for name in names} - {BACKBONE[:-1]})
        what = (
            f"an HRNet with {first_names(others)}" if others else "an HRNet backbone alone, as pre-training leaves it"
        )
        raise DataError(f"{what}, no keypoint head, expected a whole pose network")


def deduce_architecture(shapes: Shapes, joints: int | None = None) -> Architecture:
    """The architecture that has weights of these canonical names and shapes.

    joints: K, where it cannot be told from the number of output channels.
    Errors: DataError, where a weight that tells it is missing or says something impossible.
    """
    higher = any(name.startswith(f"{HEAD}final_layers.") for name in shapes)
    if not higher and any(name.startswith(f"{HEAD}deconv_layers.") for name in shapes):
        raise DataError("a head with deconv_layers and one final_layer, expected HRNet's (none) or HigherHRNet's (two)")
    count, per_joint = _higher_joints(shapes, joints) if higher else _hrnet_joints(shapes, joints)
    stages = [f"{BACKBONE}stage{stage}" for stage in (2, 3, 4)]
    modules = [_count(shapes, f"{stage}.") for stage in stages]
    blocks = [_count(shapes, f"{BACKBONE}layer1."), *(_count(shapes, f"{stage}.0.branches.0.") for stage in stages)]
    # Small numbers in a file could make a network without end: each block has weights, which must be there.
    total = sum(count * (2 + stage) * blocks[1 + stage] for stage, count in enumerate(modules))
    if total > len(shapes):
        raise DataError(f"modules {modules} of {blocks[1:]} blocks, expected weights for all of them")
    return Architecture(
        width=_axis(shapes, f"{BACKBONE}stage2.0.branches.0.0.conv1.weight"),
        stem=_axis(shapes, f"{BACKBONE}conv1.weight"),
        layer1=_axis(shapes, f"{BACKBONE}layer1.0.conv1.weight"),
        joints=count,
        tag_per_joint=per_joint,
        higher=higher,
        blocks=(blocks[0], blocks[1], blocks[2], blocks[3]),
        modules=(modules[0], modules[1], modules[2]),
    )


def _hrnet_joints(shapes: Shapes, joints: int | None) -> tuple[int, bool]:
    """(K, whether each has a tag map of its own) from 2K or K + 1 output channels."""
    name = f"{HEAD}final_layer.weight"
    channels = _axis(shapes, name)
    if joints is None and channels % 2:
        raise DataError(
            f"{name}: {channels} output channels, expected twice the joints (heatmaps and tags); a top-down network "
            f"has no tags, and for one tag map shared by all joints give --joints {channels - 1}"
        )
    return _with_tags(name, channels, channels // 2 if joints is None else joints)


def _higher_joints(shapes: Shapes, joints: int | None) -> tuple[int, bool]:
    """The same from both stages: the second has heatmaps alone, K channels."""
    stages = sorted({name.split(".")[2] for name in shapes if name.startswith(f"{HEAD}final_layers.")})
    if stages != ["0", "1"]:
        raise DataError(f"final_layers {first_names(stages)}, expected 0 and 1: one stage of twice the size")
    found = _axis(shapes, f"{HEAD}final_layers.1.weight")
    if joints not in (None, found):
        raise DataError(f"{HEAD}final_layers.1.weight: {found} joints, expected {joints} as in --joints")
    return _with_tags(f"{HEAD}final_layers.0.weight", _axis(shapes, f"{HEAD}final_layers.0.weight"), found)


def _with_tags(name: str, channels: int, joints: int) -> tuple[int, bool]:
    if channels not in (2 * joints, joints + 1):
        raise DataError(
            f"{name}: {channels} output channels, expected {2 * joints} or {joints + 1} for {joints} joints with tags"
        )
    return joints, channels == 2 * joints


def _axis(shapes: Shapes, name: str) -> int:
    """The number of output channels of a convolution."""
    shape = shapes.get(name)
    if shape is None:
        raise DataError(f"{name} is missing, expected all weights of the network")
    if len(shape) != 4 or not 1 <= shape[0] <= _MOST_CHANNELS:
        raise DataError(f"{name}: shape {shape}, expected that of a convolution")
    return shape[0]


def _count(shapes: Shapes, prefix: str) -> int:
    """How many numbered parts there are under a prefix, at least 1."""
    return max(1, len({name.removeprefix(prefix).split(".")[0] for name in shapes if name.startswith(prefix)}))


def check_fit(found: Shapes, expected: Shapes, architecture: Architecture) -> None:
    """Raise DataError unless the weights found are those that the network expects.

    Two kinds are no matter: counters of training steps, and the exchange to coarser branches in the last module, which
    HRNet as a backbone for other tasks has and a pose head does not look at.
    """
    unused = re.compile(rf"^{re.escape(BACKBONE)}stage4\.{architecture.modules[2] - 1}\.fuse_layers\.[1-3]\.")
    missing = [name for name in expected if name not in found and not name.endswith(".num_batches_tracked")]
    strange = [name for name in found if name not in expected and not unused.match(name)]
    for names, what in ((missing, "missing"), (strange, "of no use here")):
        if names:
            verb = "is" if len(names) == 1 else "are"
            raise DataError(f"{first_names(names)} {verb} {what}, expected the weights of {architecture.name}")
    for name, shape in expected.items():
        if found.get(name, shape) != shape:
            raise DataError(f"{name}: shape {found[name]}, expected {shape} for {architecture.name}")
