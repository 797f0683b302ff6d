"""Sound files, and the units of one straight from its samples."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile
import torch

from speechunits.seq import Seq
from speechunits.units.tokenizer import UnitTokenizer


def wave(path: Path, seconds: float = 0.6, rate: int = 16000, channels: int = 1) -> np.ndarray:
    """Tones in the middle of the band with gaps; the same sound at any rate."""
    t = np.arange(round(seconds * rate)) / rate
    x = 0.2 * np.sin(2 * np.pi * 600 * t) * (np.sin(2 * np.pi * 3 * t) > 0) + 0.1 * np.sin(2 * np.pi * 1500 * t)
    soundfile.write(path, np.stack([x] * channels, 1) if channels > 1 else x, rate)
    return x


def codes(folder: Path, path: Path) -> list[int]:
    """Straight from the samples on disk."""
    samples, rate = soundfile.read(path, dtype="float32")
    assert rate == 16000
    x = torch.from_numpy(samples)[None]
    return UnitTokenizer.load(folder).codes(Seq(x, torch.tensor([x.size(1)]), Fraction(1, rate))).data[0, :, 0].tolist()
