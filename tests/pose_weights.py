"""Weights of pose networks as published files hold them, and what such a network computes, written without our classes.

Names and shapes are spelt out here from the description of the published files, the computation from the papers (HRNet,
Sun et al. 2019; HigherHRNet, Cheng et al. 2020): two independent ways to what `hrnetae.networks` does.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np

try:
    import torch
    from torch.nn import functional
except ImportError:  # the tests that use this are skipped
    pass
else:
    torch.set_num_threads(1)  # the maps are tiny: threads would wait for each other, more than they compute

Weights = dict[str, Any]  # name -> torch.Tensor


@dataclass(frozen=True)
class Layout:
    """Sizes of a network. first: channels of the first output, 2K or K + 1; second: those of HigherHRNet's second."""

    width: int = 2
    stem: int = 4
    layer1: int = 3
    blocks: int = 1
    modules: tuple[int, int, int] = (1, 1, 2)
    first: int = 10
    second: int | None = None


def draw_weights(layout: Layout, seed: int | None = 0) -> Weights:
    """Random weights under the authors' names, backbone and head side by side. seed None: names and shapes alone."""
    return _Draw(layout, None if seed is None else np.random.default_rng(seed)).weights


class _Draw:
    def __init__(self, layout: Layout, rng: np.random.Generator | None) -> None:
        self.weights: Weights = OrderedDict()
        self.rng = rng
        self.layout = layout
        stem, inner, c = layout.stem, layout.layer1, layout.width
        self.conv_norm("conv1", "bn1", stem, 3, 3)
        self.conv_norm("conv2", "bn2", stem, stem, 3)
        for block in range(layout.blocks):
            self.bottleneck(f"layer1.{block}", stem if block == 0 else 4 * inner, inner)
        self.conv_norm("transition1.0.0", "transition1.0.1", c, 4 * inner, 3)
        self.conv_norm("transition1.1.0.0", "transition1.1.0.1", 2 * c, 4 * inner, 3)
        self.stage(2, [c, 2 * c])
        self.conv_norm("transition2.2.0.0", "transition2.2.0.1", 4 * c, 2 * c, 3)
        self.stage(3, [c, 2 * c, 4 * c])
        self.conv_norm("transition3.3.0.0", "transition3.3.0.1", 8 * c, 4 * c, 3)
        self.stage(4, [c, 2 * c, 4 * c, 8 * c])
        if layout.second is None:
            self.conv_bias("final_layers.0", layout.first, c)
        else:
            self.conv_bias("final_layers.0", layout.first, c)
            self.conv_bias("final_layers.1", layout.second, c)
            self.put("deconv_layers.0.0.0.weight", (c + layout.first, c, 4, 4), 1 / np.sqrt(4 * (c + layout.first)))
            self.norm("deconv_layers.0.0.1", c)
            for block in range(1, 5):
                self.basic(f"deconv_layers.0.{block}.0", c)

    def put(self, name: str, shape: tuple[int, ...], spread: float, middle: float = 0) -> None:
        if self.rng is None:
            self.weights[name] = torch.empty(shape, device="meta")
        else:
            self.weights[name] = torch.from_numpy(self.rng.normal(middle, spread, shape).astype(np.float32))

    def norm(self, name: str, channels: int, gain: float = 1.0) -> None:
        for part, low, high in (
            ("weight", 0.5 * gain, gain),
            ("bias", -0.3, 0.3),
            ("running_mean", -0.3, 0.3),
            ("running_var", 0.6, 1.4),
        ):
            self.put(f"{name}.{part}", (channels,), (high - low) / 8, (high + low) / 2)
        self.weights[f"{name}.num_batches_tracked"] = torch.tensor(1000)

    def conv_norm(self, conv: str, norm: str, outputs: int, inputs: int, size: int, gain: float = 1.0) -> None:
        self.put(f"{conv}.weight", (outputs, inputs, size, size), float(np.sqrt(2 / (inputs * size * size))))
        self.norm(norm, outputs, gain)

    def conv_bias(self, name: str, outputs: int, inputs: int) -> None:
        self.put(f"{name}.weight", (outputs, inputs, 1, 1), float(1 / np.sqrt(inputs)))
        self.put(f"{name}.bias", (outputs,), 0.1)

    def basic(self, name: str, width: int) -> None:
        self.conv_norm(f"{name}.conv1", f"{name}.bn1", width, width, 3)
        self.conv_norm(f"{name}.conv2", f"{name}.bn2", width, width, 3, gain=0.5)

    def bottleneck(self, name: str, inputs: int, width: int) -> None:
        self.conv_norm(f"{name}.conv1", f"{name}.bn1", width, inputs, 1)
        self.conv_norm(f"{name}.conv2", f"{name}.bn2", width, width, 3)
        self.conv_norm(f"{name}.conv3", f"{name}.bn3", 4 * width, width, 1, gain=0.5)
        if inputs != 4 * width:
            self.conv_norm(f"{name}.downsample.0", f"{name}.downsample.1", 4 * width, inputs, 1)

    def stage(self, stage: int, widths: list[int]) -> None:
        modules = self.layout.modules[stage - 2]
        for module in range(modules):
            name = f"stage{stage}.{module}"
            for branch, width in enumerate(widths):
                for block in range(self.layout.blocks):
                    self.basic(f"{name}.branches.{branch}.{block}", width)
            targets = 1 if stage == 4 and module == modules - 1 else len(widths)
            for target in range(targets):
                self.exchange(f"{name}.fuse_layers.{target}", widths, target)

    def exchange(self, name: str, widths: list[int], target: int) -> None:
        for source in range(target + 1, len(widths)):  # from coarser maps
            self.conv_norm(f"{name}.{source}.0", f"{name}.{source}.1", widths[target], widths[source], 1)
        for source in range(target):  # from finer ones, halved again and again
            for step in range(target - source):
                outputs = widths[target] if step == target - source - 1 else widths[source]
                part = f"{name}.{source}.{step}"
                self.conv_norm(f"{part}.0", f"{part}.1", outputs, widths[source], 3)


