"""PhoneField: time-aligned symbols of the supervisions as frame labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from lhotse.cut import Cut
from torch import Tensor

from speechunits.data.symbol_table import read_symbols, symbols_fingerprint
from speechunits.errors import UserError
from speechunits.seq import Seq, pad
from speechunits.stream import Stream

if TYPE_CHECKING:
    from speechunits.data.cuts import Cuts


@dataclass(frozen=True)
class PhoneField:
    """Frame t is labelled with the symbol at the centre of its window [t*hop, t*hop + window]; -1 where there is none.

    (T,) int64, T = frames whose window lies inside the cut; batches are Seq (B, T). Times of alignments count from the
    beginning of the recording, as lhotse keeps them when a cut is truncated.

    Args:
        symbols: JSON list of symbols (``write_symbols``); the id of a symbol is its place.
        alignment: which alignment of the supervisions, "phone" or "word".
        hop: seconds per frame, as "1/50".
        window: seconds that one frame of the model sees, as "1/40" (25 ms: HuBERT's 400 samples, kaldi's MFCC).
    """

    symbols: str
    alignment: str = "phone"
    hop: str = "1/50"
    window: str = "1/40"
    stream: Stream | None = None
    ids: dict[str, int] | None = None

    whole: ClassVar[bool] = False
    warps: ClassVar[bool] = True

    @property
    def grid(self) -> Fraction:
        return Fraction(self.hop)

    def bind(self, cuts: Cuts) -> PhoneField:
        names = read_symbols(self.symbols)
        stream = Stream(Fraction(self.hop), (len(names),), symbols_fingerprint(names))
        return replace(self, stream=stream, ids={name: i for i, name in enumerate(names)})

    def load(self, cut: Cut) -> Tensor:
        assert self.ids is not None, "bind the field to its cuts first"
        hop, window = float(Fraction(self.hop)), float(Fraction(self.window))
        count = max(0, int(np.floor((cut.duration - window) / hop + 1e-6)) + 1)
        centres = cut.start + np.arange(count) * hop + window / 2
        labels = np.full(count, -1, np.int64)
        items = [item for s in cut.supervisions for item in (s.alignment or {}).get(self.alignment, ())]
        if not items:
            raise UserError(f"the cut {cut.id} has no {self.alignment} alignment; align the corpus or drop this field")
        for item in items:
            if item.symbol not in self.ids:
                raise UserError(
                    f"the {self.alignment} {item.symbol!r} of the cut {cut.id} is not in {self.symbols}; "
                    "write the symbols again, from all manifests"
                )
            labels[(centres >= item.start) & (centres < item.start + item.duration)] = self.ids[item.symbol]
        return torch.from_numpy(labels)

    def collate(self, items: list[Tensor]) -> Seq:
        return pad(items, Fraction(self.hop))
