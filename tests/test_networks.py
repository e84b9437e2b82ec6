"""The torch networks: the counts of the papers, the names of the published checkpoints, the shapes of the outputs."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the networks need torch, the extra [export]")

from hrnetae.networks.complexity import count_multiply_adds, count_parameters  # noqa: E402
from hrnetae.networks.hrnet import Architecture, PoseNetwork  # noqa: E402


def keys(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in PoseNetwork(architecture).state_dict().items()}


@pytest.mark.slow
def test_hrnet_w32_has_the_published_size() -> None:
    """28.54 M parameters and 40.8 G multiply-adds at 512 x 512: HRNet-w32 as the model page and mmpose count it."""
    network = PoseNetwork(Architecture())
    assert round(count_parameters(network) / 1e6, 2) == 28.54
    assert round(count_multiply_adds(network, (1, 3, 512, 512)) / 1e9, 1) == 40.8


def test_higherhrnet_has_the_published_size() -> None:
    """28.6 M and 63.8 M parameters: table 1 of HigherHRNet (Cheng et al. 2020)."""
    for width, millions in ((32, 28.6), (48, 63.8)):
        network = PoseNetwork(Architecture(width=width, higher=True))
        assert round(count_parameters(network) / 1e6, 1) == millions


def test_checkpoints_of_both_have_as_many_keys() -> None:
    """1752 of the backbone, whatever the width; 2 of HRNet's head, 58 of HigherHRNet's."""
    for higher, head in ((False, 2), (True, 58)):
        names = keys(Architecture(width=2, stem=4, higher=higher))
        assert sum(name.startswith("backbone.") for name in names) == 1752
        assert sum(name.startswith("keypoint_head.") for name in names) == head
        assert len(names) == 1752 + head


def test_names_and_shapes_are_those_of_checkpoints() -> None:
    """Spot checks in every part, as they stand in the files that mmpose publishes."""
    found = keys(Architecture(higher=True)) | keys(Architecture())
    expected = {
        "backbone.conv1.weight": (64, 3, 3, 3),
        "backbone.bn2.num_batches_tracked": (),
        "backbone.layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "backbone.layer1.3.bn3.running_var": (256,),
        "backbone.transition1.0.0.weight": (32, 256, 3, 3),
        "backbone.transition1.1.0.0.weight": (64, 256, 3, 3),
        "backbone.transition2.2.0.1.bias": (128,),
        "backbone.transition3.3.0.0.weight": (256, 128, 3, 3),
        "backbone.stage2.0.branches.1.3.conv2.weight": (64, 64, 3, 3),
        "backbone.stage3.3.fuse_layers.0.2.0.weight": (32, 128, 1, 1),
        "backbone.stage3.0.fuse_layers.2.0.0.0.weight": (32, 32, 3, 3),
        "backbone.stage3.0.fuse_layers.2.0.1.0.weight": (128, 32, 3, 3),
        "backbone.stage4.1.fuse_layers.3.0.2.1.running_mean": (256,),
        "backbone.stage4.2.fuse_layers.0.3.1.weight": (32,),
        "keypoint_head.final_layer.weight": (34, 32, 1, 1),
        "keypoint_head.final_layer.bias": (34,),
        "keypoint_head.final_layers.0.weight": (34, 32, 1, 1),
        "keypoint_head.final_layers.1.weight": (17, 32, 1, 1),
        "keypoint_head.deconv_layers.0.0.0.weight": (66, 32, 4, 4),
        "keypoint_head.deconv_layers.0.0.1.weight": (32,),
        "keypoint_head.deconv_layers.0.4.0.conv2.weight": (32, 32, 3, 3),
    }
    assert {name: found.get(name) for name in expected} == expected
    # The last module ends in the finest branch alone, and what passes a map on has no weights.
    assert not [name for name in found if re.match(r"backbone\.stage4\.2\.fuse_layers\.[1-3]", name)]
    assert not [name for name in found if re.match(r"backbone\.transition[23]\.[01]\.", name)][:1]
    assert not [name for name in found if re.search(r"fuse_layers\.(\d)\.\1\.", name)]


@pytest.mark.parametrize("size", [(64, 64), (64, 96), (128, 32)])
@pytest.mark.parametrize("per_joint", [True, False])
def test_outputs_are_a_quarter_and_half_of_the_input(size: tuple[int, int], per_joint: bool) -> None:
    height, width = size
    for higher in (False, True):
        architecture = Architecture(width=2, stem=4, joints=5, tag_per_joint=per_joint, higher=higher)
        network = PoseNetwork(architecture).eval()
        with torch.no_grad():
            shapes = [tuple(maps.shape) for maps in network(torch.zeros(2, 3, height, width))]
        first = (2, 10 if per_joint else 6, height // 4, width // 4)
        assert shapes == ([first, (2, 5, height // 2, width // 2)] if higher else [first])


def test_every_parameter_takes_part() -> None:
    """A forgotten branch would have no gradient."""
    for higher in (False, True):
        torch.manual_seed(0)
        network = PoseNetwork(Architecture(width=2, stem=4, joints=5, higher=higher))
        sum((maps**2).mean() for maps in network(torch.randn(2, 3, 64, 64))).backward()
        assert [name for name, value in network.named_parameters() if value.grad is None] == []


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"width": 0}, ValueError),
        ({"stem": -1}, ValueError),
        ({"joints": 1.5}, TypeError),
        ({"width": True}, TypeError),
    ],
)
def test_architecture_names_the_wrong_argument(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(arguments))):
        Architecture(**arguments)


def test_multiply_adds_by_hand() -> None:
    """(3 x 3, 3 -> 4, 8 x 8 outputs) + (transposed 2 x 2, 4 -> 5, 8 x 8 inputs) + (linear 6 -> 7)."""
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, padding=1, stride=2),
        torch.nn.ConvTranspose2d(4, 5, 2, stride=2),
        torch.nn.AdaptiveAvgPool2d((1, 6)),
        torch.nn.Linear(6, 7),
    ).train()
    assert count_multiply_adds(network, (1, 3, 16, 16)) == 9 * 3 * 4 * 64 + 4 * 4 * 5 * 64 + 5 * 6 * 7
    assert network.training


def test_the_package_itself_leaves_torch_alone() -> None:
    code = "import sys, hrnetae, hrnetae.networks, hrnetae.tools.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
