"""Log-mel filterbank frames."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import torch
from torch import Tensor, nn

from speechunits.frontends.spectrum import MelSpectrum
from speechunits.seq import Seq


class LogMel(nn.Module):
    """Kaldi filterbank features, optionally stacked and normalised.

    Args:
        bands: mel bands.
        hop: seconds between spectra, e.g. "1/100".
        stack: neighbouring spectra joined into one frame (BEST-RQ: 4); the hop grows by as much.
        normalize: "utterance" = each band to mean 0 and variance 1 over the real frames of its utterance; "mean" =
            each band to mean 0 and all bands together to variance 1, so that empty bands (8 kHz recordings) stay empty
            instead of becoming amplified noise; "none" = as they are.
        scale: of the samples (Kaldi: 32768).
        sample_rate: Hz.
    """

    def __init__(
        self,
        bands: int = 80,
        hop: Fraction | str = "1/100",
        stack: int = 1,
        normalize: Literal["utterance", "mean", "none"] = "utterance",
        scale: float = 1.0,
        sample_rate: int = 16000,
    ) -> None:
        super().__init__()
        self.spectrum = MelSpectrum(bands, Fraction(hop), sample_rate, scale)
        self.stack, self.normalize = stack, normalize
        self.dim, self.hop, self.rate = bands * stack, Fraction(hop) * stack, self.spectrum.rate

    @property
    def local(self) -> bool:
        """Whether frame t hears nothing before the sample at t * hop, so that pieces give what the whole gives."""
        return self.normalize == "none"

    def frames(self, lengths: Tensor) -> Tensor:
        """Samples (B,) -> frames (B,)."""
        return torch.div(self.spectrum.frames(lengths), self.stack, rounding_mode="floor")

    def forward(self, audio: Seq) -> Seq:
        """(B, S) -> (B, T, bands * stack)."""
        x = self.spectrum(audio)
        if self.normalize != "none":
            real, n = x.valid[..., None], x.lengths.clamp(min=1)[:, None, None]
            centred = (x.data - x.data.sum(1, keepdim=True) / n) * real
            variance = centred.square().sum(1, keepdim=True) / n
            if self.normalize == "mean":
                variance = variance.mean(-1, keepdim=True)
            x = x.with_data(centred / (variance + 1e-5).sqrt())
        b, t, d = x.data.shape
        t = t // self.stack * self.stack
        return Seq(x.data[:, :t].reshape(b, t // self.stack, d * self.stack), self.frames(audio.lengths), self.hop)
