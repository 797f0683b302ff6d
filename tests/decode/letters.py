"""Language models of letters, made as a user makes them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from speechunits.decode.arpa import write_arpa
from speechunits.decode.ngram import NGram, read_ngram
from speechunits.decode.witten_bell import count_grams, witten_bell
from speechunits.text.characters import Characters


def letter_model(symbols: str, texts: Sequence[str], order: int) -> NGram:
    letters = Characters(symbols)
    ids = [[str(i) for i in letters.encode(text).tolist()] for text in texts]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lm.arpa"
        write_arpa(path, witten_bell(count_grams(ids, order), [str(i) for i in range(len(symbols))]))
        return read_ngram(path, letters)
