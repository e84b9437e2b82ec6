"""Networks without training: of real size and speed, with numbers that stay within the range of float16."""

from __future__ import annotations

from types import MappingProxyType

import torch
from torch import nn

from hrnetae.networks.hrnet import Architecture, PoseNetwork

# name -> (width, higher)
ARCHITECTURES = MappingProxyType(
    {"w32": (32, False), "w48": (48, False), "higher_w32": (32, True), "higher_w48": (48, True)}
)
_SAMPLE = (1, 3, 512, 512)  # the noise that the batch norms measure
_HEAD_STD = 0.01  # of the last convolutions' weights


def architecture_of(name: str, joints: int = 17) -> Architecture:
    """The published architecture of that name, a key of ARCHITECTURES, for so many joints.

    Errors: KeyError for another name; ValueError for joints below 1.
    """
    width, higher = ARCHITECTURES[name]
    return Architecture(width=width, joints=joints, higher=higher)


def untrained(architecture: Architecture, seed: int = 0) -> PoseNetwork:
    """A network of random weights, in eval mode; the same for the same seed, up to how the machine rounds.

    The statistics of the batch norms are those of noise that passes through, so that every map has mean 0 and
    variance 1 after its norm, as in a trained network: with statistics left at 0 and 1 the maps would grow or vanish
    from layer to layer, beyond what float16 and int8 can show.
    """
    before = torch.random.get_rng_state()
    torch.manual_seed(seed)
    try:
        network = PoseNetwork(architecture)
        _draw_heads(network)
        _measure(network)
    finally:
        torch.random.set_rng_state(before)
    network.eval()
    return network


def _draw_heads(network: PoseNetwork) -> None:
    """Outputs of about 1, where a trained network's heatmaps lie, too."""
    for module in network.keypoint_head.modules():
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.normal_(module.weight, std=_HEAD_STD)
            nn.init.normal_(module.bias, std=_HEAD_STD)


def _measure(network: nn.Module) -> None:
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0  # take the sample's statistics over as they are
    network.train()
    with torch.no_grad():
        network(torch.randn(_SAMPLE))
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
