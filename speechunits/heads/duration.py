"""Durations: for how many frames a unit is said."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from speechunits.seq import Seq
from speechunits.term import Term


class DurationPredictor(nn.Module):
    """Durations of units without repetitions, from their vectors.

    Two convolutions over the units, each with ReLU, layer norm and dropout, and a linear map to ln(frames + 1), trained by the
    squared error: Lee et al. 2022, arXiv:2107.05604, section 3.3, after FastSpeech 2 (Ren et al. 2021, arXiv:2006.04558).
    Padding is zero before each convolution, so that a batch gives what its utterances give alone.

    Args:
        hidden: channels.
        kernel: units that a convolution sees.
        dropout: after each layer norm.
        dim: of the vectors, supplied by the model.

    Raises:
        ValueError: ``kernel`` is even.
    """

    def __init__(self, hidden: int = 128, kernel: int = 3, dropout: float = 0.5, *, dim: int) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"kernel = {kernel}: give an odd number, so that a unit sees as many on both sides")
        self.convs = nn.ModuleList(nn.Conv1d(size, hidden, kernel, padding=kernel // 2) for size in (dim, hidden))
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in self.convs)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(hidden, 1)

    def forward(self, x: Seq) -> Tensor:
        """(B, N, dim) -> ln(frames + 1) of each unit, (B, N)."""
        data, valid = x.data, x.valid[..., None]
        for conv, norm in zip(self.convs, self.norms, strict=True):
            heard = conv((data * valid).transpose(1, 2)).transpose(1, 2)
            data = self.dropout(norm(F.relu(heard)))
        return self.linear(data)[..., 0]

    def frames(self, x: Seq) -> Tensor:
        """(B, N, dim) -> whole frames of each unit, (B, N) int64, 1 at least; -1 on padding."""
        frames = self(x).float().expm1().round().clamp(min=1).long()
        return frames.masked_fill(~x.valid, -1)

    def term(self, x: Seq, frames: Seq) -> Term:
        """The squared error against (B, N) true frames, summed over units."""
        wanted = frames.data.clamp(min=0).to(x.data.dtype).log1p()
        error = (self(x).to(wanted.dtype) - wanted).square() * frames.valid
        return Term(error.sum(), frames.lengths.sum())
