"""DecoderState: what an attention decoder remembers of its hypotheses."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor


@dataclass(frozen=True)
class DecoderState:
    """Keys and values of B utterances and of what N hypotheses about them say: N / B about each, one utterance after the other.

    Args:
        heard: of each layer (2, B, H, T, D / H), never copied, however many hypotheses there are.
        keys: (B, 1, 1, T) bool, True on real frames.
        said: of each layer (2, N, H, L, D / H).
    """

    heard: tuple[Tensor, ...]
    keys: Tensor
    said: tuple[Tensor, ...]

    def take(self, rows: Tensor) -> DecoderState:
        """The hypotheses ``rows`` (M,) int64: M / B about each utterance, one utterance after the other; otherwise a row may be
        left out, repeated and moved."""
        return replace(self, said=tuple(each[:, rows] for each in self.said))
