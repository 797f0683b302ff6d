"""Write units beside the audio: python -m recipes.extract_units out=exp/units tokenizer=exp/km100/tokenizer cuts.train=...

For each named manifest ``out/<name>.jsonl.gz``: the same cuts with their units as a lhotse TemporalArray under
``custom[field]``, and ``.meta.json`` with hop, vocabulary and fingerprint. Unreadable audio is listed in
``out/<name>.bad.json`` and left out. With torchrun or SLURM each process writes its own ``<name>.<rank>.jsonl.gz``.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from speechunits import store
from speechunits.data.cuts import open_cuts
from speechunits.data.fields.audio_field import AudioField
from speechunits.data.fields.cut_field import CutField
from speechunits.data.unit_meta import read_meta
from speechunits.data.unit_writer import UnitWriter
from speechunits.errors import UserError
from speechunits.recipe import log_to, main
from speechunits.seq import unpad
from speechunits.units.feature_pass import FeaturePass
from speechunits.units.tokenizer import UnitTokenizer


def extract_units(
    out: str,
    tokenizer: str,
    cuts: dict[str, Any],
    field: str = "units",
    max_seconds: float = 200.0,
    num_workers: int = 0,
    device: str = "cpu",
) -> dict[str, Any]:
    """Extract the units of all manifests; see the module's text."""
    log_to(f"{out}/extract.log")
    encode = UnitTokenizer.load(tokenizer, device)
    figures: dict[str, Any] = {"fingerprint": encode.fingerprint}
    for name, manifest in cuts.items():
        corpus = open_cuts(manifest)
        batches = FeaturePass(
            corpus, {"audio": AudioField(), "cut": CutField()}, max_seconds, num_workers=num_workers, device=device
        )
        path = Path(out) / (f"{name}.jsonl.gz" if batches.ranks == 1 else f"{name}.{batches.rank}.jsonl.gz")
        derived = store.read_meta(tokenizer)["derived_from"]
        others = {k: v for p in corpus.paths for k, v in read_meta(Path(p)).items() if k != field}
        begin = time.monotonic()
        with UnitWriter(path, encode.hop, encode.vocab, encode.fingerprint, field, derived, others) as writer:
            for _, batch in batches():
                for cut, codes in zip(batch["cut"], unpad(encode.codes(batch["audio"])), strict=True):
                    writer.write(cut, codes.cpu())
        if batches.bad:
            store.write_json(path.with_name(f"{name}.bad.json"), batches.bad)
        if len(batches.bad) > len(corpus) // 2:
            raise UserError(f"{manifest}: {len(batches.bad)} of {len(corpus)} cuts cannot be read; see {name}.bad.json")
        speed = batches.seconds / (time.monotonic() - begin)
        print(f"{path}: {len(corpus) - len(batches.bad)} cuts, {speed:.0f} x real time, {len(batches.bad)} unreadable")
        figures[name] = {"cuts": len(corpus) - len(batches.bad), "unreadable": len(batches.bad)}
    return figures


if __name__ == "__main__":
    main(extract_units)
