"""Kaldi's spectrum for padded batches: shared by log-mel and MFCC. Reference: torchaudio.compliance.kaldi."""

from __future__ import annotations

import math
from fractions import Fraction

import torch
from torch import Tensor, nn
from torchaudio.compliance.kaldi import get_mel_banks

from speechunits.seq import Seq

WINDOW = Fraction(1, 40)  # 25 ms


class MelSpectrum(nn.Module):
    """Log energies of Kaldi's mel bands: DC removed per frame, pre-emphasis 0.97, Povey window, power, mel, log.

    Frames lie wholly inside the utterance (``snip_edges``), so frame t begins at t * hop, and neither padding nor
    batch-mates enter a frame. No dither.

    Args:
        bands: mel bands between 20 Hz and half the sample rate.
        hop: seconds between frames.
        sample_rate: of the waveform, Hz.
        scale: of the samples; Kaldi works on 16-bit integers (2 ** 15), torchaudio's default use on [-1, 1] (1).
    """

    def __init__(self, bands: int, hop: Fraction, sample_rate: int = 16000, scale: float = 1.0) -> None:
        super().__init__()
        self.rate, self.hop, self.scale = Fraction(1, sample_rate), hop, scale
        if (hop / self.rate).denominator != 1:
            raise ValueError(f"a hop of {hop} s is not a whole number of samples at {sample_rate} Hz")
        self.window, self.step = int(WINDOW / self.rate), int(hop / self.rate)
        self.fft = 2 ** math.ceil(math.log2(self.window))
        with torch.device("cpu"):  # on the meta device of a check, these would load torch's compiler: seconds
            mel, _ = get_mel_banks(bands, self.fft, float(sample_rate), 20.0, 0.0, 100.0, -500.0, 1.0)
            shape = torch.hann_window(self.window, periodic=False, dtype=torch.float64).pow(0.85)
        self.register_buffer("mel", nn.functional.pad(mel, (0, 1)), persistent=False)
        self.register_buffer("shape", shape.to(torch.get_default_dtype()), persistent=False)

    def frames(self, lengths: Tensor) -> Tensor:
        """Samples (B,) -> frames (B,)."""
        return (torch.div(lengths - self.window, self.step, rounding_mode="floor") + 1).clamp(min=0)

    def forward(self, audio: Seq) -> Seq:
        """(B, S) -> (B, T, bands), natural log."""
        if audio.hop != self.rate:
            raise ValueError(
                f"this frontend takes audio at {1 / self.rate} Hz, found {1 / audio.hop if audio.hop else None} Hz"
            )
        lengths = self.frames(audio.lengths)
        x = audio.data if self.scale == 1.0 else audio.data * self.scale
        x = x.to(self.shape.dtype).unfold(1, self.window, self.step)
        x = x - x.mean(-1, keepdim=True)
        x = x - 0.97 * torch.cat([x[..., :1], x[..., :-1]], -1)
        spectrum = torch.fft.rfft(x * self.shape, self.fft)
        power = spectrum.real.square() + spectrum.imag.square()
        energies = (power @ self.mel.T).clamp(min=torch.finfo(torch.float32).eps).log()
        return Seq(energies * Seq(energies, lengths, self.hop).valid[..., None], lengths, self.hop)
