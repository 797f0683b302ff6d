"""UnitWriter: codes of cuts -> a new manifest that carries them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from lhotse.cut import Cut

from speechunits.data.array_writer import ArrayWriter, Useless
from speechunits.errors import UserError


class UnitWriter(ArrayWriter):
    """Integers (T,) or (T, K), see ``ArrayWriter``.

    Args:
        manifest: path of the new ``.jsonl.gz``.
        hop: seconds per code. vocab: codes per codebook. fingerprint: of the tokenizer.
        field: name under which the codes are stored.
        derived_from: fingerprints or names of what the tokenizer was made from.
        others: meta of fields that the cuts carry already (``read_meta`` of their manifest).

    Raises:
        UserError: on leaving: nothing was written, or all labels of more than one cut are one and the same.
    """

    kind, source = "codes", "tokenizer"

    def __init__(
        self,
        manifest: str | Path,
        hop: Fraction,
        vocab: Sequence[int],
        fingerprint: str,
        field: str = "units",
        derived_from: Sequence[str] = (),
        others: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.vocab = tuple(vocab)
        self.dtype = np.dtype(np.int16 if max(self.vocab) <= 1 << 15 else np.int32)
        about = {"vocab": list(self.vocab), "fingerprint": fingerprint}
        super().__init__(manifest, hop, about, field, derived_from, others)
        self._first: np.ndarray | None = None
        self._varied = False

    def checked(self, cut: Cut, array: np.ndarray) -> np.ndarray:
        if array.shape[1:] not in [(len(self.vocab),), *([()] if len(self.vocab) == 1 else [])]:
            raise UserError(f"codes of the cut {cut.id} have shape {array.shape} for {len(self.vocab)} codebook(s)")
        sizes = np.array(self.vocab if array.ndim > 1 else self.vocab[0])
        if array.size and (array.min() < 0 or (array >= sizes).any()):
            raise UserError(f"codes of the cut {cut.id} run from {array.min()} to {array.max()}, outside {self.vocab}")
        return array

    def look(self, raw: np.ndarray) -> None:
        codes = raw.reshape(-1, len(self.vocab))
        if self._first is None and len(codes):
            self._first = codes[0]
        self._varied |= bool((codes != self._first).any())

    def verify(self) -> None:
        if not self._varied:
            raise Useless(
                f"all labels for {self.path} are one and the same code; look at the tokenizer's codebook and its input"
            )
