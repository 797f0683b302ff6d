"""Contours: pitch, voicing and energy of frames."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechunits.nn.variance_convs import VarianceConvs
from speechunits.seq import Seq
from speechunits.term import Term


class ContourPredictor(nn.Module):
    """Standard prosody (``ProsodyScale``) of frames from their features: a pitch and an energy predictor as those of
    FastSpeech 2 (Ren et al. 2021, arXiv:2006.04558, section 2.3), trained by squared errors of standard ln F0 of voiced frames
    and of standard ln energy, in nats for voicing.

    Pitch is a number for each frame, where FastSpeech 2 predicts its wavelet spectrum.

    Args:
        hidden, kernel, dropout: see ``VarianceConvs``.
        dim: of the features, supplied by the model.
    """

    def __init__(self, hidden: int = 256, kernel: int = 3, dropout: float = 0.5, *, dim: int) -> None:
        super().__init__()
        self.pitch, self.energy = (VarianceConvs(dim, hidden, kernel, dropout) for _ in range(2))
        self.pitch_linear, self.energy_linear = nn.Linear(hidden, 2), nn.Linear(hidden, 1)

    def forward(self, x: Seq) -> Tensor:
        """(B, T, dim) -> (B, T, 3): standard ln F0, log odds of being voiced, standard ln energy."""
        return torch.cat([self.pitch_linear(self.pitch(x)), self.energy_linear(self.energy(x))], -1)

    @staticmethod
    def counts(standard: Seq) -> dict[str, Tensor]:
        """The ``den`` of every term, from what is to be predicted."""
        frames = standard.lengths.sum()
        voiced = (standard.data[..., 1] > 0.5) & standard.valid
        return {"pitch/loss": voiced.sum(), "voicing/loss": frames, "energy/loss": frames}

    def terms(self, x: Seq, standard: Seq) -> dict[str, Term]:
        """Of features (B, T, dim) and standard prosody (B, T, 3), summed over frames."""
        pitch, odds, energy = self(x).unbind(-1)
        wanted = standard.data.to(pitch.dtype)
        real = standard.valid.to(pitch.dtype)
        voiced = (wanted[..., 1] > 0.5) * real
        sums = {
            "pitch/loss": ((pitch - wanted[..., 0]).square() * voiced).sum(),
            "voicing/loss": (F.binary_cross_entropy_with_logits(odds, voiced, reduction="none") * real).sum(),
            "energy/loss": ((energy - wanted[..., 2]).square() * real).sum(),
        }
        return {name: Term(sums[name], count) for name, count in self.counts(standard).items()}

    def standard(self, x: Seq) -> Seq:
        """(B, T, dim) -> standard prosody (B, T, 3), a frame voiced where that is more likely than not."""
        pitch, odds, energy = self(x).float().unbind(-1)
        voiced = (odds > 0).to(pitch.dtype)
        return x.with_data(torch.stack([pitch * voiced, voiced, energy], -1) * x.valid[..., None])
