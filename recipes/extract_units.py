"""Write units beside the audio: python -m recipes.extract_units out=exp/units tokenizer=exp/km100/tokenizer cuts.train=...

For each named manifest ``out/<name>.jsonl.gz``: the same cuts with their units as a lhotse TemporalArray under
``custom[field]``, and ``.meta.json`` with hop, vocabulary and fingerprint. Unreadable audio is listed in
``out/<name>.bad.json`` and left out. Several processes (torchrun) share the work; killed and run again, also by another
number of processes, it goes on and writes the same bytes (``out/<name>.parts`` holds what was done).
"""

from __future__ import annotations

from functools import partial
from typing import Any

from speechunits import ranks, store
from speechunits.data.unit_writer import UnitWriter
from speechunits.recipe import log_to, main, usable_device
from speechunits.units.extraction import extract
from speechunits.units.tokenizer import UnitTokenizer


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
    writer = partial(
        UnitWriter,
        hop=encode.hop,
        vocab=encode.vocab,
        fingerprint=encode.fingerprint,
        field=field,
        derived_from=store.read_meta(tokenizer)["derived_from"],
    )
    made = extract(out, cuts, encode.codes, writer, field, max_seconds, num_workers, place)
    return {"fingerprint": encode.fingerprint, **made}


if __name__ == "__main__":
    main(extract_units)
