"""Discriminators: several that judge one waveform."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from speechunits.part import Part, fill_all
from speechunits.vocoders.conv_stack import Judged


class Discriminators(nn.Module):
    """What each of ``parts`` says, one after the other.

    Args:
        parts: by name. Each gives for waveforms (B, S) a list of scores (B, N) and features, one entry for each
            discriminator in it, and has their ``weights`` in the losses.
    """

    def __init__(self, parts: Mapping[str, Part[nn.Module]]) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(fill_all(parts))
        self.weights: tuple[float, ...] = sum((part.weights for part in self.parts.values()), ())

    def forward(self, wave: Tensor) -> list[Judged]:
        """(B, S) -> scores and features of every discriminator."""
        return [judged for part in self.parts.values() for judged in part(wave)]
