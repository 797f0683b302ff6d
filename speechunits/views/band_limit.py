"""Speech as a telephone or an 8 kHz recording carries it: nothing above a cutoff drawn per utterance."""

from __future__ import annotations

import math
from fractions import Fraction

import torch
from torch import Tensor, nn
from torchaudio.functional import fftconvolve

from speechunits.draws import Draws
from speechunits.seq import Seq

HALF, BETA = 128, 10.0  # taps on either side and Kaiser's beta: -100 dB, 0.4 kHz from pass to stop at 16 kHz


class BandLimit(nn.Module):
    """Low-pass filter with a cutoff of its own for every utterance (sinc under a Kaiser window, no delay).

    Recordings differ in bandwidth, and an encoder that only ever saw full-band speech takes an empty upper band for
    something that was said. Labels stay those of the whole band.

    Args:
        low, high: Hz; the cutoff is uniform between them on a logarithmic axis.
        share: of the utterances that are filtered; the others pass unchanged.
    """

    def __init__(self, low: float = 3000.0, high: float = 8000.0, share: float = 0.5) -> None:
        super().__init__()
        if not 0 < low <= high:
            raise ValueError(f"low={low}, high={high}: 0 < low <= high is needed, in Hz")
        if not 0 <= share <= 1:
            raise ValueError(f"share={share} is no share of the utterances: 0 to 1")
        self.low, self.high, self.share = low, high, share

    def forward(self, audio: Seq, draws: Draws) -> Seq:
        """(B, S) -> (B, S); padding stays zero."""
        assert audio.hop is not None
        taps = [self.taps(*rng.random(2), hop=audio.hop) for rng in draws.generators("band")]
        filtered = fftconvolve(audio.data, torch.stack(taps).to(audio.data), mode="same")
        return audio.with_data(filtered * audio.valid)

    def taps(self, chance: float, place: float, hop: Fraction) -> Tensor:
        """The kernel (2 * HALF + 1,) for two numbers in [0, 1)."""
        n = torch.arange(-HALF, HALF + 1, dtype=torch.float64)
        cutoff = 2 * float(hop) * math.exp(math.log(self.low) + place * (math.log(self.high) - math.log(self.low)))
        if chance >= self.share or cutoff >= 1:
            return (n == 0).double()
        kernel = torch.sinc(cutoff * n) * torch.kaiser_window(len(n), periodic=False, beta=BETA, dtype=n.dtype)
        return kernel / kernel.sum()
