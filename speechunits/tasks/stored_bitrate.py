"""What the stored units of a manifest cost."""

from __future__ import annotations

from pathlib import Path

from speechunits.data.cuts import open_cuts
from speechunits.data.fields.units_field import UnitsField
from speechunits.metrics.bitrate import Bitrate
from speechunits.units.feature_pass import FeaturePass


def stored_bitrate(manifest: str | Path, speakers: int) -> dict[str, float]:
    """The figures of ``Bitrate``: of the units, of the lengths of their runs, and of one of so many speakers an utterance.

    Raises:
        UserError: the manifest is missing or has no stored ``units``, or a cut cannot be read.
    """
    cuts = open_cuts(manifest)
    batches = FeaturePass(cuts, {"units": UnitsField()}, rank=0, ranks=1)
    measure = Bitrate(speakers, vocab=cuts.streams["units"].vocab)
    for _, batch in batches():
        measure.update(batch, batch)
    return measure.compute()
