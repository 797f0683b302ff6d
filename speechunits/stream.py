"""Stream: what a consumer must know of a field of integer codes before it sees the first batch."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any


@dataclass(frozen=True)
class Stream:
    """Rate, vocabulary and origin of stored codes (or of text tokens).

    Args:
        hop: seconds per code; None when not tied to time.
        vocab: codes per codebook, (V,) for one codebook; ids run from 0 to V-1, specials are never stored.
        fingerprint: of the tokenizer that wrote them; consumers store it and refuse strangers.
    """

    hop: Fraction | None
    vocab: tuple[int, ...]
    fingerprint: str

    def __post_init__(self) -> None:
        if self.hop is not None:  # as text where it comes from an artefact's configuration
            object.__setattr__(self, "hop", Fraction(self.hop))
        object.__setattr__(self, "vocab", tuple(self.vocab))

    @property
    def _node(self) -> dict[str, Any]:
        """The configuration of this stream, for artefacts of consumers that were supplied with it."""
        hop = None if self.hop is None else str(self.hop)
        target = f"{Stream.__module__}.{Stream.__name__}"
        return {"_target_": target, "hop": hop, "vocab": list(self.vocab), "fingerprint": self.fingerprint}
