"""Text as a sequence of words of a closed vocabulary, or of phones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from speechunits import store
from speechunits.config import build
from speechunits.errors import UserError
from speechunits.stream import Stream
from speechunits.text.unknown import unknown


class Words(nn.Module):
    """What stands between white space: digits, commands, phones; the id of a word is its place.

    A Module without weights, as ``Characters`` is.

    Args:
        symbols: different words, none empty or with white space in it.

    Raises:
        ValueError: they are not.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        super().__init__()
        if not symbols or len(set(symbols)) < len(symbols) or any(s.split() != [s] for s in symbols):
            raise ValueError("symbols: needs different words without white space, as fit_words makes them")
        self.symbols = tuple(symbols)
        self.ids = {symbol: i for i, symbol in enumerate(self.symbols)}
        node = {"_target_": f"{Words.__module__}.{Words.__name__}", "symbols": list(symbols)}
        self.fingerprint = store.fingerprint(node, {})

    @property
    def stream(self) -> Stream:
        """What consumers must know; text has no hop."""
        return Stream(None, (len(self.symbols),), self.fingerprint)

    def encode(self, text: str) -> Tensor:
        """(N,) int64, one id for each word.

        Raises:
            UserError: a word is not in the vocabulary.
        """
        words = text.split()
        if strange := set(words) - self.ids.keys():
            raise unknown(strange, text, len(self.ids), self.fingerprint)
        return torch.tensor([self.ids[word] for word in words], dtype=torch.int64)

    def decode(self, ids: Tensor) -> str:
        """The words of (N,) ids, a space between them."""
        return " ".join(self.symbols[i] for i in ids.tolist())


def fit_words(texts: Iterable[str]) -> Words:
    """The words of ``texts``, sorted.

    Raises:
        UserError: there is no text.
    """
    found = {word for text in texts for word in text.split()}
    if not found:
        raise UserError("no text to take words from; give manifests with transcripts")
    made: Words = build({"_target_": f"{Words.__module__}.{Words.__name__}", "symbols": sorted(found)})
    return made
