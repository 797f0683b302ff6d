"""Warped time, hidden bands and hidden spans of a spectrogram."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from speechunits.draws import Draws
from speechunits.seq import Seq


class SpecAugment(nn.Module):
    """Stretch time, then hide whole bands of features and whole spans of frames (Park et al. 2019, arXiv:1904.08779,
    section 2). Numbers and widths that follow the length of the utterance: Park et al. 2020, arXiv:1912.05533, section 2.

    The defaults are those of Gulati et al. 2020, arXiv:2005.08100, section 3.1, which suit any frame rate. The first
    paper's policy LD (table 1; frames of 10 ms) is ``warp: 80, time_masks: 2, time_width: 100, time_share: 1``, the second's
    LibriFullAdapt ``warp: 80, time_masks: 20, time_rate: 0.04, time_share: 0.04``. All is drawn per utterance from (seed,
    epoch, cut id, purpose): neither batch-mates nor ranks change it, and padding stays as it is.

    Args:
        warp: W, frames: a point at more than W from both ends moves by up to W, and what lies on its two sides is stretched
            linearly (the paper bends the picture by a spline through that point). Utterances too short for it are left
            alone; 0 = none.
        bands: masks over features. band_width: F, of the widest one; the width is drawn from 0 to F.
        time_masks: masks over frames; with ``time_rate`` at most so many.
        time_rate: p_M, masks per frame of the utterance; None = always ``time_masks``.
        time_width: T, of the widest one; None = only ``time_share`` limits it.
        time_share: p or p_S: a mask is no wider than this share of the utterance.
        value: of what is hidden: "zero", or the "mean" of all of the utterance's features.

    Raises:
        ValueError: a number outside its range.
    """

    def __init__(
        self,
        warp: int = 0,
        bands: int = 2,
        band_width: int = 27,
        time_masks: int = 10,
        time_rate: float | None = None,
        time_width: int | None = None,
        time_share: float = 0.05,
        value: Literal["zero", "mean"] = "zero",
    ) -> None:
        super().__init__()
        if min(warp, bands, band_width, time_masks, time_rate or 0, time_width or 0) < 0 or not 0 <= time_share <= 1:
            raise ValueError("numbers and widths of masks are 0 or more, and time_share is between 0 and 1")
        self.warp, self.bands, self.band_width = warp, bands, band_width
        self.time_masks, self.time_rate = time_masks, time_rate
        self.time_width, self.time_share, self.value = time_width, time_share, value

    def draw(self, lengths: Tensor, width: int, draws: Draws, purpose: str = "mask") -> Tensor:
        """Frames that are hidden whole: (B, width) bool on the device of ``lengths`` (B,)."""

        def make() -> Tensor:
            hidden = np.zeros((len(draws.ids), width), bool)
            for row, size, rng in zip(hidden, lengths.tolist(), draws.generators(f"{purpose}:time"), strict=True):
                count = self.time_masks if self.time_rate is None else min(self.time_masks, int(self.time_rate * size))
                widest = min(int(self.time_share * size), size if self.time_width is None else self.time_width)
                row[:size] = _hidden(size, count, widest, rng)
            return torch.from_numpy(hidden)

        return draws.once((purpose, id(self), width), make).to(lengths.device, non_blocking=True)

    def forward(self, x: Seq, draws: Draws, purpose: str = "mask") -> tuple[Seq, Tensor, dict[str, Tensor]]:
        """(B, T, D) -> what the encoder sees, frames hidden whole (B, T) bool, aux."""
        data, valid = self._warped(x, draws, purpose), x.valid[..., None]
        masked = self.draw(x.lengths, data.size(1), draws, purpose)
        dim = data.size(-1)
        bands = np.stack(
            [_hidden(dim, self.bands, min(self.band_width, dim), rng) for rng in draws.generators(f"{purpose}:band")]
        )
        hidden = (masked[..., None] | torch.from_numpy(bands).to(data.device)[:, None, :]) & valid
        value = data.new_zeros(())
        if self.value == "mean":
            value = (data * valid).sum((1, 2), keepdim=True) / (x.lengths.clamp(min=1) * dim)[:, None, None]
        return x.with_data(torch.where(hidden, value, data)), masked, {}

    def _warped(self, x: Seq, draws: Draws, purpose: str) -> Tensor:
        if not self.warp:
            return x.data
        width = x.data.size(1)
        places = np.tile(np.arange(width, dtype=np.float64), (len(x.lengths), 1))
        for row, size, rng in zip(places, x.lengths.tolist(), draws.generators(f"{purpose}:warp"), strict=True):
            if size > 2 * self.warp + 1:
                point = int(rng.integers(self.warp + 1, size - self.warp))
                row[:size] = _stretched(size, point, point + int(rng.integers(-self.warp, self.warp + 1)))
        below = np.floor(places)
        share = torch.from_numpy(places - below).to(x.data)[..., None]
        first = torch.from_numpy(below.astype(np.int64)).to(x.data.device)[..., None].expand_as(x.data)
        return x.data.gather(1, first).lerp(x.data.gather(1, (first + 1).clamp(max=width - 1)), share)


def _hidden(size: int, count: int, widest: int, rng: np.random.Generator) -> np.ndarray:
    """(size,) bool: ``count`` masks [start, start + width), widths from 0 to ``widest``, starts from 0 to size - width."""
    out = np.zeros(size, bool)
    for _ in range(count):
        width = int(rng.integers(widest + 1))
        start = int(rng.integers(max(1, size - width)))
        out[start : start + width] = True
    return out


def _stretched(size: int, point: int, there: int) -> np.ndarray:
    """(size,) where each frame is read so that frame ``point`` comes to lie at ``there``, both sides stretched linearly."""
    at = np.arange(size) + 0.5
    left = np.clip(at * point / there - 0.5, 0, point - 1)
    right = np.clip(point + (at - there) * (size - point) / (size - there) - 0.5, point, size - 1)
    return np.where(np.arange(size) < there, left, right)
