"""FeaturesField: stored vectors of a cut."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from lhotse.cut import Cut
from torch import Tensor

from speechunits.data.stored_frames import StoredFrames
from speechunits.errors import UserError
from speechunits.seq import Seq, pad
from speechunits.stream import Stream

if TYPE_CHECKING:
    from speechunits.data.cuts import Cuts


@dataclass(frozen=True)
class FeaturesField:
    """Vectors stored under ``cut.custom[key]``: (T, D), or (T, L, D) of several layers, float32; batches are Seq.

    They share the audio's time line: crops start on their hop, and a change of speed made after they were stored is an error.

    Args:
        key: name in the cut's ``custom`` and in the manifest's ``.meta.json``.
        fingerprint: of the features that must have been stored; None takes what the manifest says.
        stream: what the manifest says; ``bind`` sets it.
    """

    key: str = "features"
    fingerprint: str | None = None
    stream: Stream | None = None

    whole: ClassVar[bool] = False
    warps: ClassVar[bool] = False
    timed: ClassVar[bool] = True  # there is a vector for each frame, not one for the cut
    holds: ClassVar[str] = "features"  # for errors

    @property
    def grid(self) -> Fraction | None:
        return self.stream.hop if self.stream else None

    def bind(self, cuts: Cuts) -> FeaturesField:
        where = ", ".join(map(str, cuts.paths))
        there = {n: s for n, s in cuts.streams.items() if s.shape and (s.hop is not None) == self.timed}
        if (found := there.get(self.key)) is None:
            raise UserError(
                f"{where} has no stored {self.holds} {self.key} (it has {', '.join(there) or 'none'}); extract {self.holds} "
                "or correct `key`"
            )
        if self.fingerprint not in (None, found.fingerprint):
            raise UserError(
                f"{where}: fingerprint of {self.key} is {found.fingerprint}, not {self.fingerprint}; extract again or correct "
                "`fingerprint`"
            )
        return replace(self, stream=found)

    def load(self, cut: Cut) -> Tensor:
        assert self.stream is not None, "bind the field to its cuts first"
        vectors = StoredFrames(self.key, self.stream.hop, "features", "vectors").load(cut)
        if vectors.shape[1:] != self.stream.shape:
            raise UserError(
                f"{self.key} of the cut {cut.id} have the shape {vectors.shape[1:]}, the manifest says {self.stream.shape}; "
                "extract the features again"
            )
        return torch.from_numpy(vectors.astype(np.float32))

    def collate(self, items: list[Tensor]) -> Seq:
        return pad(items, self.stream.hop if self.stream else None)
