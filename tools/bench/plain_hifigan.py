"""HiFi-GAN's generator as its paper says, in plain PyTorch: what the vocoders are compared with."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PlainBlock(nn.Module):
    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.dilated, self.plain = (
            nn.ModuleList(
                nn.Conv1d(channels, channels, kernel, padding=d * (kernel - 1) // 2, dilation=d) for d in dilations
            )
            for dilations in ((1, 3, 5), (1, 1, 1))
        )

    def forward(self, x: Tensor) -> Tensor:
        for dilated, plain in zip(self.dilated, self.plain, strict=True):
            x = x + plain(F.leaky_relu(dilated(F.leaky_relu(x, 0.1)), 0.1))
        return x


class PlainHiFiGAN(nn.Module):
    """V1 (Kong et al. 2020, arXiv:2010.05646, table 5) with other rates, without weight norm, as after its removal.

    (B, dim, T) -> (B, 1, T * 320).
    """

    def __init__(
        self,
        dim: int = 128,
        channels: int = 512,
        rates: tuple[int, ...] = (5, 4, 4, 2, 2),
        kernels: tuple[int, ...] = (11, 8, 8, 4, 4),
    ) -> None:
        super().__init__()
        self.pre = nn.Conv1d(dim, channels, 7, padding=3)
        self.ups, self.blocks = nn.ModuleList(), nn.ModuleList()
        for rate, kernel in zip(rates, kernels, strict=True):
            self.ups.append(nn.ConvTranspose1d(channels, channels // 2, kernel, rate, padding=(kernel - rate) // 2))
            channels //= 2
            self.blocks.append(nn.ModuleList(PlainBlock(channels, k) for k in (3, 7, 11)))
        self.post = nn.Conv1d(channels, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pre(x)
        for up, blocks in zip(self.ups, self.blocks, strict=True):
            x = up(F.leaky_relu(x, 0.1))
            x = (blocks[0](x) + blocks[1](x) + blocks[2](x)) / 3
        return torch.tanh(self.post(F.leaky_relu(x)))


def convolutions(model: nn.Module) -> list[nn.Module]:
    """In the order of the pass: first, transposed ones, those of the blocks, last."""
    return [part for part in model.modules() if isinstance(part, (nn.Conv1d, nn.ConvTranspose1d))]


@torch.no_grad()
def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Of one generator into another without weight norm: the same convolutions in the same order."""
    for a, b in zip(convolutions(source), convolutions(target), strict=True):
        if a.weight.shape != b.weight.shape:
            raise ValueError(f"a convolution of {tuple(a.weight.shape)} in place of {tuple(b.weight.shape)}")
        b.weight.copy_(a.weight)
        b.bias.copy_(a.bias)
