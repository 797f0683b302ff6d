"""Text as a sequence of characters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from speechunits import store
from speechunits.config import build
from speechunits.errors import UserError
from speechunits.stream import Stream
from speechunits.text.unknown import unknown


class Characters(nn.Module):
    """Single characters, the space between words one of them; the id of a character is its place.

    A Module, though without weights, so that it is saved and restored as every artefact is. Its fingerprint is that of
    its folder, wherever it was built.

    Args:
        symbols: different single characters.

    Raises:
        ValueError: they are not.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        super().__init__()
        if not symbols or len(set(symbols)) < len(symbols) or any(len(s) != 1 for s in symbols):
            raise ValueError("symbols: needs different single characters, as fit_characters makes them")
        self.symbols = tuple(symbols)
        self.ids = {symbol: i for i, symbol in enumerate(self.symbols)}
        node = {"_target_": f"{Characters.__module__}.{Characters.__name__}", "symbols": list(symbols)}
        self.fingerprint = store.fingerprint(node, {})

    @property
    def stream(self) -> Stream:
        """What consumers must know; text has no hop."""
        return Stream(None, (len(self.symbols),), self.fingerprint)

    def encode(self, text: str) -> Tensor:
        """(N,) int64; white space of any length is one space.

        Raises:
            UserError: a character is not among the symbols.
        """
        text = " ".join(text.split())
        if strange := set(text) - self.ids.keys():
            raise unknown(strange, text, len(self.ids), self.fingerprint)
        return torch.tensor([self.ids[c] for c in text], dtype=torch.int64)

    def decode(self, ids: Tensor) -> str:
        """The text of (N,) ids."""
        return " ".join("".join(self.symbols[i] for i in ids.tolist()).split())


def fit_characters(texts: Iterable[str]) -> Characters:
    """The characters of ``texts``, sorted.

    Raises:
        UserError: there is no text.
    """
    found = {c for text in texts for c in " ".join(text.split())}
    if not found:
        raise UserError("no text to take characters from; give manifests with transcripts")
    made: Characters = build({"_target_": f"{Characters.__module__}.Characters", "symbols": sorted(found)})
    return made
