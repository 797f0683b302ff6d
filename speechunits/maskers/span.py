"""Span masking of frames and channels."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from speechunits.draws import Draws
from speechunits.maskers.spans import Spans
from speechunits.seq import Seq


class SpanMasker(nn.Module):
    """Replace spans of frames by one learned vector, and spans of channels by zero (wav2vec 2.0, sections 3.1 and A.2).

    Spans are drawn per utterance from (seed, epoch, cut id, purpose): neither batch-mates nor ranks change them.

    Args:
        share, length, kind, other, minimum, overlap, space, same_count, holes: of time spans, see ``Spans``.
        channel_share, channel_length, channel_kind, channel_other, channel_overlap, channel_space: of channel spans;
            share 0 = none (pre-training).
        dim: features, supplied by the SpeechEncoder.
    """

    def __init__(
        self,
        share: float = 0.8,
        length: int = 10,
        kind: Literal["static", "uniform", "normal", "poisson"] = "static",
        other: float = 0.0,
        minimum: int = 2,
        overlap: bool = True,
        space: int = 1,
        same_count: bool = False,
        holes: float = 0.0,
        channel_share: float = 0.0,
        channel_length: int = 64,
        channel_kind: Literal["static", "uniform", "normal", "poisson"] = "static",
        channel_other: float = 0.0,
        channel_overlap: bool = True,
        channel_space: int = 1,
        *,
        dim: int,
    ) -> None:
        super().__init__()
        self.time = Spans(share, length, kind, other, minimum, overlap, space, same_count, holes)
        self.channel = Spans(
            channel_share, channel_length, channel_kind, channel_other, 0, channel_overlap, channel_space
        )
        self.dim = dim
        self.vector = nn.Parameter(torch.rand(dim))

    def draw(self, lengths: Tensor, width: int, draws: Draws, purpose: str = "mask") -> Tensor:
        """Frames hidden from the encoder: (B, width) bool on the device of ``lengths`` (B,)."""

        def make() -> Tensor:
            return torch.from_numpy(self.time.draw(lengths.tolist(), draws.generators(purpose), width))

        return draws.once((purpose, id(self), width), make).to(lengths.device, non_blocking=True)

    def forward(self, x: Seq, draws: Draws, purpose: str = "mask") -> tuple[Seq, Tensor, dict[str, Tensor]]:
        """(B, T, dim) -> what the encoder sees, masked (B, T) bool, aux."""
        masked = self.draw(x.lengths, x.data.size(1), draws, purpose)
        seen = torch.where(masked[..., None], self.vector.to(x.data.dtype), x.data)
        if self.channel.share:
            sizes = [self.dim] * len(draws.ids)
            channels = torch.from_numpy(self.channel.draw(sizes, draws.generators(f"{purpose}:channel"), self.dim))
            seen = seen.masked_fill(channels.to(seen.device)[:, None, :], 0.0)
        return x.with_data(seen), masked, {}
