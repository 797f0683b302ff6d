"""Fit a text tokenizer: python -m recipes.fit_text conf/text/characters.yaml out=exp/text cuts=train.jsonl.gz

Reads every transcript of ``cuts``, as ``normaliser`` spells it (``conf/text/normalisation.yaml``), and saves ``out/text``. A
cut without one is an error now, not in the middle of a training; those without a word are counted and named.
"""

from __future__ import annotations

import logging
from typing import Any

from speechunits import store
from speechunits.config import build
from speechunits.data.cuts import open_cuts
from speechunits.data.fields.text_field import TextField
from speechunits.errors import some
from speechunits.part import Tree
from speechunits.recipe import log_to, main

log = logging.getLogger("speechunits.fit_text")


def fit_text(out: str, cuts: str | list[str], tokenizer: Tree, normaliser: Tree | None = None) -> dict[str, Any]:
    """Fit one tokenizer; see the module's text."""
    log_to(f"{out}/fit.log")
    corpus = open_cuts(cuts)
    field = TextField(normaliser=None if normaliser is None else build(normaliser, at="normaliser"))
    texts = {cut.id: field.text(cut) for cut in corpus}
    if empty := [name for name, text in texts.items() if not text.strip()]:
        log.warning("%d of %d transcripts are empty: %s", len(empty), len(texts), some(empty))
    made = build(tokenizer, at="tokenizer")(texts.values())
    (size,) = made.stream.vocab
    log.info("%d symbols from %d transcripts", size, len(corpus))
    return {"fingerprint": store.save(made, f"{out}/text", kind="text"), "symbols": size, "transcripts": len(corpus)}


if __name__ == "__main__":
    main(fit_text)
