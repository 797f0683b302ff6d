"""Durations: for how many frames a unit is said."""

from __future__ import annotations

from torch import Tensor, nn

from speechunits.nn.variance_convs import VarianceConvs
from speechunits.seq import Seq
from speechunits.term import Term


class DurationPredictor(nn.Module):
    """Durations of units without repetitions, from their vectors.

    Two convolutions over the units and a linear map to ln(frames + 1), trained by the squared error: Lee et al. 2022,
    arXiv:2107.05604, section 3.3, after FastSpeech 2 (Ren et al. 2021, arXiv:2006.04558).

    Args:
        hidden, kernel, dropout: see ``VarianceConvs``.
        dim: of the vectors, supplied by the model.
    """

    def __init__(self, hidden: int = 128, kernel: int = 3, dropout: float = 0.5, *, dim: int) -> None:
        super().__init__()
        self.convs = VarianceConvs(dim, hidden, kernel, dropout)
        self.linear = nn.Linear(hidden, 1)

    def forward(self, x: Seq) -> Tensor:
        """(B, N, dim) -> ln(frames + 1) of each unit, (B, N)."""
        return self.linear(self.convs(x))[..., 0]

    def frames(self, x: Seq) -> Tensor:
        """(B, N, dim) -> whole frames of each unit, (B, N) int64, 1 at least; -1 on padding."""
        frames = self(x).float().expm1().round().clamp(min=1).long()
        return frames.masked_fill(~x.valid, -1)

    def term(self, x: Seq, frames: Seq) -> Term:
        """The squared error against (B, N) true frames, summed over units."""
        wanted = frames.data.clamp(min=0).to(x.data.dtype).log1p()
        error = (self(x).to(wanted.dtype) - wanted).square() * frames.valid
        return Term(error.sum(), frames.lengths.sum())
