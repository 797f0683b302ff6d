"""SpectralDistance: how far the spectra of two waveforms that run in step are apart."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks

from speechunits.metrics.audio_pairs import AudioPairs
from speechunits.metrics.utterance_ratios import Ratio, mean

RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))  # samples: FFT, hop, window


def magnitudes(wave: Tensor, fft: int, hop: int, window: int) -> Tensor:
    """(S,) -> (fft / 2 + 1, T): short-time spectra of a Hann window, the ends mirrored."""
    shape = torch.hann_window(window, dtype=wave.dtype)
    return torch.stft(wave, fft, hop, window, shape, pad_mode="reflect", return_complex=True).abs()


def multi_resolution(
    made: Tensor, original: Tensor, resolutions: Sequence[tuple[int, int, int]] = RESOLUTIONS
) -> tuple[float, float]:
    """Spectral convergence and log magnitude distance of waveforms (S,), averaged over resolutions.

    Yamamoto et al. 2020 (https://arxiv.org/abs/1910.11480), section 2.2: the Frobenius norm of the difference of magnitudes
    over that of the original, nan where that is silent; the mean absolute difference of their natural logarithms. Magnitudes
    count as no less than the root of 1e-7, as in their code.
    """
    convergence, logarithmic = [], []
    for resolution in resolutions:
        ours, theirs = (magnitudes(x, *resolution).square().clamp(min=1e-7).sqrt() for x in (made, original))
        convergence.append((ours - theirs).norm() / theirs.norm())
        logarithmic.append((ours.log() - theirs.log()).abs().mean())
    if not bool(original.any()):
        convergence = [torch.tensor(torch.nan)]
    return float(torch.stack(convergence).mean()), float(torch.stack(logarithmic).mean())


def log_mel(wave: Tensor, rate: int = 16000, bands: int = 80) -> Tensor:
    """(S,) -> (T, bands): the mel spectrum that HiFi-GAN is trained and measured on (``meldataset.py``).

    FFT and Hann window of 1024, hop 256, magnitudes, Slaney's mel scale and areas from 0 to 8000 Hz, natural logarithm of no
    less than 1e-5; the ends are mirrored by (1024 - 256) / 2 samples.
    """
    padded = nn.functional.pad(wave[None], (384, 384), mode="reflect")[0]
    shape = torch.hann_window(1024, dtype=wave.dtype)
    found = torch.stft(padded, 1024, 256, 1024, shape, center=False, return_complex=True).abs()
    mel = melscale_fbanks(513, 0.0, min(8000.0, rate / 2), bands, rate, norm="slaney", mel_scale="slaney")
    return (found.T @ mel.to(wave.dtype)).clamp(min=1e-5).log()


class SpectralDistance(AudioPairs):
    """``spectral_convergence`` and ``log_magnitude`` over several resolutions, and ``mel_distance``, the mean absolute
    difference of log mel spectra; means over utterances, 0 = alike.

    For what should run in step with the original, sample by sample: resynthesis, not text to speech. The longer of the two
    is cut at its end.
    Reads ``outputs["audio"]``, ``batch["audio"]`` and ``batch["ids"]`` (see ``AudioPairs``).

    Args:
        tolerance: seconds by which the lengths may differ.
        rate: of the audio, Hz.
    """

    def __init__(self, tolerance: float = 0.1, rate: int = 16000) -> None:
        super().__init__(rate)
        self.tolerance = tolerance

    def in_step(self, made: int, original: int) -> bool:
        """Whether so many samples of both can be compared."""
        return abs(made - original) <= self.tolerance * self.rate

    def compare(self, made: Tensor, original: Tensor) -> dict[str, Ratio]:
        if not self.in_step(len(made), len(original)):
            apart = abs(len(made) - len(original)) / self.rate
            raise ValueError(f"what was made and the original differ by {apart:.2f} s and cannot run in step")
        size = min(len(made), len(original))
        if size <= max(fft for fft, _, _ in RESOLUTIONS) // 2:
            raise ValueError(f"{size} samples are shorter than half a window of its spectra")
        made, original = made[:size], original[:size]
        convergence, logarithmic = multi_resolution(made, original)
        mel = (log_mel(made, self.rate) - log_mel(original, self.rate)).abs().mean()
        return {
            "spectral_convergence": mean(convergence),
            "log_magnitude": mean(logarithmic),
            "mel_distance": mean(float(mel)),
        }
