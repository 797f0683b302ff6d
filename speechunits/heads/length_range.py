"""How long texts are for what is heard, learned from training data."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from speechunits import ranks
from speechunits.seq import Seq


class LengthRange(nn.Module):
    """Mean and deviation of log(symbols / frames) over all that was trained on, and from them the fewest and the most symbols
    that a search may write: e^(mean -+ width) for each frame, width = ``deviations`` deviations + ``margin``.

    Sums of all micro-batches and ranks of an update are applied once; buffers are equal on all ranks.

    Args:
        deviations: of the range on both sides.
        margin: added to it, for data too few or too regular to know what may come.
        before: symbols for each frame at most, as long as nothing was seen.
    """

    sums: Tensor

    def __init__(self, deviations: float = 4.0, margin: float = 0.2, before: float = 20.0) -> None:
        super().__init__()
        self.deviations, self.margin, self.before = deviations, margin, before
        self.register_buffer("sums", torch.zeros(3, dtype=torch.float64))  # pairs, logarithms, squares
        self._gathered: Tensor | None = None

    @torch.no_grad()
    def gather(self, frames: Tensor, text: Seq) -> None:
        """Remember pairs of ``frames`` (B,) and texts (B, L) until the update; those without a frame or a symbol are none."""
        real = (frames > 0) & (text.lengths > 0)
        logs = torch.where(real, text.lengths.double().clamp(min=1).log() - frames.double().clamp(min=1).log(), 0.0)
        sums = torch.stack([real.sum().double(), logs.sum(), logs.square().sum()])
        self._gathered = sums if self._gathered is None else sums + self._gathered

    def forget(self) -> None:
        """Drop what was gathered for an update that is left out."""
        self._gathered = None

    @torch.no_grad()
    def on_step(self, step: int, root: nn.Module) -> None:
        """Take in what was gathered; every rank must call it."""
        sums = torch.zeros_like(self.sums) if self._gathered is None else self._gathered.to(self.sums)
        self.forget()
        ranks.add(sums)
        self.sums += sums

    def forward(self, frames: Tensor) -> Tensor:
        """(B,) frames -> (B, 2) int64, fewest and most symbols."""
        count, total, squares = self.sums.double().tolist()
        if not count:
            return torch.stack([torch.zeros_like(frames), (frames * self.before).ceil().long()], 1)
        mean = total / count
        width = self.deviations * max(squares / count - mean**2, 0.0) ** 0.5 + self.margin
        edges = torch.tensor([mean - width, mean + width], dtype=torch.float64, device=frames.device).exp()
        fewest, most = (frames[:, None] * edges).unbind(1)
        return torch.stack([fewest.floor(), most.ceil()], 1).long()
