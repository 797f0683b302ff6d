"""Linear probe on frozen features: python -m recipes.probe SYSTEMS.yaml out=exp/probe cuts=a.jsonl.gz folds=[[ann,bo],[cy,di]]

For every system (a FeatureBank; or a list, one for each seed), test fold and pool: logistic regression on pooled
frames learns ``supervision.text`` from the speakers outside the fold. Which candidate (layer) and which strength is
chosen by ``inner``-fold cross-validation over the training speakers, never on the fold. Features are computed once and
kept in ``out/features``. A seed stands for the deal of the inner folds, and for the system's own weights if it is a list.
Rows go to ``out/results.json``: "fold" each fold's accuracy, "test" their mean, "valid" the accuracies chosen by.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from speechunits import store
from speechunits.config import build
from speechunits.data.cuts import open_cuts
from speechunits.data.fields.audio_field import AudioField
from speechunits.data.fields.speaker_field import SpeakerField
from speechunits.data.fields.text_field import TextField
from speechunits.encoders.hidden import layer_of
from speechunits.errors import UserError
from speechunits.provenance import provenance
from speechunits.recipe import log_to, main, usable_device
from speechunits.report.results import markdown_table, write_results
from speechunits.tasks.linear_probe import LinearProbe
from speechunits.tasks.pooling import pool
from speechunits.tasks.probe_choice import choose, speaker_parts
from speechunits.units.feature_bank import FeatureBank, check_banks
from speechunits.units.feature_pass import FeaturePass

log = logging.getLogger("speechunits.probe")


def pooled(bank: FeatureBank, batches: FeaturePass, pools: Sequence[str], folder: Path) -> dict[str, dict[str, Tensor]]:
    """Pool -> candidate -> (N, D) vectors in the order of the cuts: from ``folder``, or computed and kept there."""
    kept = folder / f"{store.identity(bank.source)}-{batches.name}.safetensors"
    wanted = [f"{how} {name}" for how in pools for name in bank.candidates]
    found = load_file(kept) if kept.is_file() else {}
    if not set(wanted) <= set(found):
        rows: dict[str, dict[str, Tensor]] = {key: {} for key in wanted}
        bank.source.to(batches.device)
        for _, batch in batches():
            for name, frames in bank.look(batch["audio"]).items():
                for how in pools:
                    rows[f"{how} {name}"] |= dict(zip(batch["ids"], pool(frames, how).cpu(), strict=True))
        if batches.bad or len(rows[wanted[0]]) < len(batches.cuts):
            why = "; ".join(f"{i}: {reason}" for i, reason in list(batches.bad.items())[:3]) or "shorter than 0.05 s"
            raise UserError(f"{len(batches.cuts) - len(rows[wanted[0]])} cuts cannot be probed ({why}); leave them out")
        found = {key: torch.stack([vectors[i] for i in batches.cuts.ids]) for key, vectors in rows.items()}
        with store.writing(kept) as aside:
            save_file(found, aside)
    return {how: {name: found[f"{how} {name}"] for name in bank.candidates} for how in pools}


def probe(
    out: str,
    systems: dict[str, Any],
    cuts: str | list[str],
    folds: list[list[str]],
    pools: Sequence[str] = ("mean", "mean+std"),
    seeds: Sequence[int] = (0, 1, 2),
    strengths: Sequence[float] = (1.0, 0.1, 0.01, 0.001),
    inner: int = 2,
    metric: str = "accuracy",
    max_seconds: float = 200.0,
    num_workers: int = 0,
    device: str = "cpu",
) -> dict[str, Any]:
    """Probe systems side by side; see the module's text."""
    log_to(f"{out}/probe.log")
    check_banks(systems, len(seeds))
    place = usable_device(device)
    batches = FeaturePass(open_cuts(cuts), {"audio": AudioField()}, max_seconds, num_workers=num_workers, device=place)
    said = [(TextField().load(cut), SpeakerField().load(cut)) for cut in batches.cuts]
    texts, speakers = [text for text, _ in said], [speaker for _, speaker in said]
    symbols = sorted(set(texts))
    labels = torch.tensor([symbols.index(text) for text in texts])
    tested = [name for fold in folds for name in fold]
    if strange := set(tested) - set(speakers):
        raise UserError(f"folds: {', '.join(sorted(strange))} not in {cuts}; it has {', '.join(sorted(set(speakers)))}")
    if len(tested) != len(set(tested)):
        raise UserError(f"folds: {folds} test a speaker twice; name each speaker in one fold")
    if not folds or min(len(set(speakers) - set(fold)) for fold in folds) < 2:
        raise UserError(f"folds: {folds}: give at least one, and leave at least two speakers out of each to learn from")
    rows: list[dict[str, Any]] = []
    for system, node in systems.items():
        for i, seed in enumerate(seeds):
            if i == 0 or isinstance(node, list):
                bank = build(node[i] if isinstance(node, list) else node, at=f"systems.{system}")
                vectors = pooled(bank, batches, pools, Path(out) / "features")
            for how in pools:
                about = {"system": system, "metric": metric, "pool": how, "seed": seed}
                rows += fold_rows(vectors[how], labels, speakers, folds, strengths, inner, about)
    write_results(f"{out}/results.json", rows, provenance())
    print(markdown_table({"rows": rows}), end="")
    return {"rows": len(rows)}


def layer(candidate: str) -> dict[str, Any]:
    """``{"layer": 3}`` for "layer:3", the name itself for another place."""
    number = layer_of(candidate)
    return {"candidate": candidate} if number is None else {"layer": number}


def fold_rows(
    vectors: dict[str, Tensor],
    labels: Tensor,
    speakers: list[str],
    folds: list[list[str]],
    strengths: Sequence[float],
    inner: int,
    about: dict[str, Any],
) -> list[dict[str, Any]]:
    """Choose, fit and test on every fold; ``about`` begins each row."""
    rows: list[dict[str, Any]] = []
    classes = int(labels.max()) + 1
    for number, fold in enumerate(folds):
        test = torch.tensor([name in fold for name in speakers])
        rest = [name for name in speakers if name not in fold]
        parts = speaker_parts(rest, inner, about["seed"])
        training = {name: x[~test] for name, x in vectors.items()}
        choice = choose(training, labels[~test], rest, classes, strengths, parts)
        x = vectors[choice.candidate]
        fitted = LinearProbe(x.size(1), classes, choice.l2).fit(x[~test], labels[~test])
        place = {"fold": number, "speakers": "+".join(fold)}
        best = {**layer(choice.candidate), "l2": choice.l2, "utterances": int(test.sum())}
        score = {"split": "fold", "value": fitted.accuracy(x[test], labels[test])}
        rows.append({**about, **place, **best, **score})
        rows += [
            {**about, **place, "split": "valid", **layer(name), "l2": l2, "value": value}
            for (name, l2), value in choice.accuracies.items()
        ]
        log.info("%s", ", ".join(f"{k} {v}" for k, v in {**about, **place, **best, **score}.items()))
    mean = fmean(row["value"] for row in rows if row["split"] == "fold")
    return [{**about, "split": "test", "value": mean}, *rows]


if __name__ == "__main__":
    main(probe)
