"""The challenge's bitrate: python .../bitrate.py OUT.json [--subwords DIR] units/dev-clean ...

Of each utterance log2(tokens a second) + log2(vocabulary) (metrics/bitrate.py, dsu_bitrate), and the mean over the utterances
of all sets; a set is a manifest of units without its .jsonl.gz, of which runs are merged, or subwords made. Beside it, for that
figure is none, the bits per second that the tokens carry.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import torch

from speechunits import store
from speechunits.data.cuts import open_cuts
from speechunits.data.fields import ReducedUnitsField, UnitsField
from speechunits.metrics.bitrate import dsu_bitrate, entropy_bitrate
from speechunits.provenance import provenance
from speechunits.recipe import exit_codes
from speechunits.report.results import write_results
from speechunits.units.dedup import Dedup


def bitrates(subwords: str | None, sets: list[str]) -> dict[str, dict[str, float]]:
    """Set ("all" the last) -> figures."""
    steps = {"dedup": Dedup(), **({} if subwords is None else {"subwords": store.restore(subwords)})}
    found: dict[str, list[tuple[torch.Tensor, float]]] = {}
    for place in sets:
        cuts = open_cuts(f"{place}.jsonl.gz")
        field = ReducedUnitsField(UnitsField(), steps).bind(cuts)
        found[Path(place).name] = [
            (field.load(cut).reshape(-1), cut.duration) for cut in map(cuts.__getitem__, range(len(cuts)))
        ]
        assert field.stream is not None
        vocab = field.stream.vocab[0]
    found["all"] = [each for rows in found.values() for each in rows]
    return {
        name: {
            "dsu_bitrate": statistics.fmean(dsu_bitrate([len(x)], [vocab], seconds) for x, seconds in rows),
            "bits_per_second": entropy_bitrate(torch.cat([x for x, _ in rows]), sum(seconds for _, seconds in rows)),
        }
        for name, rows in found.items()
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--subwords", help="what fit_unit_bpe saved")
    given = parser.parse_args()
    with exit_codes():
        made = bitrates(given.subwords, given.sets)
        system = "units" if given.subwords is None else "units_bpe"
        rows = [
            {"system": system, "split": split, "metric": name, "value": value}
            for split, figures in made.items()
            for name, value in figures.items()
        ]
        write_results(given.out, rows, provenance())
    for split, figures in made.items():
        print(f"{system} on {split}: bitrate {figures['dsu_bitrate']:.2f}, {figures['bits_per_second']:.1f} bits/s")
