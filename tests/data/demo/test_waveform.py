from __future__ import annotations

import numpy as np
import pytest

from speechunits.data.demo.waveform import PADDING, Channel, record, resample


def _tone(frequency: float, rate: int, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


@pytest.mark.parametrize("frequency", [100.0, 1000.0, 5000.0])
def test_resampled_tone_is_the_tone(frequency: float) -> None:
    """Error below -80 dB away from the ends, without any delay."""
    resampled = resample(_tone(frequency, 22050), 22050, 16000)
    assert len(resampled) == 16000
    error = np.abs(resampled - _tone(frequency, 16000))[800:-800].max()
    assert 20 * np.log10(error) < -80


def test_resampling_leaves_no_alias() -> None:
    assert np.abs(resample(_tone(9000, 22050), 22050, 16000))[800:-800].max() < 1e-4


@pytest.mark.parametrize(("frequency", "gain"), [(250.0, 3.0), (1000.0, 0.0), (2000.0, -2.0), (4000.0, -4.0)])
def test_channel_gain_at_a_tone(frequency: float, gain: float) -> None:
    """Straight lines over log frequency: half way (in octaves) from 1 to 4 kHz lies 2 kHz."""
    channel = Channel(gains=(6.0, 3.0, 0.0, -4.0, -4.0))
    out = resample(_tone(frequency, 22050), 22050, 16000, channel)[2000:-2000]
    assert 20 * np.log10(np.abs(out).max()) == pytest.approx(gain, abs=0.1)


def test_drawn_channels_are_mild_and_reproducible() -> None:
    channels = [Channel.draw(seed) for seed in range(200)]
    assert channels == [Channel.draw(seed) for seed in range(200)]
    gains = np.array([channel.gains for channel in channels])
    assert np.abs(gains).max() <= 1.5 * 4 + 2 and gains[:, 2].std() > 0.8  # 63 Hz lies four octaves below 1 kHz
    levels = np.array([channel.level for channel in channels])
    assert np.abs(levels).max() <= 4 and levels.std() > 1.5


def test_recording_has_level_padding_and_noise() -> None:
    silent_then_tone = np.concatenate([np.zeros(2205), 3000 * _tone(500, 22050)]).astype(np.int16)
    recording = record(silent_then_tone, 22050, seed=1, channel=Channel()) / 32767
    padding = round(PADDING * 16000)
    assert len(recording) == 1600 + 16000 + 2 * padding
    tone = recording[padding + 2400 : -padding - 800]
    assert 10 * np.log10((tone**2).mean()) == pytest.approx(-23, abs=0.3)
    noise = recording[: padding // 2]
    assert 10 * np.log10((noise**2).mean()) == pytest.approx(-68, abs=0.5)


def test_peaks_stay_below_full_scale() -> None:
    click = np.ones(22050, np.int16) * 40  # just active: a click over it would be scaled far beyond full scale
    click[11000:11003] = 32767
    recording = record(click, 22050, seed=1, channel=Channel())
    assert np.abs(recording.astype(int)).max() <= 0.99 * 32767
