"""Measure pitch and energy of speakers: python -m recipes.fit_prosody out=exp/prosody cuts=prosody/train.jsonl.gz

Reads the prosody that ``recipes.extract_features conf/features/prosody.yaml field=prosody`` stored in ``cuts``, and saves
``out/speakers``: mean and deviation of ln F0 and of ln energy of each speaker, which parts that hear prosody take as
``speakers: {_target_: speechunits.store.restore, folder: exp/prosody/speakers}``.
"""

from __future__ import annotations

import logging
import math
from typing import Any

from speechunits import store
from speechunits.data.cuts import open_cuts
from speechunits.data.fields import FeaturesField, SpeakerField
from speechunits.errors import UserError, some
from speechunits.nn.speaker_prosody import fit_speaker_prosody
from speechunits.recipe import log_to, main

log = logging.getLogger("speechunits.fit_prosody")


def fit_prosody(out: str, cuts: str | list[str], field: str = "prosody") -> dict[str, Any]:
    """Measure one corpus; see the module's text."""
    log_to(f"{out}/fit.log")
    corpus = open_cuts(cuts)
    prosody, speaker = FeaturesField(field).bind(corpus), SpeakerField()
    assert prosody.stream is not None
    if prosody.stream.shape != (3,):
        raise UserError(
            f"field: {field} of {cuts} has the shape {prosody.stream.shape}, so it is no prosody; name another"
        )
    seen: set[str] = set()

    def spoken() -> Any:
        for cut in corpus:
            seen.add(name := speaker.load(cut))
            yield [name], prosody.collate([prosody.load(cut)])

    made = fit_speaker_prosody(spoken(), prosody.stream.fingerprint)
    if silent := sorted(seen - {*made.names}):
        log.warning("no frame of %s is voiced: left out", some(silent))
    for name, mean, deviation in zip(made.names, made.mean[:, 0].tolist(), made.deviation[:, 0].tolist(), strict=True):
        log.info("%s: %.0f Hz, +- %.1f semitones", name, math.exp(mean), 12 * deviation / math.log(2))
    name = store.save(made, f"{out}/speakers", derived_from=[made.source], kind="speaker_prosody")
    return {"fingerprint": name, "speakers": len(made.names), "left_out": len(seen) - len(made.names)}


if __name__ == "__main__":
    main(fit_prosody)
