"""WER: how many words and characters of the reference a recogniser got wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan
from typing import Any

import torch
from torch import Tensor

from speechunits.metrics.edit_distance import edit_counts
from speechunits.metrics.utterance_rows import UtteranceRows


class WER(UtteranceRows):
    """``wer`` and ``cer`` in percent, with ``insertions``, ``deletions``, ``substitutions`` (of words, in percent too).

    Edits of all utterances over words (characters, spaces included) of all references: a ratio of sums, so an empty
    reference counts what was inserted. Of alignments with equally few edits, one with the most words right.
    Reads ``outputs["text"]``, ``batch[reference]`` (both B strings) and ``batch["ids"]``.

    Args:
        reference: the field of transcripts.
    """

    def __init__(self, reference: str = "transcript") -> None:
        super().__init__()
        self.reference = reference

    def update(self, outputs: Mapping[str, Any], batch: Mapping[str, Any]) -> None:
        """Take in one batch."""
        said = [text.split() for text in self.need(batch, self.reference)]
        heard = [text.split() for text in self.need(outputs, "text")]
        words = _counts(said, heard)
        characters = _counts([" ".join(x) for x in said], [" ".join(x) for x in heard])
        for key, word, character in zip(self.need(batch, "ids"), words, characters, strict=True):
            self.put(key, words=word, characters=character)

    def compute(self) -> dict[str, float]:
        """The results over everything seen; nan where no reference has a word.

        Raises:
            UserError: no utterance was seen.
        """
        rows = self.rows()
        inserted, deleted, replaced, words = torch.stack([r["words"] for r in rows]).sum(0).tolist()
        *edits, characters = torch.stack([r["characters"] for r in rows]).sum(0).tolist()
        return {
            "wer": _percent(inserted + deleted + replaced, words),
            "cer": _percent(sum(edits), characters),
            "insertions": _percent(inserted, words),
            "deletions": _percent(deleted, words),
            "substitutions": _percent(replaced, words),
        }


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else nan


def _counts(left: Sequence[Sequence[str]], right: Sequence[Sequence[str]]) -> Tensor:
    """(B, 4) int64: insertions, deletions, substitutions, length of ``left``."""
    number: dict[str, int] = {}
    sides = [
        [torch.tensor([number.setdefault(s, len(number)) for s in item], dtype=torch.int64) for item in side]
        for side in (left, right)
    ]
    lengths = torch.tensor([len(item) for item in left], dtype=torch.int64)
    return torch.cat([edit_counts(*sides), lengths[:, None]], 1)
