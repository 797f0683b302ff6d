"""Pitch trackers on sounds whose pitch is known, within cents; the correlation against its definition and torchaudio."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchaudio.functional import detect_pitch_frequency

from speechunits.frontends.pitch_correlation import PitchCorrelation
from tests.frontends.voices import TRACKERS, at_centres, audio, cents, prosody, voice

SECOND = 16000
INNER = slice(3, -3)  # frames whose surroundings lie inside


@pytest.mark.parametrize("hertz", [65.0, 100.0, 133.7, 220.0, 311.1, 450.0])
@pytest.mark.parametrize("kind", TRACKERS)
def test_steady_voices_within_5_cents(kind: str, hertz: float) -> None:
    f0 = np.full(SECOND, hertz)
    assert np.abs(cents(prosody(kind)(audio(voice(f0))), f0)[INNER]).max() < 5


@pytest.mark.parametrize("kind", TRACKERS)
def test_a_sweep_of_two_octaves_a_second_within_20_cents(kind: str) -> None:
    """Both ways, so that a frame that heard its past alone would show."""
    for ends in ((90.0, 360.0), (360.0, 90.0)):
        f0 = np.geomspace(*ends, SECOND)
        off = cents(prosody(kind)(audio(voice(f0))), f0)[INNER]
        assert np.abs(off).max() < 20 and abs(off.mean()) < 5


@pytest.mark.parametrize("kind", TRACKERS)
def test_vibrato_keeps_its_depth(kind: str) -> None:
    """A semitone deep, six times a second: within 20 cents everywhere, and at least 80 % as deep as it was."""
    depth = np.sin(2 * np.pi * 6 * np.arange(2 * SECOND) / SECOND)
    f0 = 200 * 2 ** (depth / 12)
    found = prosody(kind)(audio(voice(f0)))
    assert np.abs(cents(found, f0)[INNER]).max() < 20
    assert np.std(found.data[0, INNER, 0].numpy()) > 0.8 * np.std(np.log(at_centres(f0)))


TRAPS = {
    "no fundamental": lambda h: float(1 < h < 7),
    "loud second harmonic": lambda h: 4.0 if h == 2 else 1 / h,
    "odd harmonics": lambda h: h % 2 / h,
    "a pure tone": lambda h: float(h == 1),
}


@pytest.mark.parametrize("hertz", [90.0, 130.0, 210.0])
@pytest.mark.parametrize("trap", TRAPS)
def test_octave_traps_within_10_cents(trap: str, hertz: float) -> None:
    f0 = np.full(SECOND, hertz)
    assert np.abs(cents(prosody()(audio(voice(f0, TRAPS[trap]))), f0)[INNER]).max() < 10


def test_a_voice_in_noise_and_noise_alone() -> None:
    """At 10 dB every frame is within half a semitone; of white noise 2 % at most is taken for a voice."""
    random = np.random.default_rng(0)
    f0 = 150 * 2 ** (np.sin(np.arange(2 * SECOND) / 5000) / 4)
    clean = voice(f0)
    noise = random.normal(0, 1, 2 * SECOND)
    off = cents(prosody()(audio(clean + noise * clean.std() * 10 ** (-10 / 20))), f0)[INNER]
    assert np.abs(off).max() < 50
    assert float(prosody()(audio(0.1 * random.normal(0, 1, 10 * SECOND))).data[..., 1].mean()) < 0.02


@pytest.mark.parametrize("kind", TRACKERS)
def test_a_voice_begins_and_ends_where_it_does(kind: str) -> None:
    """Within a frame at each end; between silences of -60 dB where a tracker knows levels, which WORLD's do not."""
    f0 = np.full(SECOND, 140.0)
    loud = (np.arange(SECOND) > 0.3 * SECOND) & (np.arange(SECOND) < 0.7 * SECOND)
    hiss = 2e-4 if kind == "correlation" else 0
    x = voice(f0) * loud + hiss * np.random.default_rng(0).normal(size=SECOND)
    voiced = prosody(kind)(audio(x)).data[0, :, 1].numpy()
    assert np.abs(voiced - at_centres(loud)).sum() <= 2


def test_the_correlation_is_its_definition() -> None:
    made, x = PitchCorrelation(low=200.0, high=400.0, step=100, window=60, rate=8000), torch.randn(2, 500).double()
    alike, power = made.correlation(x)
    lags = range(19, 42)  # one more at both ends
    assert alike.shape == (2, 5, len(lags))
    wide = np.pad(x.numpy(), ((0, 0), (100, 100)))
    for b, t, i in np.ndindex(*alike.shape):
        start, lag = 100 + 100 * t, lags[i]
        frame, after, before = (wide[b, s : s + 60] for s in (start, start + lag, start - lag))
        norms = [np.linalg.norm(each) for each in (frame, after, before)]
        wanted = (frame @ after + frame @ before) / (norms[0] * (norms[1] + norms[2]))
        assert abs(float(alike[b, t, i]) - wanted) < 1e-9
    np.testing.assert_allclose(power.numpy(), [[np.sum(w[100 + 100 * t :][:60] ** 2) for t in range(5)] for w in wide])


@pytest.mark.parametrize("period", [40, 75, 100, 128])
def test_steady_voices_have_the_lag_that_torchaudio_finds(period: int) -> None:
    """Whole periods and equal loudness, where its squared norms change nothing; the +-1 is its lack of a parabola."""
    x = audio(voice(np.full(SECOND, SECOND / period), top=880.0))
    theirs = SECOND / detect_pitch_frequency(x.data, SECOND, 0.02, 3, 60, 500)[0, 3:-3]
    ours = SECOND / prosody()(x).data[0, INNER, 0].exp()
    assert (theirs - period).abs().max() <= 1
    torch.testing.assert_close(ours, torch.full_like(ours, period), atol=0.1, rtol=0)
