"""From eSpeak's samples to a 16 kHz recording: resampling, channel, level, padding and a faint noise floor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

SAMPLING_RATE = 16000
PADDING = 0.15  # seconds on both sides: eSpeak starts and stops at once
ACTIVE_LEVEL = -23.0  # dB relative to full scale, RMS over the samples that are not silence
NOISE_FLOOR = -68.0  # dB; eSpeak's pauses are exact zeros, which no microphone gives and log-mel cannot take
PEAK = 0.98
_KNOTS = np.array([63.0, 250.0, 1000.0, 4000.0, 8000.0])  # Hz


@dataclass(frozen=True)
class Channel:
    """The way from mouth to file: an equaliser without delay, a level and a noise floor.

    Args:
        gains: dB at 63, 250, 1000, 4000 and 8000 Hz, joined by straight lines over log frequency.
        level: dB added to the active level.
        noise: dB relative to full scale.
    """

    gains: tuple[float, ...] = (0.0,) * len(_KNOTS)
    level: float = 0.0
    noise: float = NOISE_FLOOR

    @classmethod
    def draw(cls, seed: int) -> Channel:
        """A mild one: tilt within 1.5 dB per octave around 1 kHz, bumps within 2 dB, level within 4 dB, quiet noise."""
        random = np.random.default_rng((seed, 1))
        tilt = random.uniform(-1.5, 1.5)
        gains = tilt * np.log2(_KNOTS / 1000) + random.uniform(-2, 2, len(_KNOTS))
        return cls(tuple(gains.tolist()), random.uniform(-4, 4), random.uniform(NOISE_FLOOR, -56))

    def response(self, frequencies: np.ndarray) -> np.ndarray:
        """Amplitude factors at ``frequencies`` in Hz."""
        gains = np.interp(np.log2(np.maximum(frequencies, _KNOTS[0])), np.log2(_KNOTS), self.gains)
        return 10 ** (gains / 20)


def resample(samples: np.ndarray, source: int, target: int, channel: Channel | None = None) -> np.ndarray:
    """Floating (S,) at ``source`` Hz -> (ceil(S * target / source),): by FFT, exact in ratio, without delay.

    A raised cosine closes the top 6 % of the narrower band; ``channel`` equalises on the way.
    """
    divisor = math.gcd(source, target)
    up, down = target // divisor, source // divisor
    blocks = _smooth((len(samples) + 4096) // down + 1)  # zero-padded, so that nothing wraps around
    spectrum = np.fft.rfft(samples, blocks * down)
    bins = blocks * up // 2 + 1
    kept = min(bins, len(spectrum))
    edge = int(0.94 * kept)
    gain = np.ones(kept, samples.dtype)
    gain[edge:] = 0.5 + 0.5 * np.cos(np.pi * np.arange(kept - edge) / (kept - edge))
    if channel is not None:
        gain *= channel.response(np.arange(kept) * (source / (blocks * down)))
    resampled = np.zeros(bins, spectrum.dtype)
    resampled[:kept] = spectrum[:kept] * gain
    return np.fft.irfft(resampled, blocks * up)[: -(-len(samples) * up // down)] * (up / down)


def record(samples: np.ndarray, source: int, seed: int, channel: Channel) -> np.ndarray:
    """eSpeak's (S,) int16 at ``source`` Hz -> int16 at 16 kHz with ``PADDING`` seconds before and behind."""
    speech = resample(samples.astype(np.float32) / 32768, source, SAMPLING_RATE, channel)
    active = speech[np.abs(speech) > 1e-3]
    if len(active):
        speech = speech * (10 ** ((ACTIVE_LEVEL + channel.level) / 20) / float(np.sqrt((active**2).mean())))
    peak = float(np.abs(speech).max(initial=0))
    if peak > PEAK:
        speech = speech * (PEAK / peak)
    padded = np.pad(speech, round(PADDING * SAMPLING_RATE))
    noise = np.random.default_rng(seed).standard_normal(len(padded), np.float32)
    padded = padded + noise * 10 ** (channel.noise / 20)
    return np.clip(np.round(padded * 32767), -32768, 32767).astype(np.int16)


def _smooth(size: int) -> int:
    """The next number whose only prime factors are 2, 3, 5 and 7, where an FFT is fast."""
    while True:
        rest = size
        for prime in (2, 3, 5, 7):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += 1
