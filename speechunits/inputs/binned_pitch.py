"""Pitch in bins."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn


class BinnedPitch(nn.Module):
    """A learned vector for each range of standard pitch, and one for unvoiced frames, so that pitch costs log2(bins + 1) bits
    a frame.

    "quantile" gives every bin as many frames where ln F0 is normal, which is how pGSLM cuts it (Kharitonov et al. 2022,
    arXiv:2109.03264; fairseq's ``quantize_f0.py`` with ``meanstd``, whose quantiles are those of the data); "uniform" cuts
    the range of -3 to 3 deviations into equal parts.

    Args:
        bins: of voiced frames; what lies outside belongs to the outermost ones.
        spacing: see above.
        dim: of the vectors, supplied by the input.

    Raises:
        ValueError: fewer than two bins.
    """

    edges: Tensor

    def __init__(self, bins: int = 32, spacing: Literal["quantile", "uniform"] = "quantile", *, dim: int) -> None:
        super().__init__()
        if bins < 2:
            raise ValueError(f"bins = {bins}: give two at least")
        with torch.device("cpu"):  # see MelSpectrum
            shares = torch.arange(1, bins, dtype=torch.float64) / bins
            edges = torch.special.ndtri(shares) if spacing == "quantile" else 6 * shares - 3
        self.register_buffer("edges", edges.float(), persistent=False)
        self.vectors = nn.Embedding(bins + 1, dim)

    def bins(self, pitch: Tensor, voiced: Tensor) -> Tensor:
        """(B, T) standard ln F0 and (B, T) bool -> (B, T) int64: 0 = unvoiced, else 1 .. bins, rising."""
        return (torch.bucketize(pitch.contiguous(), self.edges.to(pitch.dtype)) + 1) * voiced

    def forward(self, pitch: Tensor, voiced: Tensor) -> Tensor:
        """(B, T) standard ln F0 and (B, T) bool -> (B, T, dim)."""
        return self.vectors(self.bins(pitch, voiced))  # type: ignore[no-any-return]
