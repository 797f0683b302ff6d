"""Sounds of a known pitch, and how far a tracker is from it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from speechunits.config import build
from speechunits.frontends.prosody import Prosody
from speechunits.seq import Seq, pad

RATE = Fraction(1, 16000)
TRACKERS = {
    "correlation": "speechunits.frontends.pitch_correlation.PitchCorrelation",
    "dio": "speechunits.frontends.pitch_world.PitchWorld",
    "harvest": "speechunits.frontends.pitch_world.PitchWorld",
}


def prosody(kind: str = "correlation", **more: Any) -> Prosody:
    """The frontend with one tracker; the test is skipped where its package is missing."""
    node: dict[str, Any] = {"_target_": TRACKERS[kind]}
    if kind != "correlation":
        pytest.importorskip("pyworld", reason="pyworld is not installed: pip install 'speechunits[prosody]'")
        node["method"] = kind
    made: Prosody = build({"_target_": "speechunits.frontends.prosody.Prosody", "pitch": node, **more})
    return made


def voice(f0: np.ndarray, shape: Callable[[int], float] = lambda h: 1 / h, top: float = 3500.0) -> np.ndarray:
    """Harmonics h of F0 (S,) in Hz for each sample, each of the amplitude shape(h), up to ``top`` Hz; loudest sample 0.5."""
    phase = 2 * np.pi * np.cumsum(f0) / 16000
    x = sum(shape(h) * np.cos(h * phase + h) * (h * f0 < top) for h in range(1, int(top / f0.min()) + 1))
    return np.asarray(0.5 * x / np.abs(x).max())


def audio(*rows: np.ndarray) -> Seq:
    return pad([torch.tensor(row, dtype=torch.float32) for row in rows], RATE)


def at_centres(f0: np.ndarray, step: int = 320, window: int = 400) -> np.ndarray:
    """F0 (S,) -> at the middle of each frame (T,)."""
    return f0[window // 2 :: step][: (len(f0) - window) // step + 1]


def cents(found: Seq, f0: np.ndarray) -> np.ndarray:
    """How far each voiced frame of an utterance (1, T, 3) is from F0 (S,); NaN where it was found unvoiced."""
    heard = found.data[0].double().numpy()
    off = 1200 / np.log(2) * (heard[:, 0] - np.log(at_centres(f0)))
    return np.where(heard[:, 1] > 0.5, off, np.nan)
