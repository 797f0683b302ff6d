"""A part of every utterance."""

from __future__ import annotations

from torch import nn

from speechunits.draws import Draws
from speechunits.seq import Seq, pad, unpad


class Excerpt(nn.Module):
    """So many seconds of each utterance, from a start drawn evenly; a shorter one stays whole. Two of them are two views of
    one voice. Unlike other views it changes lengths.

    Args:
        seconds: longest part kept.

    Raises:
        ValueError: they are not above 0.
    """

    def __init__(self, seconds: float = 2.0) -> None:
        super().__init__()
        if seconds <= 0:
            raise ValueError(f"seconds is {seconds}; give a length above 0")
        self.seconds = seconds

    def forward(self, audio: Seq, draws: Draws) -> Seq:
        """(B, S) -> (B, at most ``seconds``); also of frames (B, T, D)."""
        assert audio.hop is not None
        most = max(1, round(self.seconds / float(audio.hop)))
        rows = []
        for row, rng in zip(unpad(audio), draws.generators("excerpt"), strict=True):
            start = int(rng.integers(max(0, len(row) - most) + 1))
            rows.append(row[start : start + most])
        return pad(rows, audio.hop).to(audio.data.device)