def run(weights: Weights, x: Any) -> list[Any]:
    """What the network of these weights (authors' names, float32) makes of x (N, 3, H, W): one map per stage."""
    net = _Run(weights)
    with torch.no_grad():
        return net(x)


class _Run:
    def __init__(self, weights: Weights) -> None:
        self.weights = weights

    def __call__(self, x: Any) -> list[Any]:
        x = self.conv_norm(x, "conv1", "bn1", stride=2).relu()
        x = self.conv_norm(x, "conv2", "bn2", stride=2).relu()
        for block in self.numbers("layer1"):
            x = self.bottleneck(x, f"layer1.{block}")
        maps = [
            self.conv_norm(x, "transition1.0.0", "transition1.0.1").relu(),
            self.conv_norm(x, "transition1.1.0.0", "transition1.1.0.1", stride=2).relu(),
        ]
        maps = self.stage(maps, 2)
        maps.append(self.conv_norm(maps[-1], "transition2.2.0.0", "transition2.2.0.1", stride=2).relu())
        maps = self.stage(maps, 3)
        maps.append(self.conv_norm(maps[-1], "transition3.3.0.0", "transition3.3.0.1", stride=2).relu())
        return self.head(self.stage(maps, 4)[0])

    def numbers(self, prefix: str) -> list[int]:
        depth = prefix.count(".") + 1
        return sorted({int(name.split(".")[depth]) for name in self.weights if name.startswith(f"{prefix}.")})

    def norm(self, x: Any, name: str) -> Any:
        scale = self.weights[f"{name}.weight"] / torch.sqrt(self.weights[f"{name}.running_var"] + 1e-5)
        shift = self.weights[f"{name}.bias"] - self.weights[f"{name}.running_mean"] * scale
        return x * scale[:, None, None] + shift[:, None, None]

    def conv_norm(self, x: Any, conv: str, norm: str, stride: int = 1) -> Any:
        weight = self.weights[f"{conv}.weight"]
        return self.norm(functional.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2), norm)

    def basic(self, x: Any, name: str) -> Any:
        y = self.conv_norm(x, f"{name}.conv1", f"{name}.bn1").relu()
        return (self.conv_norm(y, f"{name}.conv2", f"{name}.bn2") + x).relu()

    def bottleneck(self, x: Any, name: str) -> Any:
        y = self.conv_norm(x, f"{name}.conv1", f"{name}.bn1").relu()
        y = self.conv_norm(y, f"{name}.conv2", f"{name}.bn2").relu()
        y = self.conv_norm(y, f"{name}.conv3", f"{name}.bn3")
        if f"{name}.downsample.0.weight" in self.weights:
            x = self.conv_norm(x, f"{name}.downsample.0", f"{name}.downsample.1")
        return (y + x).relu()

    def stage(self, maps: list[Any], stage: int) -> list[Any]:
        for module in self.numbers(f"stage{stage}"):
            name = f"stage{stage}.{module}"
            for branch in range(len(maps)):
                for block in self.numbers(f"{name}.branches.{branch}"):
                    maps[branch] = self.basic(maps[branch], f"{name}.branches.{branch}.{block}")
            targets = self.numbers(f"{name}.fuse_layers")
            maps = [self.exchange(maps, f"{name}.fuse_layers.{target}", target) for target in targets]
        return maps

    def exchange(self, maps: list[Any], name: str, target: int) -> Any:
        total = maps[target]
        for source, x in enumerate(maps):
            if source > target:
                x = self.conv_norm(x, f"{name}.{source}.0", f"{name}.{source}.1")
                times = 2 ** (source - target)
                total = total + x.repeat_interleave(times, dim=2).repeat_interleave(times, dim=3)
            elif source < target:
                for step in range(target - source):
                    x = self.conv_norm(x, f"{name}.{source}.{step}.0", f"{name}.{source}.{step}.1", stride=2)
                    x = x.relu() if step < target - source - 1 else x
                total = total + x
        return total.relu()

    def head(self, x: Any) -> list[Any]:
        first = self.final(x, 0)
        if "final_layers.1.weight" not in self.weights:
            return [first]
        both = torch.cat([x, first], 1)
        y = functional.conv_transpose2d(both, self.weights["deconv_layers.0.0.0.weight"], stride=2, padding=1)
        y = self.norm(y, "deconv_layers.0.0.1").relu()
        for block in range(1, 5):
            y = self.basic(y, f"deconv_layers.0.{block}.0")
        return [first, self.final(y, 1)]

    def final(self, x: Any, stage: int) -> Any:
        return functional.conv2d(
            x, self.weights[f"final_layers.{stage}.weight"], self.weights[f"final_layers.{stage}.bias"]
        )
