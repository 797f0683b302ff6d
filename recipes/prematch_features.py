"""Rebuild features from those of the same speaker: python -m recipes.prematch_features out=exp/prematched
cuts.train=exp/layer6/train.jsonl.gz

For each named manifest of stored features (``recipes.extract_features``), ``out/<name>.jsonl.gz``: every frame the mean of the
``k`` nearest ones (cosine) in the other utterances of its speaker. A vocoder trained on these has heard what kNN conversion
will give it (Baas et al. 2023, arXiv:2305.18975, section 3.3). Vectors stay what they were of, so their fingerprint stays too.
"""

from __future__ import annotations

import logging
from typing import Any

from speechunits.data.cuts import open_cuts
from speechunits.data.feature_writer import FeatureWriter
from speechunits.data.fields.features_field import FeaturesField
from speechunits.data.fields.speaker_field import SpeakerField
from speechunits.data.unit_meta import read_meta
from speechunits.errors import UserError
from speechunits.recipe import log_to, main
from speechunits.tasks.knn_conversion import KNNConversion, prematch

log = logging.getLogger("speechunits.prematch_features")


def prematch_features(
    out: str, cuts: dict[str, Any], k: int = 4, interpolation: float = 1.0, field: str = "features"
) -> dict[str, Any]:
    """Rebuild the features of all manifests; see the module's text."""
    log_to(f"{out}/prematch.log")
    convert, figures = KNNConversion(k, interpolation), dict[str, Any]()
    for name, paths in cuts.items():
        corpus = open_cuts(paths)
        stored = FeaturesField(field).bind(corpus)
        stream = corpus.streams[field]
        if len(stream.shape) > 1:
            raise UserError(
                f"cuts.{name}: {field} holds several layers, and neighbours are looked for in one; store one"
            )
        rows = dict[str, list[int]]()
        for row, cut in enumerate(corpus):
            rows.setdefault(SpeakerField().load(cut), []).append(row)
        meta = {key: about for path in corpus.paths for key, about in read_meta(path).items()}
        path, parents = f"{out}/{name}.jsonl.gz", meta[field]["derived_from"]
        with FeatureWriter(path, stream.hop, stream.shape, stream.fingerprint, field, parents, meta) as writer:
            for speaker, of in sorted(rows.items()):
                said = [corpus[row] for row in of]
                try:
                    for cut, frames in zip(said, prematch([stored.load(cut) for cut in said], convert), strict=True):
                        writer.write(cut, frames)
                except UserError as error:
                    raise UserError(f"cuts.{name}, speaker {speaker}: {error}") from error
        log.info("%s: %d utterances of %d speakers", name, len(corpus), len(rows))
        figures[name] = {"cuts": len(corpus), "speakers": len(rows)}
    return figures


if __name__ == "__main__":
    main(prematch_features)
