"""Compile a word graph: python -m recipes.compile_graph out=exp/words tokenizer=exp/text/text arpa=data/3-gram.arpa.gz

Joins the n-gram model ``arpa`` and the lexicon of its words to the folder ``out/graph``, through which ``decode.lattice``
finds words. ``tokenizer`` is the text tokenizer of the recogniser. Without ``lexicon`` (lines of a word and its symbols) words
are spelled by the tokenizer, and those that it cannot write are left out. ``between`` names the symbol that parts the words of
a lexicon file (``"<space>"``), or ``silence`` one that may.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

from speechunits.decode import graph
from speechunits.decode.backoff_model import MARKS, read_model
from speechunits.recipe import log_to, main
from speechunits.text.lexicon import read_lexicon, spell
from speechunits.text.text_tokenizer import text_tokenizer

log = logging.getLogger("speechunits.compile_graph")


def compile_graph(
    out: str,
    tokenizer: str,
    arpa: str,
    lexicon: str | None = None,
    between: str | None = None,
    silence: str | None = None,
) -> dict[str, Any]:
    """Compile one graph; see the module's text."""
    log_to(f"{out}/compile.log")
    text, model = text_tokenizer(tokenizer), read_model(arpa)
    known = [gram[0] for gram in model.grams if len(gram) == 1 and gram[0] not in MARKS]
    if lexicon is None:
        words, strange = spell(known, text)
        tell("%d of %d words of the language model cannot be written by the tokenizer: %s", strange, known)
    else:
        words = read_lexicon(lexicon, text.symbols, text.fingerprint, between, silence)
        tell("%d of %d words of the language model are not in the lexicon: %s", {*known} - words.words.keys(), known)
        tell(
            "%d of %d words of the lexicon are not in the language model: %s",
            words.words.keys() - {*known},
            words.words,
        )
    made = graph.compile_graph(words, model)
    facts = {"words": len(made.words), "states": made.fst.num_states, "order": model.order}
    log.info("%d words, %d states", facts["words"], facts["states"])
    return {"fingerprint": made.save(f"{out}/graph", **facts), **facts}


def tell(sentence: str, missing: Collection[str], of: Collection[str]) -> None:
    if missing:
        log.warning(sentence, len(missing), len(of), " ".join(sorted(missing)[:10]))


if __name__ == "__main__":
    main(compile_graph)
