"""How large a network is, and how much it computes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def count_parameters(network: nn.Module) -> int:
    """Trained numbers: weights, biases, and the scale and shift of batch norms; no running statistics."""
    return sum(parameter.numel() for parameter in network.parameters())


def count_multiply_adds(network: nn.Module, shape: tuple[int, int, int, int]) -> int:
    """Multiply-adds of the convolutions and linear layers for one input of ``shape`` (N, 3, H, W).

    Each product with a weight counts once. Biases, batch norms (folded into the convolutions at inference), sums,
    activations and resizing are left out.
    """
    total = 0

    def count(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        nonlocal total
        assert isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear))
        if isinstance(module, nn.ConvTranspose2d):
            # Every input value meets each weight of its channel.
            total += inputs[0].numel() * module.weight[0].numel()
        else:
            total += output.numel() * module.weight[0].numel()

    hooks = [
        module.register_forward_hook(count)
        for module in network.modules()
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear))
    ]
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            network(torch.zeros(shape))
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return total
