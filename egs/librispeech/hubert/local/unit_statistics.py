"""What units look like without any labels: python .../unit_statistics.py OUT.json NAME=UNITS.jsonl.gz ...

Share of the codebook in use and its perplexity, bits per second with and without repetitions, and how long a unit lasts.
"""

from __future__ import annotations

import sys
from typing import Any

import torch

from speechunits.data.cuts import open_cuts
from speechunits.data.fields.units_field import UnitsField
from speechunits.metrics.bitrate import Bitrate
from speechunits.metrics.codebook_usage import CodebookUsage
from speechunits.provenance import provenance
from speechunits.recipe import exit_codes
from speechunits.report.results import markdown_table, write_results
from speechunits.seq import Seq


def statistics(manifest: str) -> dict[str, float]:
    """Metric -> value over all cuts of a manifest with stored units."""
    cuts = open_cuts(manifest, "the stage that extracts units")
    field = UnitsField().bind(cuts)
    assert field.stream is not None and field.stream.hop is not None
    measures = [CodebookUsage(vocab=field.stream.vocab), Bitrate(vocab=field.stream.vocab)]
    frames = runs = 0
    for cut in cuts:
        codes = field.load(cut)
        frames, runs = frames + len(codes), runs + len(torch.unique_consecutive(codes, dim=0))
        outputs = {"units": Seq(codes[None], torch.tensor([len(codes)]), field.stream.hop)}
        for measure in measures:
            measure.update(outputs, {"ids": [cut.id]})
    figures = {name: value for measure in measures for name, value in measure.compute().items()}
    return {**figures, "run_ms": 1000 * float(field.stream.hop) * frames / runs}


if __name__ == "__main__":
    with exit_codes():
        rows: list[dict[str, Any]] = []
        for pair in sys.argv[2:]:
            system, _, manifest = pair.partition("=")
            about = {"system": system, "split": "valid"}
            rows += [{**about, "metric": metric, "value": value} for metric, value in statistics(manifest).items()]
        results = write_results(sys.argv[1], rows, provenance())
        print(markdown_table(results, split="valid"), end="")
