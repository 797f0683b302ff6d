"""A vocoder that says 320 samples of its own for each unit, by the contract of ``UnitVocoder``."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from speechunits.draws import Draws, draws
from speechunits.seq import Seq, pad
from speechunits.stream import Stream
from speechunits.term import Term

FACTOR, UNITS, RATE = 320, 6, 16000
STREAMS = {"units": Stream(Fraction(1, 50), (UNITS,), "km6")}


class FrameVocoder(nn.Module):
    """Frames do not know of each other, so that a batch is its utterances. Durations: the mean of the vectors against 1."""

    rate = RATE

    def __init__(self, dim: int = 8, dropout: float = 0.0, *, streams: Mapping[str, Stream]) -> None:
        super().__init__()
        self.stream = streams["units"]
        self.embedding, self.linear = nn.Embedding(self.stream.vocab[0], dim), nn.Linear(dim, FACTOR)
        self.length, self.dropout = nn.Linear(dim, 1), nn.Dropout(dropout)
        self.drawn: Draws | None = None

    @property
    def labels(self) -> dict[str, str | None]:
        return {"units": self.stream.fingerprint}

    def forward(self, batch: Any, draws: Draws | None = None) -> Seq:
        self.drawn = draws
        units: Seq = batch["units"]
        x = self.dropout(self.embedding(units.data.clamp(min=0)))
        samples = torch.tanh(self.linear(x)) * units.valid[..., None]
        return Seq(samples.flatten(1), units.lengths * FACTOR, Fraction(1, RATE))

    def predict(self, batch: Any) -> dict[str, Seq]:
        return {"audio": self(batch)}

    def duration_counts(self, batch: Any) -> dict[str, Tensor]:
        return {"duration": batch["units"].lengths.sum()}

    def duration_terms(self, batch: Any) -> dict[str, Term]:
        units: Seq = batch["units"]
        error = (self.length(self.embedding(units.data.clamp(min=0)))[..., 0] - 1).square() * units.valid
        return {"duration": Term(error.sum(), units.lengths.sum(), 0.5)}


def voices() -> Tensor:
    """(UNITS, FACTOR): what each unit should sound like, whole periods of a tone of its own."""
    t = torch.arange(FACTOR, dtype=torch.float64) / RATE
    return torch.stack([0.6 * torch.sin(2 * torch.pi * 50 * (3 + 5 * u) * t) for u in range(UNITS)])


def batch(*frames: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> dict[str, Any]:
    """Utterances of so many units; the audio of each ends 100 samples after its last unit."""
    g = torch.Generator().manual_seed(seed)
    rows = [torch.randint(UNITS, (n,), generator=g) for n in frames]
    sound = [torch.cat([voices()[row].flatten(), torch.zeros(100, dtype=torch.float64)]) for row in rows]
    audio = pad([x + 0.003 * torch.randn(len(x), generator=g, dtype=torch.float64) for x in sound], Fraction(1, RATE))
    ids = [f"{seed}-{i}" for i in range(len(frames))]
    return {"units": pad(rows, Fraction(1, 50)), "audio": audio.to(dtype), "draws": draws(ids), "ids": ids}


def rows_of(whole: dict[str, Any], *rows: int) -> dict[str, Any]:
    """Some utterances of a batch."""
    where = torch.tensor(rows)
    seqs = {k: Seq(v.data[where], v.lengths[where], v.hop) for k, v in whole.items() if isinstance(v, Seq)}
    ids = [whole["ids"][i] for i in rows]
    return {**seqs, "draws": draws(ids), "ids": ids}
