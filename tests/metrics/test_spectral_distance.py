"""Spectral distances against numpy, and what must not change them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from speechunits.errors import UserError
from speechunits.metrics.spectral_distance import RESOLUTIONS, SpectralDistance, log_mel, multi_resolution
from tests.metrics.sounds import alone, batch_of, check_ranks, vowel

A, E = vowel(formants=(700, 1100)), vowel(formants=(500, 1900))


def apart(made: torch.Tensor, original: torch.Tensor) -> dict[str, float]:
    measure = SpectralDistance()
    measure.update({"audio": alone(made)}, {"audio": alone(original), "ids": ["a"]})
    return measure.compute()


def plain_magnitudes(wave: np.ndarray, fft: int, hop: int, window: int) -> np.ndarray:
    shape = np.zeros(fft)
    start = (fft - window) // 2
    shape[start : start + window] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    padded = np.pad(wave, fft // 2, mode="reflect")
    frames = [padded[t : t + fft] * shape for t in range(0, len(padded) - fft + 1, hop)]
    return np.sqrt(np.maximum(np.abs(np.fft.rfft(frames)) ** 2, 1e-7))


def test_against_numpy() -> None:
    convergence, logarithmic = [], []
    for resolution in RESOLUTIONS:
        x, y = (plain_magnitudes(w.numpy(), *resolution) for w in (A, E))
        convergence.append(np.linalg.norm(x - y) / np.linalg.norm(y))
        logarithmic.append(np.abs(np.log(x) - np.log(y)).mean())
    want = np.mean(convergence), np.mean(logarithmic)
    assert multi_resolution(A, E) == pytest.approx(want, rel=1e-9)
    found = apart(A, E)
    assert (found["spectral_convergence"], found["log_magnitude"]) == pytest.approx(want, rel=1e-9)


def test_the_mel_spectrum_of_hifigan() -> None:
    """Slaney's triangles from the equations: linear below 1 kHz, equal areas."""

    def mel(f: np.ndarray) -> np.ndarray:
        return np.where(f < 1000, f / (200 / 3), 15 + 27 * np.log(np.maximum(f, 1000) / 1000) / np.log(6.4))

    def hertz(m: np.ndarray) -> np.ndarray:
        return np.where(m < 15, m * 200 / 3, 1000 * np.exp((m - 15) * np.log(6.4) / 27))

    edges = hertz(np.linspace(0, float(mel(np.array(8000.0))), 82))
    bins = np.arange(513) * 16000 / 1024
    up = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(0, np.minimum(up, down)) * 2 / (edges[2:] - edges[:-2])
    padded = np.pad(A.numpy(), 384, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1024) / 1024)
    frames = [padded[t : t + 1024] * window for t in range(0, len(padded) - 1023, 256)]
    want = np.log(np.maximum(np.abs(np.fft.rfft(frames)) @ triangles, 1e-5))
    found = log_mel(A)
    assert found.shape == want.shape == (len(A) // 256, 80)
    assert np.abs(found.numpy() - want).max() < 1e-4  # torchaudio's triangles are float32


def test_what_is_known() -> None:
    assert set(apart(A, A).values()) == {0}
    twice = apart(2 * A, A)
    assert twice["spectral_convergence"] == pytest.approx(1, abs=1e-3)
    assert twice["log_magnitude"] == pytest.approx(math.log(2), abs=1e-3)
    assert twice["mel_distance"] == pytest.approx(math.log(2), abs=1e-3)
    assert apart(torch.zeros(8000), A)["spectral_convergence"] == pytest.approx(1, abs=1e-2)
    silent = apart(torch.zeros(8000), torch.zeros(8000))
    assert math.isnan(silent["spectral_convergence"]) and silent["log_magnitude"] == silent["mel_distance"] == 0
    assert apart(A[:-500], A) == apart(A[:-500], A[:-500])  # the longer one is cut


def test_a_batch_and_ranks() -> None:
    outputs, batch = batch_of([A, E[:5000], E], [E, A[:5100], A], ["x", "y", "z"])
    found = check_ranks(SpectralDistance, outputs, batch)
    pairs = [apart(A, E), apart(E[:5000], A[:5000]), apart(E, A)]
    assert found == {k: pytest.approx(sum(p[k] for p in pairs) / 3, rel=1e-12) for k in found}


def test_what_cannot_be_measured() -> None:
    with pytest.raises(UserError, match=r"a: what was made and the original differ by 0\.19 s and cannot run in step"):
        apart(A[:5000], A)
    with pytest.raises(UserError, match="a: 1000 samples are shorter than half a window"):
        apart(A[:1000], A[:1000])
    with pytest.raises(UserError, match="a: has NaN"):
        apart(A * torch.inf, A)
