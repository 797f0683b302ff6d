"""List the speakers of a corpus: python -m recipes.list_names out=exp/speakers cuts=train.jsonl.gz

Saves ``out/names``, which a ``LabelTable`` takes as ``names: {_target_: speechunits.store.restore, folder: out/names}``.
``field`` lists another label, as ``field={_target_: speechunits.data.fields.LabelField, key: style}``.
"""

from __future__ import annotations

import logging
from typing import Any

from speechunits import store
from speechunits.config import build
from speechunits.data.cuts import open_cuts
from speechunits.data.fields import SpeakerField
from speechunits.errors import some
from speechunits.part import Tree
from speechunits.recipe import log_to, main
from speechunits.text.names import fit_names

log = logging.getLogger("speechunits.list_names")


def list_names(out: str, cuts: str | list[str], field: Tree | None = None) -> dict[str, Any]:
    """List the names of one field; see the module's text."""
    log_to(f"{out}/list.log")
    corpus = open_cuts(cuts)
    source = (SpeakerField() if field is None else build(field, at="field")).bind(corpus)
    made = fit_names(source.load(cut) for cut in corpus)
    log.info("%d names from %d cuts: %s", len(made.names), len(corpus), some(made.names, 10))
    return {"fingerprint": store.save(made, f"{out}/names", kind="names"), "names": len(made.names)}


if __name__ == "__main__":
    main(list_names)
