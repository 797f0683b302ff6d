"""Score text of any origin: python -m recipes.score out=exp/score reference=test.jsonl.gz hypotheses.theirs=hyp.txt

``reference`` and each of ``hypotheses`` are a manifest of cuts, JSON lines (``id`` and ``text``, ``said`` or ``heard``),
sclite's ``.trn`` or Kaldi's ``text``. Files and rows are those of the recipe recognise, and so are ``normaliser``,
``symbols`` and ``resample``. Speakers and languages are the reference's, where it names them.
"""

from __future__ import annotations

from typing import Any, Literal

from speechunits.config import build
from speechunits.data.transcripts import read_transcripts
from speechunits.metrics.reading import pair
from speechunits.metrics.wer import WER
from speechunits.part import Tree
from speechunits.provenance import provenance
from speechunits.recipe import log_to, main
from speechunits.report.results import markdown_table, write_results
from speechunits.report.scores import score as scored


def score(
    out: str,
    reference: str,
    hypotheses: dict[str, str],
    split: str = "test",
    normaliser: Tree | None = None,
    symbols: Literal["words", "phones"] = "words",
    resample: Literal["utterances", "speakers"] = "utterances",
) -> dict[str, Any]:
    """Score every system's text; see the module's text."""
    log_to(f"{out}/score.log")
    spell = None if normaliser is None else build(normaliser, at="normaliser")
    said = read_transcripts(reference, ("said", "text"))
    heard = {name: read_transcripts(path, ("heard", "text")) for name, path in hypotheses.items()}
    paired = {name: pair(said, found, (reference, hypotheses[name])) for name, found in heard.items()}
    rows: list[dict[str, Any]] = []
    for name, readings in paired.items():
        measure = WER(symbols=symbols, normaliser=spell)
        rows += scored(readings, measure, {"system": name, "split": split}, out, resample)
    write_results(f"{out}/results.json", rows, provenance())
    print(markdown_table({"rows": rows}, split=split), end="")
    return {"rows": len(rows)}


if __name__ == "__main__":
    main(score)
