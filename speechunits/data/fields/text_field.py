"""TextField: what is said."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from lhotse.cut import Cut
from torch import Tensor

from speechunits.draws import Draws
from speechunits.errors import UserError, some
from speechunits.seq import Seq, pad
from speechunits.stream import Stream

if TYPE_CHECKING:
    from speechunits.data.cuts import Cuts

log = logging.getLogger(__name__)
LOOKED_AT = 1000  # cuts whose text is encoded before training; a corpus of no more is seen whole


@dataclass(frozen=True)
class TextField:
    """The text of a cut, as written in the manifest; batches are lists of B strings, or with a tokenizer Seqs (B, L) of ids.

    Args:
        key: custom entry to read in place of the supervisions' text (``target_text``).
        tokenizer: of text (``text.characters``), usually restored from its folder; the stream carries its fingerprint.
        normaliser: of text, called with it and its language (``text.by_language``); None = text as it is written.
        sampling: strength by which ``tokenizer.resample`` draws other pieces in training (``text.subwords``); 0 = never.
    """

    key: str | None = None
    tokenizer: Any = None
    normaliser: Any = None
    sampling: float = 0.0

    grid: ClassVar[Fraction | None] = None
    whole: ClassVar[bool] = True
    warps: ClassVar[bool] = True

    @property
    def stream(self) -> Stream | None:
        return None if self.tokenizer is None else self.tokenizer.stream

    def __post_init__(self) -> None:
        if self.tokenizer is not None and not hasattr(self.tokenizer, "decode"):
            kind = type(self.tokenizer).__name__
            raise ValueError(f"tokenizer is a {kind}, which encodes no text: give what the recipe fit_text saved")
        if self.sampling and not hasattr(self.tokenizer, "resample"):
            kind = type(self.tokenizer).__name__
            raise ValueError(
                f"sampling: a {kind} has one way to write a text; leave it out, or fit a tokenizer of pieces"
            )

    def bind(self, cuts: Cuts) -> TextField:
        """With a tokenizer, transcripts are encoded before training begins; those that are empty are counted in the log.

        Raises:
            UserError: some cannot be encoded, or all are empty.
        """
        looked_at = 0 if self.tokenizer is None else min(len(cuts), LOOKED_AT)
        empty: list[str] = []
        bad: dict[str, UserError] = {}
        for row in np.linspace(0, len(cuts) - 1, looked_at).astype(int):
            cut = cuts[row]
            try:
                empty += [] if len(self.load(cut)) else [cut.id]
            except UserError as error:
                bad[cut.id] = error
        where = some(list(map(str, cuts.paths)))
        if bad:
            first = next(iter(bad.values()))
            raise UserError(
                f"{where}: {len(bad)} of {looked_at} transcripts cannot be encoded ({some([*bad])}): {first}"
            ) from first
        if empty and len(empty) == looked_at:
            raise UserError(f"{where}: all of {looked_at} transcripts are empty; give cuts with their text")
        if empty:
            log.warning("%s: %d of %d transcripts are empty: %s", where, len(empty), looked_at, some(empty))
        return self

    def text(self, cut: Cut) -> str:
        """What was said, as the normaliser spells it."""
        if self.key is not None:
            text = (getattr(cut, "custom", None) or {}).get(self.key)
            said = [(text, next((s.language for s in cut.supervisions if s.language), None))]
        else:
            said = [(s.text, s.language) for s in sorted(cut.supervisions, key=lambda s: s.start) if s.text is not None]
        if not said or not all(isinstance(text, str) for text, _ in said):
            raise UserError(f"the cut {cut.id} has no {self.key or 'text'}; add it to the manifest or drop this field")
        spell = self.normaliser or (lambda text, language: text)
        try:
            return " ".join(spell(text, language) for text, language in said)
        except UserError as error:
            raise UserError(f"the cut {cut.id}: {error}") from error

    def load(self, cut: Cut) -> str | Tensor:
        return self._encoded(cut, None)

    def draw(self, cut: Cut, draws: Draws) -> str | Tensor:
        """In training: other pieces in each epoch, where ``sampling`` is set. ``draws`` are those of this cut alone."""
        return self._encoded(cut, draws.generator(0, "pieces") if self.sampling else None)

    def _encoded(self, cut: Cut, generator: np.random.Generator | None) -> str | Tensor:
        text = self.text(cut)
        if self.tokenizer is None:
            return text
        try:
            if generator is not None:
                return self.tokenizer.resample(text, self.sampling, generator)
            return self.tokenizer.encode(text)
        except UserError as error:
            raise UserError(f"the cut {cut.id}: {error}") from error

    def collate(self, items: list[Any]) -> list[str] | Seq:
        return items if self.tokenizer is None else pad(items, None)
