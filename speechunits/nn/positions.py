"""Convolutional positions (wav2vec 2.0, section 3: relative positions from a grouped convolution)."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm


class ConvPositions(nn.Module):
    """A grouped, weight-normalised convolution over time whose output is added to its input.

    Args:
        kernel: taps; for an even number the last output frame is dropped, as in fairseq.
        groups: of the convolution.
        dim: features, supplied by the encoder.
    """

    def __init__(self, kernel: int = 128, groups: int = 16, *, dim: int) -> None:
        super().__init__()
        if dim % groups:
            raise ValueError(f"dim {dim} does not divide into {groups} groups")
        conv = nn.Conv1d(dim, dim, kernel, padding=kernel // 2, groups=groups)
        nn.init.normal_(conv.weight, mean=0.0, std=math.sqrt(4.0 / (kernel * dim)))
        nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        self.conv = weight_norm(conv, dim=2)
        self.drop_last = kernel % 2 == 0

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """(B, T, D), zero on padding -> (B, T, D) to add. ``valid`` is not needed here."""
        y = self.conv(x.transpose(1, 2))
        return F.gelu(y[:, :, :-1] if self.drop_last else y).transpose(1, 2)
