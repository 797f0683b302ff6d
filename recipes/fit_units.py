"""Fit k-means and save a tokenizer: python -m recipes.fit_units out=exp/km100 features._target_=... cuts=train.jsonl.gz

One pass over the features fills a bounded reservoir (``fitter.reservoir`` frames), on which k-means runs in memory;
``fitter.extra_passes`` refine it on all frames. Features are never written to disk. An interrupted fit is continued.
Several processes (torchrun) share the passes and give the same centroids. Writes ``out/tokenizer``.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from speechunits import ranks, store
from speechunits.config import build
from speechunits.data.cuts import open_cuts
from speechunits.data.fields.audio_field import AudioField
from speechunits.part import Tree
from speechunits.quantizers.kmeans_fitter import KMeansFitter
from speechunits.recipe import log_to, main, usable_device
from speechunits.units.feature_pass import FeaturePass
from speechunits.units.features import build_features
from speechunits.units.tokenizer import UnitTokenizer

log = logging.getLogger("speechunits.fit_units")


def fit_units(
    out: str,
    features: Tree,
    cuts: str | list[str],
    fitter: Tree,
    max_seconds: float = 60.0,
    share: float = 1.0,
    num_workers: int = 0,
    device: str = "cpu",
) -> dict[str, Any]:
    """Fit one codebook; see the module's text."""
    log_to(f"{out}/fit.log")
    place = usable_device(device)
    ranks.join(place)
    source = build_features(features)
    corpus = open_cuts(cuts)
    batches = FeaturePass(
        corpus, {"audio": AudioField()}, max_seconds, share=share, num_workers=num_workers, device=place
    )
    fit: KMeansFitter = build(fitter, at="fitter")
    log.info("k-means: %d clusters, %d pass(es) over %.2f h", fit.size, fit.pass_budget, batches.seconds / 3600)
    origin = f"{batches.name} {store.identity(source)}"
    quantizer, figures = fit.fit(batches.features(source), folder=Path(out) / "fit", source=origin, device=place)
    tokenizer = UnitTokenizer.join(source.cpu(), quantizer)
    parents = [p for p in [getattr(source.source, "fingerprint", "")] if p]
    figures["audio_seconds"] = figures.pop("seconds")
    if ranks.first_process():
        figures["fingerprint"] = tokenizer.save(f"{out}/tokenizer", derived_from=parents)
    return figures


if __name__ == "__main__":
    main(fit_units)
