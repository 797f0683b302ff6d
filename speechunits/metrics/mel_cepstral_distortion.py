"""MelCepstralDistortion: how far the spectral envelopes of two utterances are apart, in dB, aligned in time."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import torch
from torch import Tensor
from torchaudio.functional import melscale_fbanks

from speechunits.metrics.audio_pairs import AudioPairs
from speechunits.metrics.dtw import warp
from speechunits.metrics.utterance_ratios import Ratio, mean

DECIBEL = 10 * math.sqrt(2) / math.log(10)  # of the distance of two cepstra
WINDOW = Fraction(1, 40)  # 25 ms


class MelCepstra:
    """Coefficients c_1 ... c_K of ln|H| = c_0 + sum_k c_k cos(pi k (b + 1/2) / M) over the M bands b of a mel spectrum.

    Frames of 25 ms (Hann) wholly inside the utterance; magnitude of each band of triangles of equal height on the HTK mel scale
    from 0 Hz to half the rate; a band counts as no lower than ``floor`` under the loudest one of the utterance, so that the
    level of the recording decides nothing. In this scale the distance of two frames in dB is the root mean square difference of
    their log mel spectra, their levels removed and smoothed to ``order`` coefficients. These are no SPTK mel-cepstra
    (``pysptk.mcep``, or ``pysptk.sp2mc`` of WORLD's envelope), whose all-pass axis and envelope give other numbers: only what
    was measured alike can be compared.

    Args:
        order: K, coefficients without c_0, less than ``bands``.
        bands: M.
        hop: seconds between frames.
        rate: of the waveform, Hz.
        floor: dB.

    Raises:
        ValueError: there are not more bands than coefficients, or a hop is not a whole number of samples.
    """

    def __init__(
        self, order: int = 24, bands: int = 40, hop: Fraction | str = "1/100", rate: int = 16000, floor: float = -80.0
    ) -> None:
        if not 0 < order < bands:
            raise ValueError(f"{bands} bands have {bands - 1} coefficients without c0, not {order}; give more bands")
        step = Fraction(hop) * rate
        if step.denominator != 1:
            raise ValueError(f"a hop of {hop} s is not a whole number of samples at {rate} Hz")
        self.rate, self.step, self.floor = rate, int(step), 10 ** (floor / 10)
        self.window = torch.hann_window(int(WINDOW * rate), dtype=torch.float64)
        self.fft = 2 ** (math.ceil(math.log2(len(self.window))) + 1)  # so that no band falls between two bins
        self.mel = melscale_fbanks(self.fft // 2 + 1, 0.0, rate / 2, bands, rate).double()
        k, b = torch.arange(1, order + 1), torch.arange(bands, dtype=torch.float64)
        self.cosines = 2 / bands * torch.cos(math.pi / bands * (b[:, None] + 0.5) * k)

    def __call__(self, wave: Tensor) -> Tensor:
        """(S,) -> (T, K), float64. Of silence all are 0.

        Raises:
            ValueError: shorter than a frame.
        """
        if len(wave) < len(self.window):
            raise ValueError(f"{len(wave)} samples are shorter than a frame of {len(self.window)}")
        frames = wave.double().unfold(0, len(self.window), self.step) * self.window
        energies = torch.fft.rfft(frames, self.fft).abs().square() @ self.mel
        lowest = max(float(energies.max()) * self.floor, torch.finfo(torch.float64).tiny)
        return energies.clamp(min=lowest).log() / 2 @ self.cosines


def distances(left: Tensor, right: Tensor) -> Tensor:
    """(N, M) mel-cepstral distances in dB of cepstra (N, K) and (M, K) without c_0.

    Kubichek, "Mel-cepstral distance measure for objective speech quality assessment", PACRIM 1993, equation 1.
    """
    return DECIBEL * torch.cdist(left, right, compute_mode="donot_use_mm_for_euclid_dist")


class MelCepstralDistortion(AudioPairs):
    """``mcd`` in dB: the mean distance of aligned frames, then over utterances; 0 = alike.

    Utterances are aligned by dynamic time warping of the same distances, with steps of weight one, and the mean is that over
    the path. Silence at the ends counts like speech.
    Reads ``outputs["audio"]``, ``batch["audio"]`` and ``batch["ids"]`` (see ``AudioPairs``).

    Args:
        cepstra: (S,) -> (T, K), without c_0; None = ``MelCepstra()``. Others can stand here, such as those of pysptk.
        rate: of the audio, Hz.
    """

    def __init__(self, cepstra: Callable[[Tensor], Tensor] | None = None, rate: int = 16000) -> None:
        super().__init__(rate)
        self.cepstra = cepstra or MelCepstra(rate=rate)

    def compare(self, made: Tensor, original: Tensor) -> dict[str, Ratio]:
        apart = distances(self.cepstra(made), self.cepstra(original))
        return {"mcd": mean(float(apart[warp(apart)].mean()))}
