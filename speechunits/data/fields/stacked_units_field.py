"""StackedUnitsField: the codes of several layers or tokenizers, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import torch
from lhotse.cut import Cut
from torch import Tensor

from speechunits.data.batch_dataset import common_grid
from speechunits.data.fields.units_field import UnitsField
from speechunits.errors import UserError
from speechunits.seq import Seq, pad
from speechunits.stream import Stream

if TYPE_CHECKING:
    from speechunits.data.cuts import Cuts


@dataclass(frozen=True)
class StackedUnitsField:
    """Stored codes of several fields as the codebooks of one, (T, K) int64 at the finest of their hops; batches are Seq.

    Codes of a coarser hop are repeated (``Seq.at``). As many frames as the shortest has.

    Args:
        fields: by name; the codebooks stand in their order.
        stream: all of them; ``bind`` sets it.
    """

    fields: Mapping[str, UnitsField]
    stream: Stream | None = None

    def __post_init__(self) -> None:
        if not self.fields or not all(field.aligned for field in self.fields.values()):
            raise ValueError("fields: needs one field of units or more, each aligned with the audio")

    @property
    def grid(self) -> Fraction | None:
        return common_grid([field.grid for field in self.fields.values() if field.grid is not None])

    @property
    def whole(self) -> bool:
        return False

    @property
    def warps(self) -> bool:
        return all(field.warps for field in self.fields.values())

    def bind(self, cuts: Cuts) -> StackedUnitsField:
        fields = {name: field.bind(cuts) for name, field in self.fields.items()}
        streams = {name: field.stream for name, field in fields.items() if field.stream is not None}
        hops = {name: stream.hop for name, stream in streams.items() if stream.hop is not None}
        finest = min(hops.values())
        for name, hop in hops.items():
            if (hop / finest).denominator != 1:
                raise UserError(
                    f"{', '.join(map(str, cuts.paths))}: {name} has a hop of {hop} s, no multiple of the finest, {finest} s; "
                    "leave it out or extract it at another hop"
                )
        vocab = tuple(size for stream in streams.values() for size in stream.vocab)
        name = "&".join(stream.fingerprint for stream in streams.values())
        return replace(self, fields=fields, stream=Stream(finest, vocab, name))

    def load(self, cut: Cut) -> Tensor:
        assert self.stream is not None, "bind the field to its cuts first"
        rows = [self._at_finest(field, cut, self.stream.hop) for field in self.fields.values()]
        shortest = min(map(len, rows))
        return torch.cat([row[:shortest] for row in rows], 1)

    def _at_finest(self, field: UnitsField, cut: Cut, finest: Fraction | None) -> Tensor:
        """(T, K) codes of one field, repeated where its hop is coarser."""
        assert field.stream is not None and field.stream.hop is not None and finest is not None
        codes = field.load(cut)
        seq = Seq(codes.reshape(1, len(codes), -1), torch.tensor([len(codes)]), field.stream.hop)
        return seq.at(finest, len(codes) * (field.stream.hop / finest).numerator).data[0]

    def collate(self, items: list[Tensor]) -> Seq:
        return pad(items, self.stream.hop if self.stream else None)
