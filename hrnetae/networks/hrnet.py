"""HRNet-AE and HigherHRNet-AE of any width, with the parameter names of the published checkpoints.

Sources: HRNet (Sun et al. 2019), HigherHRNet (Cheng et al. 2020). The names are those of mmpose 0.x, ``backbone.*`` and
``keypoint_head.*``; below these prefixes they are also the authors' own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from hrnetae.networks.blocks import BasicBlock, Bottleneck, convolution
from hrnetae.networks.heads import HigherHRNetHead, HRNetHead


@dataclass(frozen=True)
class Architecture:
    """Which network.

    width: channels of the finest branch (32 or 48 in the published ones); each coarser branch has twice as many.
    stem: channels of the first two convolutions and inside layer1 (64 in the published ones).
    joints: K. tag_per_joint: K tag maps, else one for all joints.
    higher: HigherHRNet, with its second stage of heatmaps.
    modules: how often the branches exchange what they found, in stages 2, 3 and 4.
    blocks: residual blocks in layer1, and in each branch of a module of stages 2, 3 and 4. The published networks have
        the defaults; fewer make a small network of the same topology.
    """

    width: int = 32
    stem: int = 64
    joints: int = 17
    tag_per_joint: bool = True
    higher: bool = False
    modules: tuple[int, int, int] = (1, 4, 3)
    blocks: tuple[int, int, int, int] = (4, 4, 4, 4)

    def __post_init__(self) -> None:
        for name in ("width", "stem", "joints"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{name}: {value!r}, expected a whole number")
            if value < 1:
                raise ValueError(f"{name}: {value}, expected 1 or more")
        for name, length in (("modules", 3), ("blocks", 4)):
            counts = tuple(getattr(self, name))
            if len(counts) != length or not all(isinstance(count, int) and count >= 1 for count in counts):
                raise ValueError(f"{name}: {counts}, expected {length} whole numbers of 1 or more")
            object.__setattr__(self, name, counts)

    @property
    def tags(self) -> int:
        """How many tag maps the first output has."""
        return self.joints if self.tag_per_joint else 1


class PoseNetwork(nn.Module):
    """A whole network: (N, 3, H, W) float32, H and W multiples of 32 -> the outputs that `Decoder` takes.

    HRNet: [(N, K + tags, H/4, W/4)], K heatmaps and then the tag maps.
    HigherHRNet: that and (N, K, H/2, W/2), heatmaps alone.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.backbone = Backbone(architecture)
        head = HigherHRNetHead if architecture.higher else HRNetHead
        self.keypoint_head = head(architecture.width, architecture.joints, architecture.tags)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The outputs as a list, one tensor per stage."""
        outputs: list[Tensor] = self.keypoint_head(self.backbone(x))
        return outputs


class Backbone(nn.Module):
    """HRNet without a head: (N, 3, H, W) -> its finest map (N, width, H/4, W/4)."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        stem = architecture.stem
        widths = [architecture.width << branch for branch in range(4)]
        modules, blocks = architecture.modules, architecture.blocks
        self.conv1 = convolution(3, stem, 3, stride=2)
        self.bn1 = nn.BatchNorm2d(stem)
        self.conv2 = convolution(stem, stem, 3, stride=2)
        self.bn2 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = nn.Sequential(*(Bottleneck(4 * stem if i else stem, stem) for i in range(blocks[0])))
        self.transition1 = _transition([4 * stem], widths[:2])
        self.stage2 = _stage(modules[0], blocks[1], widths[:2])
        self.transition2 = _transition(widths[:2], widths[:3])
        self.stage3 = _stage(modules[1], blocks[2], widths[:3])
        self.transition3 = _transition(widths[:3], widths)
        self.stage4 = _stage(modules[2], blocks[3], widths, only_finest=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) float32 -> (N, width, H/4, W/4)."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        maps: list[Tensor] = [self.layer1(x)]
        for transition, stage in (
            (self.transition1, self.stage2),
            (self.transition2, self.stage3),
            (self.transition3, self.stage4),
        ):
            maps = stage(_widen(transition, maps))
        return maps[0]


class ExchangeModule(nn.Module):
    """Branches of different resolution side by side, then each sums up what all of them found.

    A list of (N, widths[b], H / 2^b, W / 2^b), one per branch -> the same; with only_finest, branch 0's alone.
    """

    def __init__(self, blocks: int, widths: Sequence[int], only_finest: bool = False) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*(BasicBlock(width) for _ in range(blocks))) for width in widths)
        targets = range(1 if only_finest else len(widths))
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_exchange(widths, source, target) for source in range(len(widths))) for target in targets
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """One map per branch -> one per target."""
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        fused = []
        for layers in self.fuse_layers:
            assert isinstance(layers, nn.ModuleList)
            terms = [layer(x) for layer, x in zip(layers, maps, strict=True)]
            total = terms[0]
            for term in terms[1:]:
                total = total + term
            fused.append(self.relu(total))
        return fused


def _exchange(widths: Sequence[int], source: int, target: int) -> nn.Module:
    """From one branch's resolution and width to another's."""
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(
            convolution(widths[source], widths[target], 1),
            nn.BatchNorm2d(widths[target]),
            nn.Upsample(scale_factor=2 ** (source - target), mode="nearest"),
        )
    steps = [_halving(widths[source], widths[source]) for _ in range(target - source - 1)]
    last = nn.Sequential(convolution(widths[source], widths[target], 3, stride=2), nn.BatchNorm2d(widths[target]))
    return nn.Sequential(*steps, last)


def _halving(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(convolution(inputs, outputs, 3, stride=2), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def _transition(before: Sequence[int], after: Sequence[int]) -> nn.ModuleList:
    """The layers that bring the branches to their widths and open one more, out of the coarsest."""
    layers: list[nn.Module] = []
    for inputs, outputs in zip(before, after, strict=False):
        same = inputs == outputs
        layers.append(
            nn.Identity()
            if same
            else nn.Sequential(convolution(inputs, outputs, 3), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))
        )
    layers.append(nn.Sequential(_halving(before[-1], after[-1])))
    return nn.ModuleList(layers)


def _widen(transition: nn.ModuleList, maps: list[Tensor]) -> list[Tensor]:
    sources = [*maps, maps[-1]]
    return [layer(x) for layer, x in zip(transition, sources, strict=True)]


def _stage(modules: int, blocks: int, widths: Sequence[int], only_finest: bool = False) -> nn.Sequential:
    """only_finest: the last module keeps branch 0 alone, as the head asks for no more."""
    return nn.Sequential(
        *(ExchangeModule(blocks, widths, only_finest and module == modules - 1) for module in range(modules))
    )
