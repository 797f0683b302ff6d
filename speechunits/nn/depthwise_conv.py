"""A convolution over time, feature by feature, that hears nothing of later chunks."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from speechunits.nn.horizon import Horizon


class DepthwiseConv(nn.Module):
    """One filter over time for each feature. Padding counts as zeros.

    Where the horizon has chunks, what lies behind the end of a frame's chunk counts as zeros too (dynamic chunk convolution,
    Li et al. 2023, arXiv:2304.09325), so that one filter serves whole utterances and streams.

    Args:
        dim: features.
        kernel: frames; an odd number if not ``causal``.
        causal: the filter ends at its frame instead of standing around it.
        bias: whether there is one.

    Raises:
        ValueError: a kernel that cannot stand around a frame.
    """

    def __init__(self, dim: int, kernel: int, causal: bool = False, bias: bool = True) -> None:
        super().__init__()
        if kernel < 1 or (not causal and kernel % 2 == 0):
            raise ValueError(
                f"kernel {kernel}: give an odd number of frames, so that the filter stands around its frame"
            )
        self.conv = nn.Conv1d(dim, dim, kernel, groups=dim, bias=bias)
        self.left_context = kernel - 1 if causal else kernel // 2
        self.right_context = kernel - 1 - self.left_context

    def forward(self, x: Tensor, horizon: Horizon) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        frames, chunk = x.size(1), horizon.chunk
        x = horizon.before(x, self.left_context).transpose(1, 2)
        if chunk is None or frames <= chunk or not self.right_context:
            return self.conv(F.pad(x, (0, self.right_context))).transpose(1, 2)
        x = F.pad(x, (0, -frames % chunk)).unfold(2, self.left_context + chunk, chunk)  # (B, D, chunks, frames of each)
        x = F.pad(x, (0, self.right_context)).transpose(1, 2)
        y = self.conv(x.flatten(0, 1)).unflatten(0, x.shape[:2])  # (B, chunks, D, chunk)
        return y.transpose(2, 3).flatten(1, 2)[:, :frames]
