"""The figures of a training run, as the CSV tracker wrote them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from speechunits.errors import UserError

Table = dict[str, np.ndarray]  # column -> (N,) float64, nan where a row does not have it


def read_training_table(folder: str | Path) -> Table:
    """Columns of ``<folder>/metrics.csv``, each (N,) with nan for blank cells.

    Raises:
        UserError: the table is missing, damaged or empty.
    """
    path = Path(folder) / "metrics.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            table = {c: np.array([float(row[c] or "nan") for row in rows]) for c in reader.fieldnames or ()}
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); train with logger=csv, or correct the folder"
        ) from error
    except (ValueError, TypeError, csv.Error) as error:
        raise UserError(f"{path}: not a table of numbers ({error}); train again, or leave this run out") from error
    if "step" not in table or not rows:
        raise UserError(f"{path}: holds no figures yet; let the run report at least once, or leave it out")
    return table


def curve(table: Table, stage: str, term: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Objective -> (steps, values) of the columns ``stage/objective/term``; the objective of ``stage/term`` is ""."""
    found = {}
    for column, values in table.items():
        parts = column.split("/")
        if len(parts) > 1 and (parts[0], parts[-1]) == (stage, term):
            there = np.isfinite(values)
            if there.any():
                found["/".join(parts[1:-1])] = table["step"][there], values[there]
    return found
