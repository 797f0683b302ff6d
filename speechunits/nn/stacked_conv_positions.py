"""Convolutional positions from several short convolutions instead of one long one."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class StackedConvPositions(nn.Module):
    """Several short grouped convolutions, each followed by a LayerNorm without weights and a GELU (data2vec, DinoSR).

    fairseq's ``pos_conv_depth``: its kernel is ``conv_pos // pos_conv_depth``, 19 for 95 and 5. Padding is zeroed before
    every convolution, where fairseq zeroes it before the first alone: otherwise frames near the end of an utterance
    would depend on its batch.

    Args:
        depth: convolutions.
        kernel: taps of each, an odd number.
        groups: of each.
        dim: features, supplied by the encoder.

    Raises:
        ValueError: an even kernel, or groups that do not divide ``dim``.
    """

    def __init__(self, depth: int = 5, kernel: int = 19, groups: int = 16, *, dim: int) -> None:
        super().__init__()
        if dim % groups:
            raise ValueError(f"dim {dim} does not divide into {groups} groups")
        if kernel % 2 == 0:
            raise ValueError(f"kernel {kernel} is even: no output frame would stand above its input")
        self.convs = nn.ModuleList(
            nn.Conv1d(dim, dim, kernel, padding=kernel // 2, groups=groups) for _ in range(depth)
        )

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """(B, T, D), zero on padding, valid (B, T) or None where nothing is padded -> (B, T, D) to add."""
        for conv in self.convs:
            y = conv(x.transpose(1, 2)).transpose(1, 2)
            x = F.gelu(F.layer_norm(y, y.shape[-1:]))
            if valid is not None:
                x = x * valid[..., None].to(x.dtype)
        return x
