"""SpeakerField: who speaks."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from lhotse.cut import Cut

from speechunits.errors import UserError
from speechunits.stream import Stream

if TYPE_CHECKING:
    from speechunits.data.cuts import Cuts


@dataclass(frozen=True)
class SpeakerField:
    """The speaker of a cut's supervisions; batches are lists of B names."""

    stream: ClassVar[Stream | None] = None
    grid: ClassVar[Fraction | None] = None
    whole: ClassVar[bool] = False
    warps: ClassVar[bool] = True

    def bind(self, cuts: Cuts) -> SpeakerField:
        return self

    def load(self, cut: Cut) -> str:
        names = {s.speaker for s in cut.supervisions if s.speaker}
        if len(names) != 1:
            raise UserError(f"the cut {cut.id} has {len(names)} speakers, not one; trim it to its supervisions")
        return str(names.pop())

    def collate(self, items: list[str]) -> list[str]:
        return items
