"""StreamState: what an encoder remembers between the pieces of an utterance."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class StreamState:
    """Of a batch of utterances that began together.

    Args:
        frames: heard so far.
        past: for each block, what its ``Memory`` kept; empty at the beginning.
    """

    frames: int = 0
    past: tuple[tuple[Tensor, ...], ...] = ()
