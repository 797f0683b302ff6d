"""WER: how many words and characters of the reference a recogniser got wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from math import nan
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from speechunits.errors import UserError
from speechunits.metrics.bootstrap import ratio_intervals
from speechunits.metrics.edit_distance import edit_counts
from speechunits.metrics.utterance_rows import UtteranceRows, read_label, written_label

# Han and kana, which are written without spaces: each character counts as a word (the mixed error rate of Chinese ASR)
UNSPACED = "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
WORD = re.compile(f"[{UNSPACED}]|[^\\s{UNSPACED}]+")


class WER(UtteranceRows):
    """``wer`` and ``cer`` in percent, with ``insertions``, ``deletions``, ``substitutions`` (of words, in percent too) and
    ``ser``, the percentage of utterances with an error; of phones ``per`` in place of the first two.

    Edits of all utterances over words (characters, spaces included) of all references: a ratio of sums, so an empty
    reference counts what was inserted. Of alignments with equally few edits, one with the most words right.
    Reads ``outputs["text"]``, ``batch[reference]`` (both B strings), ``batch["ids"]`` and, where they are there, the B
    strings ``batch["speakers"]`` and ``batch["languages"]`` ("" = unknown).

    Args:
        reference: the field of transcripts.
        symbols: what stands between the spaces.
        normaliser: of both sides, called with a text and its language (``text.by_language``); None = as they are.
    """

    def __init__(
        self,
        reference: str = "transcript",
        symbols: Literal["words", "phones"] = "words",
        normaliser: Callable[[str, str | None], str] | None = None,
    ) -> None:
        super().__init__()
        self.reference, self.symbols, self.normaliser = reference, symbols, normaliser

    def spelled(self, text: str, language: str = "") -> str:
        """``text`` as it is compared."""
        return " ".join((self.normaliser(text, language or None) if self.normaliser else text).split())

    def words(self, text: str, language: str = "") -> list[str]:
        """What is counted, of a text as it came."""
        return (WORD.findall if self.symbols == "words" else str.split)(self.spelled(text, language))

    def update(self, outputs: Mapping[str, Any], batch: Mapping[str, Any]) -> None:
        """Take in one batch."""
        ids: Sequence[str] = self.need(batch, "ids")
        sides = self.need(batch, self.reference), self.need(outputs, "text")
        about = {name: batch.get(f"{name}s") or [""] * len(ids) for name in ("speaker", "language")}
        rows = {"words": _counts(*[list(map(self.words, side, about["language"])) for side in sides])}
        if self.symbols == "words":
            rows["characters"] = _counts(*[list(map(self.spelled, side, about["language"])) for side in sides])
        for i, key in enumerate(ids):
            labels = {name: written_label(found[i]) for name, found in about.items() if found[i]}
            self.put(key, **{name: row[i] for name, row in rows.items()}, **labels)

    def compute(self) -> dict[str, float]:
        """The results over everything seen; nan where no reference has a word.

        Raises:
            UserError: no utterance was seen.
        """
        return _figures(self.rows())

    def by(self, label: Literal["speaker", "language"]) -> dict[str, dict[str, float]]:
        """The results of each speaker or language, and how many ``utterances`` they are; nothing where one is unknown."""
        rows = self.rows()
        if not all(label in row for row in rows):
            return {}
        groups: dict[str, list[dict[str, Tensor]]] = {}
        for row in rows:
            groups.setdefault(read_label(row[label]), []).append(row)
        return {name: {"utterances": len(group), **_figures(group)} for name, group in sorted(groups.items())}

    def intervals(
        self,
        over: Literal["utterances", "speakers"] = "utterances",
        draws: int = 10_000,
        level: float = 0.95,
        seed: int = 0,
    ) -> dict[str, tuple[float, float]]:
        """Bootstrap confidence interval of each result (see ``metrics.bootstrap``); nan where it is undefined.

        Args:
            over: what is drawn with replacement. Utterances of one speaker are alike: with few speakers the interval over
                utterances is too narrow.
            draws: bootstrap replications.
            level: share of them within the interval.

        Raises:
            UserError: no utterance was seen, or the speaker of one is unknown.
        """
        rows = self.rows()
        if over == "speakers" and any("speaker" not in row for row in rows):
            raise UserError(
                "intervals over speakers need the speaker of every utterance; name them, or take utterances"
            )
        groups = [read_label(row["speaker"]) for row in rows] if over == "speakers" else range(len(rows))
        parts = {name: (100 * part, whole) for name, (part, whole) in _parts(rows).items()}
        return ratio_intervals(parts, np.array(groups), draws, level, seed)

    @property
    def empty(self) -> list[str]:
        """Ids of the utterances in whose reference there is no word."""
        return [key for key in sorted(self._rows) if not int(self._rows[key]["words"][3])]


def _parts(rows: Sequence[Mapping[str, Tensor]]) -> dict[str, tuple[Tensor, Tensor]]:
    """Result -> of each utterance what is counted and what it is a share of."""
    words = torch.stack([row["words"] for row in rows])
    edits, size = words[:, :3].sum(1), words[:, 3]
    if "characters" in rows[0]:
        characters = torch.stack([row["characters"] for row in rows])
        out = {"wer": (edits, size), "cer": (characters[:, :3].sum(1), characters[:, 3])}
    else:
        out = {"per": (edits, size)}
    kinds = {kind: (words[:, i], size) for i, kind in enumerate(("insertions", "deletions", "substitutions"))}
    return out | kinds | {"ser": ((edits > 0).long(), torch.ones_like(edits))}


def _figures(rows: Sequence[Mapping[str, Tensor]]) -> dict[str, float]:
    return {name: _percent(int(part.sum()), int(whole.sum())) for name, (part, whole) in _parts(rows).items()}


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
