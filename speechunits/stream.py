"""Stream: what a consumer must know of a field of integer codes before it sees the first batch."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


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
