"""Fit an n-gram language model: python -m recipes.fit_ngram out=exp/lm cuts=train.jsonl.gz order=6 tokenizer=exp/text/text

Counts the transcripts of ``cuts`` in symbols of a text tokenizer, whose ids stand in ``out/lm.arpa`` as numbers, and saves
``out/ngram``, which searches take (``conf/search/ngram.yaml``). Without ``tokenizer`` it counts words, for word graphs, and
writes the ARPA file alone. With ``arpa=lm.arpa`` in place of ``cuts``, a file of ids that KenLM or SRILM wrote becomes
``out/ngram``. ``valid`` is a manifest whose perplexity per symbol (word) is measured, ends of texts included.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

from speechunits import store
from speechunits.data.cuts import open_cuts
from speechunits.data.fields.text_field import TextField
from speechunits.decode.arpa import UNKNOWN, write_arpa
from speechunits.decode.backoff_model import read_model
from speechunits.decode.ngram import read_ngram
from speechunits.decode.perplexity import perplexity
from speechunits.decode.witten_bell import count_grams, witten_bell
from speechunits.errors import UserError
from speechunits.recipe import log_to, main
from speechunits.text.text_tokenizer import text_tokenizer

log = logging.getLogger("speechunits.fit_ngram")


def sentences(cuts: str | list[str], text: Any) -> list[list[str]]:
    """Each transcript as ids of the tokenizer, or as words."""
    load = TextField(tokenizer=text).load
    said = (load(cut) for cut in open_cuts(cuts))
    return [each.split() if isinstance(each, str) else [str(i) for i in each.tolist()] for each in said]


def fit_ngram(
    out: str,
    cuts: str | list[str] | None = None,
    order: int | None = None,
    tokenizer: str | None = None,
    arpa: str | None = None,
    valid: str | list[str] | None = None,
) -> dict[str, Any]:
    """Fit one model; see the module's text."""
    if (cuts is None) == (arpa is None) or (cuts is not None and (order is None or order < 1)):
        raise UserError("cuts: give manifests and order=1 or more, or arpa= with a file that is there already")
    if arpa is not None and tokenizer is None:
        raise UserError("tokenizer: give the folder of the text tokenizer whose ids the ARPA file has")
    log_to(f"{out}/fit.log")
    text, figures = None if tokenizer is None else text_tokenizer(tokenizer), {}
    if cuts is not None:
        counted = sentences(cuts, text)
        known = [str(i) for i in range(text.stream.vocab[0])] if text else [*{w for s in counted for w in s}, UNKNOWN]
        about = f"speechunits fit_ngram: {f'ids of text tokenizer {text.fingerprint}' if text else 'words'}"
        arpa = f"{out}/lm.arpa"
        write_arpa(arpa, witten_bell(count_grams(counted, order), known), about)
        figures["transcripts"] = len(counted)
    model = read_model(arpa)
    figures |= {f"{n}-grams": count for n, count in sorted(Counter(map(len, model.grams)).items())}
    if valid is not None:
        figures["perplexity"] = perplexity(model, sentences(valid, text))
    if text is not None:
        made = read_ngram(arpa, text)
        figures["fingerprint"] = store.save(made, f"{out}/ngram", kind="ngram", derived_from=[text.fingerprint])
    log.info("%s", ", ".join(f"{name} {value}" for name, value in figures.items()))
    return figures


if __name__ == "__main__":
    main(fit_ngram)
