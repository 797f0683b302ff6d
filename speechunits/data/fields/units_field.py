"""UnitsField: stored codes of a cut."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

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

LOOKED_AT = 16  # cuts whose labels are looked at before training


@dataclass(frozen=True)
class UnitsField:
    """Codes stored under ``cut.custom[key]``: (T,), or (T, K) of several codebooks, int64; batches are Seq.

    Args:
        key: name in the cut's ``custom`` and in the manifest's ``.meta.json``.
        hop: what the labels must have, as "1/50"; None takes what the manifest says.
        vocab: likewise, codes per codebook.
        fingerprint: likewise, of the tokenizer that made them.
        aligned: labels and audio share a time line. False for units of another utterance (``target_units``): they are
            read whole.
        speed: what happens where the speed of a cut was changed after its labels were stored. "refuse": an error.
            "nearest": each frame takes the label whose frame lay nearest to it in the unchanged audio.
        stream: what the manifest says; ``bind`` sets it.
    """

    key: str = "units"
    hop: str | None = None
    vocab: tuple[int, ...] | None = None
    fingerprint: str | None = None
    aligned: bool = True
    speed: Literal["refuse", "nearest"] = "refuse"
    stream: Stream | None = None

    @property
    def grid(self) -> Fraction | None:
        return self.stream.hop if self.stream and self.aligned else None

    @property
    def whole(self) -> bool:
        return not self.aligned

    @property
    def warps(self) -> bool:
        return not self.aligned or self.speed == "nearest"

    def bind(self, cuts: Cuts) -> UnitsField:
        where = ", ".join(map(str, cuts.paths))
        found = cuts.streams.get(self.key)
        if found is None or not found.vocab:
            there = ", ".join(name for name, stream in cuts.streams.items() if stream.vocab) or "none"
            raise UserError(f"{where} has no stored codes {self.key} (it has {there}); extract units or correct `key`")
        asked = {
            "hop": (found.hop, self.hop and Fraction(self.hop)),
            "vocab": (found.vocab, self.vocab and tuple(self.vocab)),
            "fingerprint": (found.fingerprint, self.fingerprint),
        }
        for name, (have, want) in asked.items():
            if want is not None and want != have:
                raise UserError(
                    f"{where}: {name} of {self.key} is {have}, not {want}; extract again or correct `{name}`"
                )
        if self.aligned and found.hop is None:
            raise UserError(f"{where}: {self.key} have no hop, so they cannot follow the audio; set aligned: false")
        bound = replace(self, stream=found)
        if len(cuts) > 1:
            bound._refuse_constant(cuts, where)
        return bound

    def _refuse_constant(self, cuts: Cuts, where: str) -> None:
        """Constant labels train to a loss of 0, which looks like success (fairseq pull 4521: "costed me a month")."""
        rows = np.linspace(0, len(cuts) - 1, min(LOOKED_AT, len(cuts))).astype(int).tolist()
        codes = torch.cat([self.load(cuts[row]) for row in rows])
        if len(codes) > 1 and bool((codes == codes[0]).all()):
            raise UserError(f"{where}: all labels of {self.key} are {codes[0].tolist()}; extract the units again")

    def load(self, cut: Cut) -> Tensor:
        assert self.stream is not None, "bind the field to its cuts first"
        what = f"{self.key} of the cut {cut.id}"
        or_else = ", or set the field's speed: nearest"
        codes = StoredFrames(self.key, self.stream.hop, or_else=or_else, aligned=self.aligned, speed=self.speed).load(
            cut
        )
        sizes = self.stream.vocab
        if codes.shape[1:] not in [(len(sizes),), *([()] if len(sizes) == 1 else [])]:
            raise UserError(f"{what} have shape {codes.shape} but {len(sizes)} codebook(s); extract the units again")
        if codes.size and (codes.min() < 0 or (codes >= np.array(sizes if codes.ndim > 1 else sizes[0])).any()):
            raise UserError(
                f"{what} run from {codes.min()} to {codes.max()}, outside the manifest's vocabulary {sizes}; "
                "extract the units again"
            )
        return torch.from_numpy(codes.astype(np.int64))

    def collate(self, items: list[Tensor]) -> Seq:
        return pad(items, self.stream.hop if self.stream else None)
