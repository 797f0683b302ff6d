"""Examples: the utterances that a report looks at, and what tokenizers make of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from speechunits.data.cuts import Cuts, open_cuts
from speechunits.data.field import BadAudio
from speechunits.data.fields.audio_field import AudioField
from speechunits.data.fields.phone_field import PhoneField
from speechunits.data.symbol_table import write_symbols
from speechunits.errors import UserError
from speechunits.report.tiers import Piece
from speechunits.units.tokenizer import UnitTokenizer


@dataclass(frozen=True)
class Utterance:
    """One utterance to look at and listen to: samples (S,) in [-1, 1]; phones may be empty."""

    name: str
    text: str
    samples: np.ndarray
    rate: int
    phones: list[Piece]


@dataclass(frozen=True)
class Counts:
    """What a tokenizer makes of many utterances, its first codebook.

    Args:
        joint: (P, V) frames with phone p and code v; (0, V) where the cuts have no phones.
        codes: (V,) frames with code v.
        utterances: that were read.
    """

    joint: np.ndarray
    codes: np.ndarray
    utterances: int


class Examples:
    """Cuts of a test set.

    Args:
        cuts: a manifest, ``.jsonl.gz`` or a Shar folder.
        count: utterances to show and play, spread evenly over those that are short enough.
        max_seconds: longest one to show.
        utterances: at most so many, spread evenly, are encoded for heat maps and codebook usage.
        alignment: of the supervisions, which gives the phones.
        rate: Hz of the tokenizers' audio.
    """

    def __init__(
        self,
        cuts: str,
        count: int = 3,
        max_seconds: float = 8.0,
        utterances: int = 200,
        alignment: str = "phone",
        rate: int = 16000,
    ) -> None:
        self.cuts: Cuts = open_cuts(cuts)
        self.count, self.max_seconds, self.utterances, self.alignment = count, max_seconds, utterances, alignment
        self.audio = AudioField(rate=rate).bind(self.cuts)

    @property
    def rows(self) -> list[int]:
        """The cuts to encode, by number."""
        return _spread(np.arange(len(self.cuts)), self.utterances)

    def shown(self) -> list[Utterance]:
        """The utterances to show.

        Raises:
            UserError: none is short enough.
        """
        short = np.flatnonzero(self.cuts.seconds <= self.max_seconds)
        if self.count and not len(short):
            raise UserError(
                f"examples: the shortest cut of {', '.join(map(str, self.cuts.paths))} has {self.cuts.seconds.min():.1f} s; "
                f"raise examples.max_seconds (now {self.max_seconds:g})"
            )
        found = []
        for row in _spread(short, self.count):
            cut = self.cuts[row]
            said = " ".join(s.text for s in cut.supervisions if s.text)
            found.append(Utterance(cut.id, said, self._samples(cut), self.audio.rate, self._phones(cut)))
        return found

    def phones(self) -> list[str]:
        """Names of the phones in the cuts to encode, sorted; empty where none is aligned."""
        return sorted({piece.label for row in self.rows for piece in self._phones(self.cuts[row])})

    def count_codes(self, tokenizer: UnitTokenizer, symbols: str | Path) -> Counts:
        """Encode the utterances and count; audio that cannot be read is left out.

        Args:
            symbols: file for the table of phones; written here.
        """
        names, vocab = self.phones(), tokenizer.vocab[0]
        joint, codes, read = np.zeros((len(names), vocab), np.int64), np.zeros(vocab, np.int64), 0
        field = None
        if names:
            write_symbols(symbols, names)
            field = PhoneField(str(symbols), self.alignment, str(tokenizer.hop)).bind(self.cuts)
        for row in self.rows:
            cut = self.cuts[row]
            try:
                found = self.encode(tokenizer, self.audio.load(cut))[:, 0]
            except BadAudio:
                continue
            read += 1
            codes += np.bincount(found, minlength=vocab)
            if field is not None and self._phones(cut):
                labels = field.load(cut).numpy()[: len(found)]
                there = labels >= 0
                np.add.at(joint, (labels[there], found[: len(labels)][there]), 1)
        return Counts(joint, codes, read)

    def encode(self, tokenizer: UnitTokenizer, samples: torch.Tensor) -> np.ndarray:
        """Samples (S,) -> codes (T, K), nothing merged."""
        return tokenizer.codes(self.audio.collate([samples])).data[0].cpu().numpy()  # type: ignore[no-any-return]

    def _phones(self, cut: Any) -> list[Piece]:
        items = [i for s in cut.supervisions for i in (s.alignment or {}).get(self.alignment, ())]
        return [Piece(i.symbol, i.start, i.start + i.duration) for i in items]

    def _samples(self, cut: Any) -> np.ndarray:
        try:
            return self.audio.load(cut).numpy()
        except BadAudio as error:
            raise UserError(
                f"examples: the audio of {cut.id} cannot be read ({error}); mend or drop the cut"
            ) from error


def _spread(of: np.ndarray, count: int) -> list[int]:
    """At most ``count`` of the numbers, evenly spread, each once."""
    if len(of) <= count:
        return of.tolist()  # type: ignore[no-any-return]
    return of[((np.arange(count) + 0.5) * len(of) / count).astype(np.int64)].tolist()  # type: ignore[no-any-return]
