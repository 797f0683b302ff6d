"""Label speech by a recogniser: python -m recipes.pseudo_label out=exp/pseudo recogniser=exp/asr/asr cuts=unlabelled.jsonl.gz

``out/cuts.jsonl.gz``: the cuts of whose text the recogniser is sure, with that text in place of theirs, their ids, stored units
and features, and ``custom["confidence"]``, the mean over the symbols. Cuts need no transcripts. ``min_confidence``, ``keep``
(share of the rest, the most confident first) and ``min_words`` choose; ``out/left_out.json`` has the reason for each of the
others, the mark their numbers. ``recogniser`` is a folder or ``{folder: ..., search: ..., fields: ...}``
(``tasks.recognition.System``), ``model.search`` (``conf/search/*.yaml``) another search. Train on both by
``data.train={real: ..., pseudo: out/cuts.jsonl.gz}`` and ``data.mixture``.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

from speechunits import store
from speechunits.data.cuts import open_cuts
from speechunits.data.relabelled import write_relabelled
from speechunits.errors import UserError
from speechunits.part import Tree
from speechunits.recipe import log_to, main, usable_device
from speechunits.tasks.confidence_filter import ConfidenceFilter
from speechunits.tasks.recognition import Recognition, read_system

log = logging.getLogger("speechunits.pseudo_label")


def pseudo_label(
    out: str,
    recogniser: str | dict[str, Any],
    cuts: str | list[str],
    min_confidence: float = 0.0,
    keep: float = 1.0,
    min_words: int = 1,
    max_seconds: float = 60.0,
    num_workers: int = 0,
    device: str = "cpu",
    model: Tree | None = None,
) -> dict[str, Any]:
    """Label the cuts; see the module's text."""
    log_to(f"{out}/label.log")
    place = usable_device(device)
    choose = ConfidenceFilter(min_confidence, keep, min_words)
    if model is not None and model.keys() != {"search"}:
        raise UserError(f"model: {', '.join(model)}: of a finished recogniser only model.search can be replaced")
    system, corpus = read_system("recogniser", recogniser), open_cuts(cuts)
    labeller = system.restore(place, (model or {}).get("search"))
    fields = system.batch_fields(labeller, corpus)
    run = Recognition(labeller, corpus, fields, max_seconds, num_workers, place, transcribed=False)
    kept, left_out = choose(run.read_some())
    left_out |= dict.fromkeys(run.batches.bad, "unreadable")
    for name, why in run.batches.bad.items():
        log.warning("%s cannot be read and is left out: %s", name, why)
    reasons = dict(sorted(Counter(left_out.values()).items()))
    log.info("%d of %d cuts are labelled; left out: %s", len(kept), len(corpus), reasons or "none")
    if not kept:
        raise UserError(f"no cut is left of {len(corpus)} ({reasons}); lower min_confidence or min_words")
    store.write_json(f"{out}/left_out.json", {"reasons": reasons, "cuts": dict(sorted(left_out.items()))})
    write_relabelled(f"{out}/cuts.jsonl.gz", corpus, kept)
    hours = round(sum(float(corpus.seconds[corpus.row(name)]) for name in kept) / 3600, 4)
    confidence = round(sum(sure for _, sure in kept.values()) / len(kept), 4)
    return {"cuts": len(corpus), "kept": len(kept), "hours": hours, "confidence": confidence, "left_out": reasons}


if __name__ == "__main__":
    main(pseudo_label)
