"""Waveforms to measure, and batches of them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from speechunits.metrics.measure import Measure, merge
from speechunits.seq import Seq, pad

RATE = 16000


def vowel(seconds: float = 0.5, pitch: float = 120.0, formants: Sequence[float] = (600, 1500), seed: int = 0) -> Tensor:
    """(S,) float64: a pulse train of a rising pitch through resonances, with a little noise, far below full scale."""
    t = torch.arange(round(seconds * RATE), dtype=torch.float64) / RATE
    phase = 2 * torch.pi * (pitch * t + 20 * t.square())
    harmonics = torch.arange(1, 40, dtype=torch.float64)
    frequency = harmonics * pitch
    gain = sum(1 / (1 + ((frequency - f) / 150).square()) for f in formants)
    wave = (gain[:, None] * torch.sin(harmonics[:, None] * phase)).sum(0)
    noise = torch.randn(len(t), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return 0.2 * wave / wave.abs().max() + 1e-3 * noise


def batch_of(made: Sequence[Tensor], originals: Sequence[Tensor], ids: Sequence[str], **more: Any) -> tuple[Any, Any]:
    """(outputs, batch) with ``audio`` of both."""
    hop = Fraction(1, RATE)
    return {"audio": pad(list(made), hop)}, {"audio": pad(list(originals), hop), "ids": list(ids), **more}


def alone(wave: Tensor) -> Seq:
    return pad([wave], Fraction(1, RATE))


def check_ranks(make: Any, outputs: Any, batch: Any) -> dict[str, float]:
    """A batch at once, its utterances one by one on two ranks that share one: the same results, which come back."""
    whole: Measure = make()
    assert isinstance(whole, Measure)
    whole.update(outputs, batch)
    size = len(batch["ids"])
    ranks: list[Measure] = [make(), make()]
    for i in [*range(size), 0]:
        rank = ranks[(i + (i == 0)) % 2]
        rank.update(*({k: _one(v, i) for k, v in side.items()} for side in (outputs, batch)))
    joined: Measure = make()
    joined.load(merge(rank.state() for rank in ranks))
    found = whole.compute()
    assert joined.compute() == found
    whole.reset()
    assert whole.state() == {}
    return found


def _one(value: Any, i: int) -> Any:
    if isinstance(value, Seq):
        return pad([value.data[i, : int(value.lengths[i])]], value.hop)
    return value[i : i + 1]
