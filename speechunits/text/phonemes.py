"""Text as a sequence of phones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from speechunits import store
from speechunits.config import build
from speechunits.errors import UserError
from speechunits.part import node_of
from speechunits.stream import Stream
from speechunits.text.unknown import unknown

Pronounce = Callable[[str], list[list[str]]]  # text -> words, each as its phones


class Phonemes(nn.Module):
    """What ``pronounce`` makes of a text, the space between words one of the symbols, and punctuation that is among ``marks``;
    the id of a symbol is its place.

    A Module without weights, as ``Characters`` is. Made by ``fit_phonemes``.

    Args:
        symbols: different phones, marks and the space.
        pronounce: of words (``text.espeak_phones``).
        marks: of punctuation that are kept, since speech rests there.

    Raises:
        ValueError: the symbols are not different.
    """

    def __init__(self, symbols: Sequence[str], pronounce: Pronounce, marks: str = "") -> None:
        super().__init__()
        if not symbols or len(set(symbols)) < len(symbols) or not all(symbols):
            raise ValueError("symbols: needs different phones, as fit_phonemes makes them")
        self.symbols, self.pronounce, self.marks = tuple(symbols), pronounce, marks
        self.ids = {symbol: i for i, symbol in enumerate(self.symbols)}
        node = {"_target_": f"{Phonemes.__module__}.{Phonemes.__name__}", "symbols": list(symbols), "marks": marks}
        self.fingerprint = store.fingerprint({**node, "pronounce": node_of(pronounce)}, {})

    @property
    def stream(self) -> Stream:
        """What consumers must know; text has no hop."""
        return Stream(None, (len(self.symbols),), self.fingerprint)

    def encode(self, text: str) -> Tensor:
        """(N,) int64.

        Raises:
            UserError: a phone is not among the symbols, or ``pronounce`` cannot say it.
        """
        said = spoken(text, self.pronounce, self.marks)
        if strange := set(said) - self.ids.keys():
            raise unknown(strange, text, len(self.ids), self.fingerprint)
        return torch.tensor([self.ids[symbol] for symbol in said], dtype=torch.int64)

    def decode(self, ids: Tensor) -> str:
        """The phones of (N,) ids, a space between words."""
        return "".join(self.symbols[i] for i in ids.tolist())


def spoken(text: str, pronounce: Pronounce, marks: str) -> list[str]:
    """The symbols of a text: phones, a space before each word but the first, marks behind the words that they follow."""
    out: list[str] = []
    for part in _parts(text, marks):
        if part in marks:
            out += [part] if out else []
            continue
        for phones in pronounce(part):
            out += [" ", *phones] if out else phones
    return out


def _parts(text: str, marks: str) -> list[str]:
    """What stands between marks, and the marks."""
    for mark in marks:
        text = text.replace(mark, f"\n{mark}\n")
    return [part for line in text.split("\n") if (part := line.strip())]


def fit_phonemes(texts: Iterable[str], pronounce: Pronounce, marks: str = ",.?!") -> Phonemes:
    """The phones of ``texts``, sorted.

    Args:
        pronounce, marks: see ``Phonemes``.

    Raises:
        UserError: there is no text.
    """
    found = {symbol for text in texts for symbol in spoken(text, pronounce, marks)}
    if not found:
        raise UserError("no text to take phones from; give manifests with transcripts")
    node = {"_target_": f"{Phonemes.__module__}.Phonemes", "symbols": sorted(found), "marks": marks}
    made: Phonemes = build({**node, "pronounce": node_of(pronounce)})
    return made
