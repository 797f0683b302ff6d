"""CsvLogger: figures as one table that survives resuming and new columns."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from speechunits.store import writing


class CsvLogger(Logger):
    """One row per update that was reported; rows of training and of validation are merged by ``step``.

    A run that resumes from update n, or goes back to it, drops the rows beyond it, which it will write again. (Lightning's
    CSVLogger deletes the table of the run that it continues.) A line that a crash tore is dropped too.

    Args:
        path: the table.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = Path(path)
        self._columns: list[str] = ["step"]
        self._rows: list[dict[str, str]] = []
        self._new = True

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    @property
    def save_dir(self) -> str:
        return str(self.path.parent)

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: the run's folder holds the resolved configuration."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        step = step or 0
        if self._new:
            self._read(step)
        kept = [row for row in self._rows if int(row["step"]) <= step]
        if len(kept) < len(self._rows):
            self._rows = kept
            self._write()
        columns = [*self._columns, *(name for name in metrics if name not in self._columns)]
        row = {name: repr(float(value)) for name, value in metrics.items()}
        if len(columns) == len(self._columns) and not (self._rows and self._rows[-1]["step"] == str(step)):
            self._rows.append({"step": str(step), **row})
            with self.path.open("a", newline="") as file:
                csv.DictWriter(file, self._columns).writerow(self._rows[-1])
            return
        self._columns = columns
        if self._rows and self._rows[-1]["step"] == str(step):
            self._rows[-1] |= row
        else:
            self._rows.append({"step": str(step), **row})
        self._write()

    def _read(self, step: int) -> None:
        self._new = False
        if self.path.exists():
            whole = [line for line in self.path.read_text().splitlines(keepends=True) if line.endswith("\n")]
            reader = csv.DictReader(whole)
            self._rows = [row for row in reader if row["step"].isdigit() and int(row["step"]) <= step]
            self._columns = list(reader.fieldnames or ["step"])
        self._write()

    def _write(self) -> None:
        with writing(self.path) as aside, aside.open("w", newline="") as file:
            writer = csv.DictWriter(file, self._columns)
            writer.writeheader()
            writer.writerows(self._rows)
