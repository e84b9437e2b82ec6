"""What associative embedding is trained with: target maps, the two losses, and a mean of the weights.

Source of the losses: Newell et al. 2017, in the form of HigherHRNet (Cheng et al. 2020).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

# Against the heatmaps' error, which is a mean over maps that are almost empty. The papers have 1e-3, and more time.
TAG_WEIGHT = 3e-3


@dataclass(frozen=True)
class Losses:
    """heat: mean squared error of the heatmaps. pull: of tags about their person's mean. push: nearness of these
    means to each other. Each a number."""

    heat: Tensor
    pull: Tensor
    push: Tensor

    @property
    def total(self) -> Tensor:
        """What is minimised."""
        return self.heat + TAG_WEIGHT * (self.pull + self.push)


def target_heatmaps(cells: Tensor, labelled: Tensor, size: tuple[int, int], sigma: float) -> Tensor:
    """(N, K, H, W) float32: a Gaussian of height 1 at each labelled joint, the higher one where several meet.

    cells: (N, P, K, 2) x, y in cells of the map, 0 at the centre of its first one. labelled: (N, P, K) bool.
    size: (H, W). sigma: in cells.
    """
    height, width = size
    columns, rows = torch.arange(width), torch.arange(height)
    across = torch.exp(-((cells[..., 0, None] - columns) ** 2) / (2 * sigma**2)) * labelled[..., None]
    down = torch.exp(-((cells[..., 1, None] - rows) ** 2) / (2 * sigma**2))
    heat = torch.zeros(cells.shape[0], cells.shape[2], height, width)
    for person in range(cells.shape[1]):
        torch.maximum(heat, down[:, person, :, :, None] * across[:, person, :, None, :], out=heat)
    return heat


def losses(output: Tensor, cells: Tensor, labelled: Tensor, sigma: float) -> Losses:
    """The losses of one output (N, 2K, H, W): K heatmaps, then K tag maps.

    cells, labelled, sigma: as `target_heatmaps` takes them. Joints outside the map count as not labelled.
    """
    joints = cells.shape[2]
    height, width = output.shape[2:]
    nearest = cells.round().long()
    inside = ((nearest >= 0) & (nearest < torch.tensor([width, height]))).all(dim=-1)
    labelled = labelled & inside
    target = target_heatmaps(cells, labelled, (height, width), sigma)
    heat = (output[:, :joints] - target).square().mean()
    at = (nearest[..., 1].clamp(0, height - 1) * width + nearest[..., 0].clamp(0, width - 1)).permute(0, 2, 1)
    tags = output[:, joints:].flatten(2).gather(2, at).permute(0, 2, 1)
    pull, push = tag_losses(tags, labelled)
    return Losses(heat, pull, push)


def tag_losses(tags: Tensor, labelled: Tensor) -> tuple[Tensor, Tensor]:
    """Pull and push of the tags (N, P, K) of N pictures' persons, where ``labelled`` (N, P, K) holds.

    Per picture, then averaged: pull is the mean over persons of their tags' variance; push the mean over ordered pairs
    of different persons of exp(-d^2) / 2, d the distance of their mean tags.
    """
    count = labelled.sum(dim=2)
    there = count > 0
    means = (tags * labelled).sum(dim=2) / count.clamp(min=1)
    variance = ((tags - means[..., None]).square() * labelled).sum(dim=2) / count.clamp(min=1)
    persons = there.sum(dim=1)
    pull = (variance.sum(dim=1) / persons.clamp(min=1)).mean()
    near = torch.exp(-(means[:, :, None] - means[:, None, :]).square())
    pairs = there[:, :, None] & there[:, None, :] & ~torch.eye(there.shape[1], dtype=torch.bool)
    push = ((near * pairs).sum(dim=(1, 2)) / (persons * (persons - 1)).clamp(min=1)).mean()
    return pull, push / 2


def initialise(network: nn.Module, joints: int) -> None:
    """Start values: He et al. 2015 for convolutions, residual blocks that begin as identities, heatmaps near 0."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and module.bias is None:
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        elif isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.normal_(module.weight[:joints], std=1e-3)
            nn.init.normal_(module.weight[joints:], std=0.1)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d) and ("branches" in name and name.endswith("bn2")):
            nn.init.constant_(module.weight, 0.2)


class MeanWeights:
    """An exponential mean of a network's weights over the steps of its training."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval()
        self._decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after step ``step`` (from 1); early steps are forgotten sooner."""
        decay = min(self._decay, step / (step + 10))
        for mean, value in zip(self.network.state_dict().values(), network.state_dict().values(), strict=True):
            if mean.dtype.is_floating_point:
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)
