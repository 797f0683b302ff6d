"""DurationsField: how long reduced units last."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from lhotse.cut import Cut
from torch import Tensor

from speechunits.data.fields.reduced_units_field import ReducedUnitsField
from speechunits.draws import Draws
from speechunits.seq import Seq, pad
from speechunits.stream import Stream

if TYPE_CHECKING:
    from speechunits.data.cuts import Cuts


@dataclass(frozen=True)
class DurationsField:
    """(T,) int64: how many frames each unit of another field lasts; batches are Seq (B, T).

    The Seq has the hop of the frames that are counted, as ``Units.durations`` has. In YAML ``of: ${data.fields.units}``:
    the units are read and drawn twice, alike, which costs a fraction of a millisecond.

    Args:
        of: the reduced units.
    """

    of: ReducedUnitsField

    stream: ClassVar[Stream | None] = None

    @property
    def grid(self) -> Fraction | None:
        return self.of.grid

    @property
    def whole(self) -> bool:
        return self.of.whole

    @property
    def warps(self) -> bool:
        return self.of.warps

    def bind(self, cuts: Cuts) -> DurationsField:
        return replace(self, of=self.of.bind(cuts))

    def load(self, cut: Cut) -> Tensor:
        return self.of.reduced(cut)[1]

    def draw(self, cut: Cut, draws: Draws) -> Tensor:
        return self.of.reduced(cut, draws)[1]

    def collate(self, items: list[Tensor]) -> Seq:
        return pad(items, self.of.units.stream.hop)
