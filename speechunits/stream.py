"""Stream: what a consumer must know of a field of codes, or of vectors, before it sees the first batch."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any


@dataclass(frozen=True)
class Stream:
    """Rate, vocabulary and origin of stored codes (or of text tokens), or rate, shape and origin of stored vectors.

    Args:
        hop: seconds per code; None when not tied to time.
        vocab: codes per codebook, (V,) for one codebook; ids run from 0 to V-1, specials are never stored. () of vectors.
        fingerprint: of the tokenizer, or of the features, that wrote them; consumers store it and refuse strangers.
        shape: of one frame of vectors, (D,), or (L, D) of several layers. () of codes.
    """

    hop: Fraction | None
    vocab: tuple[int, ...]
    fingerprint: str
    shape: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        # as text where it comes from an artefact's configuration, which cannot hold a null: "" is none
        object.__setattr__(self, "hop", Fraction(self.hop) if self.hop else None)
        object.__setattr__(self, "vocab", tuple(self.vocab))
        object.__setattr__(self, "shape", tuple(self.shape))

    @property
    def _node(self) -> dict[str, Any]:
        """The configuration of this stream, for artefacts of consumers that were supplied with it."""
        hop = "" if self.hop is None else str(self.hop)
        target = f"{Stream.__module__}.{Stream.__name__}"
        node = {"_target_": target, "hop": hop, "vocab": list(self.vocab), "fingerprint": self.fingerprint}
        return node | ({"shape": list(self.shape)} if self.shape else {})
