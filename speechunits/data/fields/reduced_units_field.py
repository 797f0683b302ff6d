"""ReducedUnitsField: stored units, shortened when they are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import torch
from lhotse.cut import Cut
from torch import Tensor

from speechunits.data.unit_step import UnitStep
from speechunits.draws import Draws
from speechunits.errors import UserError
from speechunits.seq import Seq, pad
from speechunits.stream import Stream

if TYPE_CHECKING:
    from speechunits.data.cuts import Cuts


@dataclass(frozen=True)
class ReducedUnitsField:
    """The codes of another field after some steps: runs merged, subword units. (T,) or (T, K) int64; batches are Seq.

    The fingerprint of its stream is that of the units with those of the steps, ``units+dedup+bpe``: a model that was
    trained on one of them refuses all others, and says which part differs. A step that draws (BPE dropout) draws by
    (seed, epoch, cut id) in training and not in validation; a ``DurationsField`` of the same draws the same.

    Args:
        units: the field of stored codes, ``UnitsField`` or ``StackedUnitsField``.
        steps: by name, in their order.
        stream: what comes out; ``bind`` sets it.
    """

    units: Any
    steps: Mapping[str, UnitStep]
    stream: Stream | None = None

    def __post_init__(self) -> None:
        for name, step in self.steps.items():
            if not hasattr(step, "shorten"):
                raise ValueError(
                    f"steps.{name} is a {type(step).__name__}, which shortens no units; give Dedup or UnitBPE"
                )

    @property
    def grid(self) -> Fraction | None:
        return self.units.grid  # type: ignore[no-any-return]

    @property
    def whole(self) -> bool:
        return self.units.whole  # type: ignore[no-any-return]

    @property
    def warps(self) -> bool:
        return self.units.warps  # type: ignore[no-any-return]

    def bind(self, cuts: Cuts) -> ReducedUnitsField:
        units = self.units.bind(cuts)
        stream: Stream = units.stream
        for name, step in self.steps.items():
            try:
                stream = step.over(stream)
            except UserError as error:
                raise UserError(f"{', '.join(map(str, cuts.paths))}: step {name}: {error}") from error
        return replace(self, units=units, stream=stream)

    def reduced(self, cut: Cut, draws: Draws | None = None) -> tuple[Tensor, Tensor]:
        """The units of a cut and (T,) how many frames of the stored hop each lasts."""
        assert self.stream is not None, "bind the field to its cuts first"
        units = self.units.load(cut)
        frames = torch.ones(len(units), dtype=torch.int64)
        for name, step in self.steps.items():
            random = None if draws is None else draws.generator(0, f"{self.stream.fingerprint} {name}")
            units, frames = step.shorten(units, frames, random)
        return units, frames

    def load(self, cut: Cut) -> Tensor:
        return self.reduced(cut)[0]

    def draw(self, cut: Cut, draws: Draws) -> Tensor:
        return self.reduced(cut, draws)[0]

    def collate(self, items: list[Tensor]) -> Seq:
        return pad(items, self.stream.hop if self.stream else None)
