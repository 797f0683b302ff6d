"""LabelField: a label of each cut."""

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
class LabelField:
    """What a cut's supervisions say under ``custom[key]``, as the style of expressive corpora; batches are lists of B names.

    Args:
        key: name in the supervisions' ``custom``.
    """

    key: str

    stream: ClassVar[Stream | None] = None
    grid: ClassVar[Fraction | None] = None
    whole: ClassVar[bool] = False
    warps: ClassVar[bool] = True

    def bind(self, cuts: Cuts) -> LabelField:
        return self

    def load(self, cut: Cut) -> str:
        found = {str(s.custom[self.key]) for s in cut.supervisions if s.custom and s.custom.get(self.key)}
        if len(found) != 1:
            raise UserError(
                f"the cut {cut.id} has {len(found)} labels custom.{self.key}, not one; write it into its supervision, or "
                "trim the cut to its supervisions"
            )
        return found.pop()

    def collate(self, items: list[str]) -> list[str]:
        return items
