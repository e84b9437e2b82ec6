"""What stands on the backbone's finest map: heatmaps and tags, and for HigherHRNet heatmaps of twice the size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hrnetae.networks.blocks import BasicBlock

_BLOCKS = 4  # residual blocks after the transposed convolution


class HRNetHead(nn.Module):
    """One 1 x 1 convolution: (N, width, H, W) -> heatmaps and tags (N, joints + tags, H, W)."""

    def __init__(self, width: int, joints: int, tags: int) -> None:
        super().__init__()
        self.final_layer = nn.Conv2d(width, joints + tags, 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        """One output."""
        return [self.final_layer(x)]


class HigherHRNetHead(nn.Module):
    """That convolution, then a transposed one to twice the size with residual blocks, and heatmaps there.

    (N, width, H, W) -> [(N, joints + tags, H, W), (N, joints, 2H, 2W)]. Source: HigherHRNet (Cheng et al. 2020).
    """

    def __init__(self, width: int, joints: int, tags: int) -> None:
        super().__init__()
        inputs = width + joints + tags  # it sees the first stage's maps as well
        enlarge = nn.Sequential(
            nn.ConvTranspose2d(inputs, width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        blocks = [nn.Sequential(BasicBlock(width)) for _ in range(_BLOCKS)]
        self.final_layers = nn.ModuleList([nn.Conv2d(width, joints + tags, 1), nn.Conv2d(width, joints, 1)])
        self.deconv_layers = nn.ModuleList([nn.Sequential(enlarge, *blocks)])

    def forward(self, x: Tensor) -> list[Tensor]:
        """Two outputs."""
        first = self.final_layers[0](x)
        finer = self.deconv_layers[0](torch.cat([x, first], dim=1))
        return [first, self.final_layers[1](finer)]
