"""Write units beside the audio: python -m recipes.extract_units out=exp/units tokenizer=exp/km100/tokenizer cuts.train=...

For each named manifest ``out/<name>.jsonl.gz``: the same cuts with their units as a lhotse TemporalArray under
``custom[field]``, and ``.meta.json`` with hop, vocabulary and fingerprint. Unreadable audio is listed in
``out/<name>.bad.json`` and left out. With torchrun each process writes its own ``<name>.<rank>.jsonl.gz``.
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
from speechunits.errors import UserError
from speechunits.recipe import log_to, main, usable_device
from speechunits.seq import unpad
from speechunits.units.feature_pass import FeaturePass
from speechunits.units.tokenizer import UnitTokenizer

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
    for name, manifest in cuts.items():
        corpus = open_cuts(manifest)
        fields = {"audio": AudioField(), "cut": CutField()}
        batches = FeaturePass(corpus, fields, max_seconds, num_workers=num_workers, device=place)
        if not batches.mine():
            log.warning("%s: fewer batches than processes, this one has nothing to do; lower max_seconds", name)
            continue
        part = name if batches.ranks == 1 else f"{name}.{batches.rank}"
        path, bad, count = Path(out) / f"{part}.jsonl.gz", Path(out) / f"{part}.bad.json", 0
        others = {k: v for p in corpus.paths for k, v in read_meta(Path(p)).items() if k != field}
        begin = time.monotonic()
        with UnitWriter(path, encode.hop, encode.vocab, encode.fingerprint, field, derived, others) as writer:
            for _, batch in batches():
                for cut, codes in zip(batch["cut"], unpad(encode.codes(batch["audio"])), strict=True):
                    writer.write(cut, codes.cpu())
                    count += 1
            bad.unlink(missing_ok=True)
            if batches.bad:
                store.write_json(bad, batches.bad)
            if len(batches.bad) > count:
                raise UserError(f"{manifest}: most cuts cannot be read ({len(batches.bad)}, {count} can); see {bad}")
        speed = batches.seconds / batches.ranks / (time.monotonic() - begin)
        log.info("%s: %d cuts, %.0f x real time, %d unreadable", path, count, speed, len(batches.bad))
        figures[part] = {"cuts": count, "unreadable": len(batches.bad)}
    return figures


if __name__ == "__main__":
    main(extract_units)
