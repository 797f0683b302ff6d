"""Seq: a right-padded batch that knows its lengths and its frame rate. The only place where two rates meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Seq:
    """A right-padded batch.

    Args:
        data: (B, T, ...); integer data is padded with -1, floating data with 0.
        lengths: (B,) int64, in frames of ``data``.
        hop: seconds per frame, exact (``Fraction(1, 50)``; ``Fraction(1, 16000)`` is a 16 kHz waveform);
            None where frames are no longer tied to time (text, BPE, deduplicated units).
    """

    data: Tensor
    lengths: Tensor
    hop: Fraction | None

    def __post_init__(self) -> None:
        if self.data.dim() < 2 or self.lengths.shape != self.data.shape[:1]:
            raise ValueError(
                f"Seq needs data (B, T, ...) and lengths (B,), "
                f"got {tuple(self.data.shape)} and {tuple(self.lengths.shape)}"
            )

    @property
    def valid(self) -> Tensor:
        """(B, T) bool, True on real frames: the only mask polarity in the house."""
        return torch.arange(self.data.size(1), device=self.data.device) < self.lengths[:, None]

    def with_data(self, data: Tensor) -> Seq:
        """The same lengths and hop around other ``data`` (B, T, ...)."""
        return replace(self, data=data)

    def to(self, *args: Any, **kwargs: Any) -> Seq:
        """Move as a tensor does; ``lengths`` keep their integer type when a floating dtype is asked for."""
        data = self.data.to(*args, **kwargs)
        return replace(
            self, data=data, lengths=self.lengths.to(data.device, non_blocking=kwargs.get("non_blocking", False))
        )

    def pin_memory(self) -> Seq:
        return replace(self, data=self.data.pin_memory(), lengths=self.lengths.pin_memory())

    def at(self, hop: Fraction | None, frames: int) -> Seq:
        """The same stream at another rate, ``frames`` long: every n-th frame going down, each repeated going up.

        Frame t of the result starts where frame t of the coarser grid starts, so nothing shifts in time. Missing
        frames are padded, surplus ones cut; ``lengths`` say which are real.

        Raises:
            ValueError: the stream has no hop, or the two rates are not in an integer ratio.
        """
        if self.hop is None or hop is None:
            raise ValueError("a sequence without a hop (text, BPE, deduplicated units) cannot be aligned to frames")
        data, lengths = self.data, self.lengths
        if hop != self.hop:
            ratio = max(hop, self.hop) / min(hop, self.hop)
            if ratio.denominator != 1:
                raise ValueError(
                    f"cannot align a hop of {self.hop} s with one of {hop} s: the ratio {ratio} is not an integer"
                )
            step = ratio.numerator
            if hop > self.hop:
                data, lengths = data[:, ::step], -(-lengths // step)
            else:
                data, lengths = data.repeat_interleave(step, 1), lengths * step
        short = frames - data.size(1)
        if short > 0:
            fill = 0 if data.is_floating_point() else -1
            data = torch.cat([data, data.new_full((data.size(0), short, *data.shape[2:]), fill)], 1)
        return Seq(data[:, :frames], lengths.clamp(max=frames), hop)


def pad(items: Sequence[Tensor], hop: Fraction | None) -> Seq:
    """Stack tensors (T_i, ...) of unequal length into one right-padded Seq (B, max T, ...)."""
    lengths = torch.tensor([len(x) for x in items], dtype=torch.int64)
    fill = 0 if items[0].is_floating_point() else -1
    data = items[0].new_full((len(items), int(lengths.max()), *items[0].shape[1:]), fill)
    for row, x in zip(data, items, strict=True):
        row[: len(x)] = x
    return Seq(data, lengths, hop)


def unpad(seq: Seq) -> list[Tensor]:
    """The real frames of each item: B tensors (T_i, ...)."""
    return [row[:n] for row, n in zip(seq.data, seq.lengths.tolist(), strict=True)]
