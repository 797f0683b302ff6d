"""TextField: what is said."""

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
class TextField:
    """The text of a cut, as written in the manifest; batches are lists of B strings.

    Args:
        key: custom entry to read in place of the supervisions' text (``target_text``).
    """

    key: str | None = None

    stream: ClassVar[Stream | None] = None
    grid: ClassVar[Fraction | None] = None
    whole: ClassVar[bool] = True

    def bind(self, cuts: Cuts) -> TextField:
        return self

    def load(self, cut: Cut) -> str:
        if self.key is not None:
            text = (getattr(cut, "custom", None) or {}).get(self.key)
        else:
            said = [s.text for s in sorted(cut.supervisions, key=lambda s: s.start) if s.text is not None]
            text = " ".join(said) if said else None
        if not isinstance(text, str):
            raise UserError(f"the cut {cut.id} has no {self.key or 'text'}; add it to the manifest or drop this field")
        return text

    def collate(self, items: list[str]) -> list[str]:
        return items
