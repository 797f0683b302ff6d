"""Write units beside the audio: python -m recipes.extract_units out=exp/units tokenizer=exp/km100/tokenizer cuts.train=...

For each named manifest ``out/<name>.jsonl.gz``: the same cuts with their units as a lhotse TemporalArray under
``custom[field]``, and ``.meta.json`` with hop, vocabulary and fingerprint. Unreadable audio is listed in
``out/<name>.bad.json`` and left out. Several processes (torchrun) share the work; killed and run again, also by another
number of processes, it goes on and writes the same bytes (``out/<name>.parts`` holds what was done).
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from speechunits import ranks, store
from speechunits.data.cuts import open_cuts
from speechunits.data.fields.audio_field import AudioField
from speechunits.data.fields.cut_field import CutField
from speechunits.data.unit_meta import read_meta
from speechunits.data.unit_writer import UnitWriter
from speechunits.recipe import log_to, main, usable_device
from speechunits.units.feature_pass import FeaturePass
from speechunits.units.tokenizer import UnitTokenizer
from speechunits.units.unit_parts import UnitParts

log = logging.getLogger("speechunits.extract_units")


def extract_units(
    out: str,
    tokenizer: str,
    cuts: dict[str, Any],
    field: str = "units",
    max_seconds: float = 60.0,
    num_workers: int = 0,
    device: str = "cpu",
) -> dict[str, Any]:
    """Extract the units of all manifests; see the module's text."""
    log_to(f"{out}/extract.log")
    place = usable_device(device)
    ranks.join(place)
    encode = UnitTokenizer.load(tokenizer, place)
    derived = store.read_meta(tokenizer)["derived_from"]
    figures: dict[str, Any] = {"fingerprint": encode.fingerprint}
    made = []
    for name, manifest in cuts.items():
        corpus = open_cuts(manifest)
        fields = {"audio": AudioField(), "cut": CutField()}
        batches = FeaturePass(corpus, fields, max_seconds, num_workers=num_workers, device=place)
        others = {k: v for p in corpus.paths for k, v in read_meta(Path(p)).items() if k != field}
        path = Path(out) / f"{name}.jsonl.gz"
        writer = UnitWriter(path, encode.hop, encode.vocab, encode.fingerprint, field, derived, others)
        parts = UnitParts(Path(out) / f"{name}.parts", batches, writer)
        begin, left = time.monotonic(), len(parts.mine())
        speed = parts.write(encode.codes) / (time.monotonic() - begin)
        log.info("%s: %d of %d parts are this process's to write: %.0f x real time", name, left, len(parts), speed)
        ranks.barrier()
        if ranks.first_process():
            bad = Path(out) / f"{name}.bad.json"
            bad.unlink(missing_ok=True)
            count, unreadable = parts.join(bad)
            log.info("%s: %d cuts, %d unreadable", path, count, len(unreadable))
            figures[name] = {"cuts": count, "unreadable": len(unreadable)}
        made.append(parts)
    ranks.barrier()  # until all is written a run that is killed has its parts to go on from
    for parts in made if ranks.first_process() else ():
        parts.clear()
    return figures


if __name__ == "__main__":
    main(extract_units)
