"""A convolution whose weight has a largest singular value of one."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SpectralConv1d(nn.Conv1d):
    """Conv1d with its weight divided by the largest singular value of the matrix (out, in * kernel) that it is.

    Spectral normalisation (Miyato et al. 2018, https://arxiv.org/abs/1802.05957, algorithm 1). Published implementations
    take a step of the power iteration in every forward pass of training, so that micro-batches of one update would see other
    weights than the whole batch; here the singular vectors follow after each update.

    Args:
        channels_in, channels_out, kernel, stride, padding, groups: as ``nn.Conv1d``.
        iterations: of the power method after an update; 4 = as often as the two steps of a GAN, each with a pass over real
            and one over made audio, would take it.
    """

    left: Tensor
    right: Tensor

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        iterations: int = 4,
    ) -> None:
        super().__init__(channels_in, channels_out, kernel, stride, padding, groups=groups)
        self.iterations = iterations
        rows, columns = self.weight.flatten(1).shape
        self.register_buffer("left", F.normalize(torch.randn(rows), dim=0))
        self.register_buffer("right", F.normalize(torch.randn(columns), dim=0))
        self._follow(15)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, T) -> (B, channels_out, T')."""
        with torch.autocast(x.device.type, enabled=False):
            largest = self.left @ self.weight.flatten(1) @ self.right
        return self._conv_forward(x, self.weight / largest, self.bias)

    def on_step(self, step: int, root: nn.Module) -> None:
        """Follow the weight that the update moved."""
        self._follow(self.iterations)

    @torch.no_grad()
    def _follow(self, iterations: int) -> None:
        matrix = self.weight.flatten(1)
        for _ in range(iterations):
            self.left.copy_(F.normalize(matrix @ self.right, dim=0, eps=1e-12))
            self.right.copy_(F.normalize(matrix.T @ self.left, dim=0, eps=1e-12))
