"""Fit subwords of units: python -m recipes.fit_unit_bpe conf/units/bpe.yaml out=exp/bpe cuts=units/train.jsonl.gz

Reads the stored units of ``cuts``, or of a ``share`` of them drawn evenly, shortened by ``units.steps``, and saves
``out/subwords``, which is one more step of ``ReducedUnitsField``. Returns tokens and bits per second with and without it.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from speechunits import store
from speechunits.config import build
from speechunits.data.cuts import open_cuts
from speechunits.data.fields import ReducedUnitsField
from speechunits.errors import UserError
from speechunits.metrics.bitrate import Bitrate
from speechunits.part import Tree
from speechunits.recipe import log_to, main
from speechunits.seq import pad

log = logging.getLogger("speechunits.fit_unit_bpe")

LOOKED_AT = 1000  # utterances that the rates are those of


def fit_unit_bpe(out: str, cuts: str | list[str], units: Tree, subwords: Tree, share: float = 1.0) -> dict[str, Any]:
    """Fit one subword model; see the module's text."""
    log_to(f"{out}/fit.log")
    if not 0 < share <= 1:
        raise UserError(f"share={share:g}: of the cuts, above 0 and at most 1")
    corpus = open_cuts(cuts)
    field = build(units, at="units")
    if not isinstance(field, ReducedUnitsField):
        raise UserError(f"units: must build speechunits.data.fields.ReducedUnitsField, not {type(field).__name__}")
    field = field.bind(corpus)
    assert field.stream is not None
    chosen = np.linspace(0, len(corpus) - 1, max(1, round(share * len(corpus)))).astype(int).tolist()
    log.info(
        "subwords of the %d units %s from %d utterances", field.stream.vocab[0], field.stream.fingerprint, len(chosen)
    )
    made = build(subwords, at="subwords")((field.load(corpus[row]) for row in chosen), stream=field.stream)
    rates = {"units": Bitrate(vocab=field.stream.vocab), "subwords": Bitrate(vocab=(made.size,))}
    for row in np.unique(np.linspace(0, len(corpus) - 1, LOOKED_AT).astype(int)).tolist():
        reduced = field.reduced(corpus[row])
        if not len(reduced[0]):  # too short for a unit, so it has no rate
            continue
        for kind, (ids, frames) in {"units": reduced, "subwords": made.shorten(*reduced)}.items():
            about = {"ids": [corpus.id(row)], "durations": pad([frames], field.units.stream.hop)}
            rates[kind].update({"units": pad([ids], None)}, about)
    figures = {kind: rate.compute() for kind, rate in rates.items()}
    name = store.save(made, f"{out}/subwords", kind="subwords", source=made.source)
    for kind, found in figures.items():
        log.info("%s: %.1f tokens/s, %.0f bits/s", kind, found["tokens_per_second"], found["bitrate"])
    return {"fingerprint": name, "size": made.size, "utterances": len(chosen), **figures}


if __name__ == "__main__":
    main(fit_unit_bpe)
