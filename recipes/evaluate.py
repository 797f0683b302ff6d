"""Measure units: python -m recipes.evaluate conf/evaluate.yaml out=exp/eval systems.mfcc.source._target_=... data.fit=...

For every system: read all candidates (layers, ways to join frames) in one pass, fit k-means of ``size`` clusters on
``fit_frames`` frames of ``data.fit`` with every seed, choose the candidate by mean PNMI on ``data.valid`` (other
speakers), and report all measures of that candidate on ``data.test``. ``abx_layers`` adds ABX of every candidate on
``data.valid``, of the first seed; ``analysis: {}`` adds CCA with phones and words, effective rank and CKA (arguments:
``units.layer_analysis``). Printed: every candidate's figures, and which one each measure would cluster. Rows go to
``out/results.json``.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean
from typing import Any

from speechunits.config import build
from speechunits.errors import UserError
from speechunits.part import Tree
from speechunits.provenance import provenance
from speechunits.recipe import log_to, main, usable_device
from speechunits.report.layer_table import as_text, by_candidate, decisions, layer_table
from speechunits.report.results import write_results
from speechunits.units.corpus import Corpus
from speechunits.units.evaluation import Evaluation
from speechunits.units.feature_bank import check_banks

ANALYSIS = "speechunits.units.layer_analysis.LayerAnalysis"


def evaluate(
    out: str,
    systems: dict[str, Any],
    data: dict[str, Any],
    symbols: str,
    size: int = 100,
    seeds: Sequence[int] = (0, 1, 2),
    hop: str = "1/50",
    fit_frames: int = 100_000,
    silence: Sequence[str] = ("sil",),
    abx_segments: Sequence[str] = ("triphone",),
    abx_layers: bool = False,
    analysis: Tree | None = None,
    noise_snr: float = 20.0,
    fitter: Tree | None = None,
    num_workers: int = 0,
    device: str = "cpu",
) -> dict[str, Any]:
    """Measure systems side by side; see the module's text."""
    log_to(f"{out}/evaluate.log")
    if missing := [name for name in ("fit", "valid", "test") if name not in data]:
        raise UserError(f"data: needs a manifest under each of fit, valid and test; {', '.join(missing)} is missing")
    check_banks(systems)
    layers = None if analysis is None else build({"_target_": ANALYSIS, **analysis}, at="analysis")
    place = usable_device(device)
    corpora = {name: Corpus(paths, symbols, hop, num_workers, place) for name, paths in data.items()}
    rows: list[dict[str, Any]] = []
    for system, node in systems.items():
        bank = build(node, at=f"systems.{system}")
        run = Evaluation(bank, size, fitter or {}, fit_frames, silence, abx_segments, noise_snr, layers)
        run.fit(corpora["fit"], seeds)
        valid = run.compare(corpora["valid"], abx_layers, system)
        best = max(valid, key=lambda name: mean(r["pnmi"] for seed, r in valid[name].items() if seed is not None))
        for candidate, by_seed in valid.items():
            for seed, figures in by_seed.items():
                about = {"system": system, "split": "valid", "candidate": candidate, **run.place(candidate)}
                about |= {} if seed is None else {"seed": seed, "size": size}
                rows += [{**about, "metric": k, "value": v} for k, v in figures.items()]
        for seed, figures in run.measure(best, corpora["test"]).items():
            about = {"system": system, "split": "test", "candidate": best, "seed": seed, "size": size}
            rows += [{**about, **run.place(best), "metric": k, "value": v} for k, v in figures.items()]
        test = [r["value"] for r in rows if r["system"] == system and r["split"] == "test" and r["metric"] == "pnmi"]
        print(f"{system}: {best} chosen on valid; test pnmi {mean(test):.4f} over {len(test)} seeds")
    for (system, candidate), (other, beside), value in [] if layers is None else layers.similarity():
        about = {"system": system, "split": "valid", "candidate": candidate}
        rows.append({**about, "other_system": other, "other_candidate": beside, "metric": "cka", "value": value})
    figures = by_candidate(rows, "valid")
    print(as_text(*layer_table(figures)), *decisions(figures), sep="\n")
    write_results(f"{out}/results.json", rows, provenance())
    return {"rows": len(rows)}


if __name__ == "__main__":
    main(evaluate)
