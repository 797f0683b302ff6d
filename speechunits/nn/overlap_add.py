"""Windowed frames to a waveform."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class OverlapAdd(nn.Module):
    """Frames times a Hann window, added up and divided by the sum of the squared windows (Griffin and Lim 1984, equation 6).

    The middle of frame t stands above the middle of its own samples, t * hop to (t + 1) * hop: T frames give T * hop samples,
    where ``torch.istft`` gives (T - 1) * hop. The first and last samples are those of fewer frames.

    Args:
        hop: samples between frames.
        overlap: a window is so many hops long, 2 at least.
    """

    window: Tensor

    def __init__(self, hop: int, overlap: int) -> None:
        super().__init__()
        if overlap < 2:
            raise ValueError(f"overlap {overlap}: a Hann window shorter than two hops leaves samples without a frame")
        self.hop, self.overlap = hop, overlap
        self.register_buffer("window", torch.hann_window(hop * overlap), persistent=False)

    def forward(self, frames: Tensor, valid: Tensor | None = None) -> Tensor:
        """(B, T, overlap * hop), valid (B, T) bool or None = all are -> (B, T * hop), zero behind the last valid frame."""
        weights = self.window.square().expand(1, frames.size(1), -1)
        if valid is not None:
            weights = weights * valid[..., None]
            frames = frames.masked_fill(~valid[..., None], 0)
        heard = self._add(weights)
        if valid is not None:
            behind = ~valid.repeat_interleave(self.hop, 1)
            return (self._add(frames * self.window) / heard.masked_fill(behind, 1)).masked_fill(behind, 0)
        return self._add(frames * self.window) / heard

    def _add(self, frames: Tensor) -> Tensor:
        """(B, T, overlap * hop) -> (B, T * hop): every hop of a window goes where it stands, all frames at once."""
        count, cut = frames.size(1), self.hop * (self.overlap - 1) // 2
        hops = frames.unflatten(2, (self.overlap, self.hop))
        out = frames.new_zeros(len(frames), count + self.overlap - 1, self.hop)
        for i in range(self.overlap):
            out[:, i : i + count] += hops[:, :, i]
        return out.flatten(1)[:, cut : cut + count * self.hop]
