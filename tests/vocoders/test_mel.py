"""Mel spectra against numpy and torchaudio."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchaudio.functional import melscale_fbanks

from speechunits.errors import UserError
from speechunits.vocoders.mel import Mel
from speechunits.vocoders.mel_distance import MelDistance


def slaney(rate: int, fft: int, bands: int, low: float, high: float) -> np.ndarray:
    """(fft // 2 + 1, bands): Slaney's Auditory Toolbox (1998), linear up to 1 kHz, then 27 steps for a factor of 6.4."""

    def to_mel(f: float) -> float:
        return 3 * f / 200 if f < 1000 else 15 + 27 * np.log(f / 1000) / np.log(6.4)

    def to_hz(m: np.ndarray) -> np.ndarray:
        return np.where(m < 15, 200 * m / 3, 1000 * np.exp((m - 15) * np.log(6.4) / 27))

    edges = to_hz(np.linspace(to_mel(low), to_mel(high), bands + 2))
    bins = np.arange(fft // 2 + 1) * rate / fft
    left, middle, right = edges[:-2], edges[1:-1], edges[2:]
    up, down = (bins[:, None] - left) / (middle - left), (right - bins[:, None]) / (right - middle)
    return np.maximum(0, np.minimum(up, down)) * 2 / (right - left)


def spectrum(wave: np.ndarray, fft: int, hop: int, filters: np.ndarray) -> np.ndarray:
    """(S,) -> (T, bands) in float64."""
    margin = (fft - hop) // 2
    padded = np.pad(wave, margin, mode="reflect")
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(fft) / fft)
    frames = [np.fft.rfft(hann * padded[i : i + fft]) for i in range(0, len(padded) - fft + 1, hop)]
    magnitudes = np.sqrt(np.abs(np.stack(frames)) ** 2 + 1e-9)
    return np.log(np.maximum(magnitudes @ filters, 1e-5))


@pytest.mark.parametrize(
    ("rate", "fft", "hop", "bands", "low", "high"),
    [(16000, 1024, 256, 80, 0.0, 8000.0), (22050, 1024, 256, 80, 0.0, 8000.0), (24000, 512, 160, 40, 60.0, None)],
)
def test_as_in_numpy(rate: int, fft: int, hop: int, bands: int, low: float, high: float | None) -> None:
    random = np.random.default_rng(0)
    wave = 0.3 * random.standard_normal((2, 8960)) * np.array([[1.0], [1e-4]])
    mel = Mel(fft, hop, bands, low, high, rate=rate).double()
    filters = slaney(rate, fft, bands, low, high or rate / 2)
    np.testing.assert_allclose(mel.filters.numpy(), filters, atol=2e-7)
    found = mel(torch.from_numpy(wave)).numpy()
    assert found.shape == (2, 8960 // hop, bands)
    np.testing.assert_allclose(found, [spectrum(row, fft, hop, filters) for row in wave], atol=1e-4)


def test_filters_are_those_of_torchaudio() -> None:
    expected = melscale_fbanks(513, 0.0, 8000.0, 80, 16000, norm="slaney", mel_scale="slaney")
    assert Mel(rate=16000).filters.equal(expected)


def test_silence_is_finite_and_has_gradients() -> None:
    wave = torch.zeros(1, 2048, requires_grad=True)
    found = Mel(rate=16000)(wave)
    found.sum().backward()
    assert found.isfinite().all() and wave.grad.isfinite().all()


def test_half_precision_does_not_reach_it() -> None:
    mel, wave = Mel(rate=16000), torch.randn(1, 2048)
    with torch.autocast("cpu", torch.bfloat16):
        assert mel(wave).dtype == torch.float32 and mel(wave).equal(mel(wave))
        torch.testing.assert_close(mel(wave.bfloat16()), mel(wave.bfloat16().float()), rtol=0, atol=0)


def test_the_distance_of_several_scales_is_their_sum_in_each_row() -> None:
    made, real = torch.randn(3, 4000), torch.randn(3, 4000)
    scales = [Mel(512, 128, 40, rate=16000), Mel(256, 64, 20, rate=16000)]
    both = MelDistance(scales, rate=16000)(made, real)
    each = [[(mel(made[i : i + 1]) - mel(real[i : i + 1])).abs().mean() for i in range(3)] for mel in scales]
    torch.testing.assert_close(both, torch.tensor(each).sum(0))
    one = MelDistance(rate=16000)(made, real)
    torch.testing.assert_close(one.mean(), torch.nn.functional.l1_loss(Mel(rate=16000)(made), Mel(rate=16000)(real)))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="audio at 12000 Hz ends at 6000 Hz"):
        Mel(rate=12000)
    with pytest.raises(UserError, match=r"more than 384, found 384; raise data\.min_duration"):
        Mel(rate=16000)(torch.zeros(1, 384))
