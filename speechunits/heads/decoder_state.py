"""DecoderState: what an attention decoder remembers of its hypotheses."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor


@dataclass(frozen=True)
class DecoderState:
    """Keys and values of B utterances and of what N hypotheses about them say.

    Args:
        heard: of each layer (2, B, H, T, D / H); never copied when hypotheses are reordered.
        keys: (B, 1, 1, T) bool, True on real frames.
        of: (N,) int64, the utterance of each hypothesis.
        said: of each layer (2, N, H, L, D / H).
    """

    heard: tuple[Tensor, ...]
    keys: Tensor
    of: Tensor
    said: tuple[Tensor, ...]

    def take(self, rows: Tensor) -> DecoderState:
        """The hypotheses ``rows`` (M,) int64, in that order; a row may be left out or repeated."""
        return replace(self, of=self.of[rows], said=tuple(each[:, rows] for each in self.said))
