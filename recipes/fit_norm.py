"""Measure mean and variance of features over a corpus (global CMVN): python -m recipes.fit_norm out=exp/cmvn
features._target_=speechunits.units.features.Features features.source._target_=speechunits.frontends.log_mel.LogMel
features.source.normalize=none cuts=train.jsonl.gz

Writes ``out/norm``, which an input takes as ``norm: {_target_: speechunits.store.restore, folder: exp/cmvn/norm}``.
"""

from __future__ import annotations

from typing import Any

from speechunits import ranks, store
from speechunits.data.cuts import open_cuts
from speechunits.data.fields.audio_field import AudioField
from speechunits.nn.global_norm import fit_norm as measure
from speechunits.part import Tree
from speechunits.recipe import log_to, main, usable_device
from speechunits.units.feature_pass import FeaturePass
from speechunits.units.features import build_features


def fit_norm(
    out: str,
    features: Tree,
    cuts: str | list[str],
    max_seconds: float = 60.0,
    share: float = 1.0,
    num_workers: int = 0,
    device: str = "cpu",
) -> dict[str, Any]:
    """Fit one normalisation; see the module's text."""
    log_to(f"{out}/fit.log")
    place = usable_device(device)
    ranks.join(place)
    if not ranks.first_process():  # one pass over a part of the corpus is enough: nothing to share
        return {}
    source = build_features(features)
    batches = FeaturePass(
        open_cuts(cuts), {"audio": AudioField()}, max_seconds, 0.05, share, num_workers, place, rank=0, ranks=1
    )
    norm = measure(vectors for _, _, vectors in batches.features(source)())
    parent = getattr(source.source, "fingerprint", None)
    name = store.save(norm, f"{out}/norm", derived_from=[parent] if parent else [], kind="norm")
    return {"fingerprint": name, "audio_seconds": round(batches.seconds, 1)}


if __name__ == "__main__":
    main(fit_norm)
