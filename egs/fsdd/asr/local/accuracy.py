"""Digit accuracy over folds and seeds: python egs/fsdd/asr/local/accuracy.py OUT.json FOLD:SEED:RESULTS.json ...

RESULTS.json is what recipes.recognise wrote. Accuracy is 1 - WER / 100, of one word an utterance; digits that are put in where
nobody spoke count against it. Rows of the split test are means over the folds, one for each seed; those of each fold have the
splits fold and fold-valid.
"""

from __future__ import annotations

import statistics
import sys
from typing import Any

from speechunits.errors import UserError
from speechunits.provenance import provenance
from speechunits.recipe import exit_codes
from speechunits.report.results import markdown_table, read_results, write_results

Row = dict[str, Any]


def of_folds(scored: list[str]) -> list[Row]:
    """A row for each system, fold, seed and split.

    Raises:
        UserError: an argument is of another form.
    """
    rows = []
    for argument in scored:
        fold, _, rest = argument.partition(":")
        seed, _, path = rest.partition(":")
        if not (fold.isdigit() and seed.isdigit() and path):
            raise UserError(f"{argument}: is not FOLD:SEED:RESULTS.json")
        for row in read_results(path)["rows"]:
            if row["metric"] == "wer" and row["split"] in ("valid", "test"):
                split = "fold" if row["split"] == "test" else "fold-valid"
                about = {"system": row["system"], "split": split, "metric": "digit_accuracy", "seed": int(seed)}
                rows.append({**about, "fold": int(fold), "value": 1 - row["value"] / 100})
    return rows


def over_folds(rows: list[Row]) -> list[Row]:
    """The mean over the folds of each system and seed, as the splits test and valid."""
    groups: dict[tuple[str, str, int], list[float]] = {}
    for row in rows:
        split = "test" if row["split"] == "fold" else "valid"
        groups.setdefault((row["system"], split, row["seed"]), []).append(row["value"])
    return [
        {
            "system": system,
            "split": split,
            "metric": "digit_accuracy",
            "seed": seed,
            "folds": len(values),
            "value": statistics.fmean(values),
        }
        for (system, split, seed), values in groups.items()
    ]


if __name__ == "__main__":
    with exit_codes():
        each = of_folds(sys.argv[2:])
        found = write_results(sys.argv[1], [*over_folds(each), *each], provenance())
        for split in ("valid", "test"):
            print(f"{split}:\n{markdown_table(found, split=split)}", end="")
