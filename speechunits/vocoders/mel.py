"""Mel: the log-mel spectrum that vocoders are trained to match."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks

from speechunits.errors import UserError


class Mel(nn.Module):
    """HiFi-GAN's mel spectrum (Kong et al. 2020, https://arxiv.org/abs/2010.05646, section 2.4; ``meldataset.py`` of the
    authors' code).

    The waveform is reflected by (fft - hop) / 2 samples at both ends, so that every hop has a frame; Hann window, magnitudes
    sqrt(power + 1e-9), Slaney's triangles with areas of one (librosa's default), natural log of at least ``floor``. Always in
    float32 or better. A waveform must be without padding: its end is reflected.

    Args:
        fft: samples of the window and of the transform.
        hop: samples between frames.
        bands: of the mel scale.
        low, high: Hz, where the lowest band begins and the highest one ends; high None = half the rate.
        floor: of the bands, before the log.
        rate: Hz, supplied by the vocoder.

    Raises:
        ValueError: ``high`` is above half the rate.
        UserError: a waveform is too short to be reflected.
    """

    window: Tensor
    filters: Tensor

    def __init__(
        self,
        fft: int = 1024,
        hop: int = 256,
        bands: int = 80,
        low: float = 0.0,
        high: float | None = 8000.0,
        floor: float = 1e-5,
        *,
        rate: int,
    ) -> None:
        super().__init__()
        high = rate / 2 if high is None else high
        if high > rate / 2:
            raise ValueError(
                f"high={high:g} Hz: audio at {rate} Hz ends at {rate / 2:g} Hz; lower it or set it to null"
            )
        self.fft, self.hop, self.bands, self.floor = fft, hop, bands, floor
        with torch.device("cpu"):  # on the meta device of a check, these would load torch's compiler: seconds
            filters = melscale_fbanks(fft // 2 + 1, low, high, bands, rate, norm="slaney", mel_scale="slaney")
            window = torch.hann_window(fft)
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("window", window, persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        """(B, S) -> (B, S // hop, bands)."""
        margin = (self.fft - self.hop) // 2
        if wave.size(1) <= margin:
            raise UserError(
                f"a mel spectrum of {self.fft} samples needs audio of more than {margin}, found {wave.size(1)}; raise "
                "data.min_duration"
            )
        with torch.autocast(wave.device.type, enabled=False):
            x = F.pad(wave.to(self.window.dtype)[:, None], (margin, margin), "reflect")[:, 0]
            spectrum = torch.stft(x, self.fft, self.hop, window=self.window, center=False, return_complex=True)
            power = torch.view_as_real(spectrum).square().sum(-1).transpose(1, 2)
            return ((power + 1e-9).sqrt() @ self.filters).clamp(min=self.floor).log()
