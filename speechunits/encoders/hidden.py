"""Hidden: what an encoder returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from speechunits.seq import Seq


@dataclass(frozen=True)
class Hidden:
    """All layers of one encoding.

    Args:
        layers: (B, T, D) each; [0] is the encoder's input (positions added), [9] the output of the ninth block.
        final: the encoder's output (after a final norm, if it has one).
        branches: outputs at other rates, by name.
        state: for streaming encoders; None offline.
        ffn: what the feed-forward part of each block added, (B, T, D) each; [0] is the first block's. Empty unless asked.
    """

    layers: tuple[Tensor, ...]
    final: Seq
    branches: Mapping[str, Seq] = field(default_factory=dict)
    state: Any = None
    ffn: tuple[Tensor, ...] = ()
