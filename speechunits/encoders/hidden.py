"""Hidden: what an encoder returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from speechunits.seq import Seq


def layer_of(where: str, kind: str = "layer") -> int | None:
    """9 for "layer:9" ("ffn:9" for the kind "ffn"), None for any other place."""
    name, _, number = where.partition(":")
    return int(number) if name == kind and number.isascii() and number.isdigit() else None


def check_read(where: str, depth: int, branches: Iterable[str] = (), ffn: bool = False) -> None:
    """Whether ``where`` can be read of an encoder of ``depth`` layers, of its feed-forward parts where ``ffn``.

    Raises:
        ValueError: it cannot.
    """
    layer, block = layer_of(where), layer_of(where, "ffn") if ffn else None
    if layer is not None and layer > depth:
        raise ValueError(f"'{where}': the encoder has layers 0 to {depth}")
    if block is not None and not 1 <= block <= depth:
        raise ValueError(f"'{where}': the encoder has blocks 1 to {depth}")
    whole = ("final", *(f"branch:{name}" for name in branches))
    if layer is None and block is None and where not in whole:
        raise ValueError(f"'{where}' cannot be read; use final, layer:N, branch:NAME, clean or seen")


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

    def read(self, where: str) -> Seq:
        """ "final", "layer:9", "ffn:9" (where it was kept) or "branch:slow", as (B, T, D).

        Raises:
            ValueError: there is no such place.
        """
        check_read(where, len(self.layers) - 1, self.branches, bool(self.ffn))
        if (layer := layer_of(where)) is not None:
            return self.final.with_data(self.layers[layer])
        if (layer := layer_of(where, "ffn")) is not None:
            return self.final.with_data(self.ffn[layer - 1])
        return self.branches[where.removeprefix("branch:")] if where.startswith("branch:") else self.final
