"""CutField: the lhotse cut itself, for recipes that write manifests."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from lhotse.cut import Cut

from speechunits.stream import Stream

if TYPE_CHECKING:
    from speechunits.data.cuts import Cuts


@dataclass(frozen=True)
class CutField:
    """The cut as it was loaded, after transforms; batches are lists of B cuts."""

    stream: ClassVar[Stream | None] = None
    grid: ClassVar[Fraction | None] = None
    whole: ClassVar[bool] = False
    warps: ClassVar[bool] = True

    def bind(self, cuts: Cuts) -> CutField:
        return self

    def load(self, cut: Cut) -> Cut:
        return cut

    def collate(self, items: list[Cut]) -> list[Cut]:
        return items
