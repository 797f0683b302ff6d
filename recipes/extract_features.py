"""Write features beside the audio: python -m recipes.extract_features features/layer.yaml out=exp/layer9
features.source.folder=exp/hubert/encoder features.read=layer:9 cuts.train=train.jsonl.gz

For each named manifest ``out/<name>.jsonl.gz``: the same cuts with the vectors of one layer (``Features``), or of several
(``LayerFeatures``), in float16 as a lhotse TemporalArray under ``custom[field]``, and ``.meta.json`` with hop, shape and
fingerprint. ``out/features`` is what made them, for ``speechunits transcribe --features``. Everything else is as in
``recipes.extract_units``; while parts are joined, twice the space is needed.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from speechunits import ranks, store
from speechunits.data.feature_writer import FeatureWriter
from speechunits.part import Tree
from speechunits.recipe import log_to, main, usable_device
from speechunits.units.extraction import extract
from speechunits.units.features import build_features


def extract_features(
    out: str,
    features: Tree,
    cuts: dict[str, Any],
    field: str = "features",
    max_seconds: float = 60.0,
    num_workers: int = 0,
    device: str = "cpu",
) -> dict[str, Any]:
    """Extract the features of all manifests; see the module's text."""
    log_to(f"{out}/extract.log")
    place = usable_device(device)
    ranks.join(place)
    made = build_features(features).eval()
    encoder, name = getattr(made.source, "fingerprint", None), store.identity(made)
    parents = [encoder] if encoder else []
    if ranks.first_process():
        store.save(made, f"{out}/features", derived_from=parents, kind="features")
    writer = partial(
        FeatureWriter,
        hop=made.hop,
        shape=made.shape,
        fingerprint=name,
        field=field,
        derived_from=parents,
    )
    figures = extract(out, cuts, made.to(place), writer, field, max_seconds, num_workers, place)
    return {"fingerprint": name, **figures}


if __name__ == "__main__":
    main(extract_features)
