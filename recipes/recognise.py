"""Write what was said, and score it: python -m recipes.recognise out=exp/wer systems.hubert=exp/asr/recogniser cuts.test=...

For every system, a folder of a recogniser or of an ASR, and every split: ``out/<system>-<split>.jsonl`` (``id``, ``said``,
``heard``, n-best where there are several), ``.alignments.txt``, ``.speakers.md`` and ``.languages.md``; and rows of
``out/results.json``: error rates in percent with their bootstrap confidence interval over ``resample`` (utterances, or the
speakers), tokens and bits for a second of speech, real-time factor, parameters in millions, seconds of the training.
``model.search`` (``conf/search/*.yaml``) replaces the search with which the recognisers were saved. A system that needs more
than its folder is ``systems.x={folder: ..., search: ..., fields: ..., cuts: {test: ...}}`` (``tasks.recognition.System``).
``normaliser`` (``conf/text/normalisation.yaml``) spells both sides before they are compared; ``symbols=phones`` scores phones;
``constant`` adds the error rate of the best constant output, which a system must leave behind that hears anything.
"""

from __future__ import annotations

import logging
from typing import Any, Literal

from speechunits import store
from speechunits.config import build
from speechunits.data.cuts import open_cuts
from speechunits.errors import UserError, some
from speechunits.metrics.best_constant import best_constant
from speechunits.metrics.wer import WER
from speechunits.part import Tree
from speechunits.provenance import provenance
from speechunits.recipe import MARK, log_to, main, usable_device
from speechunits.report.results import markdown_table, write_results
from speechunits.report.scores import score
from speechunits.tasks.recognition import Recognition, read_system

log = logging.getLogger("speechunits.recognise")


def recognise(
    out: str,
    systems: dict[str, Any],
    cuts: dict[str, Any] | None = None,
    normaliser: Tree | None = None,
    symbols: Literal["words", "phones"] = "words",
    resample: Literal["utterances", "speakers"] = "utterances",
    max_seconds: float = 60.0,
    num_workers: int = 0,
    device: str = "cpu",
    constant: bool = False,
    model: Tree | None = None,
) -> dict[str, Any]:
    """Recognise every split with every system; see the module's text."""
    log_to(f"{out}/recognise.log")
    place = usable_device(device)
    spell = None if normaliser is None else build(normaliser, at="normaliser")
    known = {name: read_system(f"systems.{name}", node) for name, node in systems.items()}
    splits = {name: {**(cuts or {}), **(system.cuts or {})} for name, system in known.items()}
    if without := [name for name, found in splits.items() if not found]:
        raise UserError(f"cuts: there is no split for {some(without)}; give cuts.test=... or systems.{without[0]}.cuts")
    if model is not None and model.keys() != {"search"}:
        raise UserError(f"model: {', '.join(model)}: of a finished recogniser only model.search can be replaced")
    models = {name: system.restore(place, (model or {}).get("search")) for name, system in known.items()}
    runs: dict[tuple[str, str], Recognition] = {}  # all are opened before the first one runs
    for name, recogniser in models.items():
        for split, paths in splits[name].items():
            corpus = open_cuts(paths)
            fields = known[name].batch_fields(recogniser, corpus)
            runs[name, split] = Recognition(recogniser, corpus, fields, max_seconds, num_workers, place)
    rows: list[dict[str, Any]] = []
    references: dict[str, list[list[str]]] = {}
    for (name, split), run in runs.items():
        about, measure = {"system": name, "split": split}, WER(symbols=symbols, normaliser=spell)
        readings = run.read()
        if strange := run.unwritable(readings, measure.spelled):
            log.warning(
                "%s on %s: %d of %d references have symbols that it cannot write: %s",
                *(name, split, len(strange), len(readings), some(strange)),
            )
        references[split] = [measure.words(reading.said, reading.language) for reading in readings]
        rows += score(readings, measure, about, out, resample)
        mark = known[name].trained_in / MARK
        costs = run.figures() | {"parameters": sum(p.numel() for p in models[name].parameters()) / 1e6}
        costs |= {"train_seconds": store.read_json(mark)["seconds"]} if mark.is_file() else {}
        rows += [{**about, "metric": metric, "value": value} for metric, value in costs.items()]
    for split, said in references.items() if constant else ():
        if not any(said):
            log.warning("%s: no reference has a word, so no constant output is the best", split)
            continue
        words, rate = best_constant(said)
        log.info("%s: the best constant output is '%s'", split, " ".join(words))
        metric = "wer" if symbols == "words" else "per"
        rows.append({"system": "constant", "split": split, "metric": metric, "value": rate})
    write_results(f"{out}/results.json", rows, provenance())
    for split in dict.fromkeys(split for _, split in runs):
        print(f"{split}:\n{markdown_table({'rows': rows}, split=split)}", end="")
    return {"rows": len(rows)}


if __name__ == "__main__":
    main(recognise)
