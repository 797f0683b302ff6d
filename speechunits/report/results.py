"""Result files: one JSON per run that says what was measured, by which command, commit and machine."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speechunits import store
from speechunits.errors import UserError

Row = Mapping[str, Any]
Results = dict[str, Any]

_ABOUT_THE_RUN = {"git", "command", "platform", "cpus", "gpus"}
_SURE = {"value", "low", "high"}  # a figure and its confidence interval, which name no row
_KEYS = {"command": str, "commit": str, "versions": dict, "machine": str, "rows": list}


@dataclass(frozen=True)
class Summary:
    """Mean and sample standard deviation (nan for one value) over ``count`` seeds; of one, maybe its confidence interval."""

    mean: float
    deviation: float
    count: int
    interval: tuple[float, float] | None = None

    def __str__(self) -> str:
        digits = 3 if abs(self.mean) < 10 else 2 if abs(self.mean) < 100 else 1
        if self.interval is not None:
            return f"{self.mean:.{digits}f} [{self.interval[0]:.{digits}f}, {self.interval[1]:.{digits}f}]"
        if self.count == 1:
            return f"{self.mean:.{digits}f}"
        return f"{self.mean:.{digits}f} ± {self.deviation:.{digits}f} ({self.count})"


# ------------------------------------------------------------------------------------------------ files


def write_results(path: str | Path, rows: Iterable[Row], provenance: Mapping[str, str]) -> Results:
    """Write a result file whole or not at all, and return what it holds.

    Args:
        path: usually ``exp/<name>/results.json``.
        rows: flat mappings with ``system``, ``metric``, ``value``, ``split`` and what else tells them apart:
            ``layer``, ``seed``, ``vocab`` ... A value that is not finite is written as null. ``low`` and ``high`` are its
            confidence interval.
        provenance: what ``speechunits.provenance.provenance()`` returns.

    Raises:
        UserError: a row lacks a key, or two rows disagree.
    """
    found = {
        "command": provenance["command"],
        "commit": provenance["git"],
        "versions": {k: v for k, v in provenance.items() if k not in _ABOUT_THE_RUN},
        "machine": f"{provenance['platform']}, {provenance['cpus']} CPUs, GPU: {provenance['gpus']}",
        "rows": [{**row, "value": _finite(row.get("value"))} for row in rows],
    }
    store.write_json(path, _checked(path, found))
    return found


def read_results(path: str | Path) -> Results:
    """Read what ``write_results`` wrote.

    Raises:
        UserError: the file is missing, not JSON, or not a result file.
    """
    return _checked(path, store.read_json(path))


def merge_results(paths: Sequence[str | Path]) -> Results:
    """One result file's content from several: all rows, equal ones once; what differs about the runs is listed.

    Raises:
        UserError: a file is unreadable, or two files give different values for the same thing.
    """
    if not paths:
        raise UserError("no result file was given; name at least one results.json")
    files = [read_results(path) for path in paths]
    rows: dict[frozenset[Any], tuple[Row, str | Path]] = {}
    for path, file in zip(paths, files, strict=True):
        for row in file["rows"]:
            known, origin = rows.setdefault(_identity(row), (row, path))
            if known["value"] != row["value"]:
                raise UserError(
                    f"{origin} and {path} disagree about {_describe(row)}: {known['value']} and {row['value']}; "
                    "leave one of the files out, or give the rows a seed"
                )
    names = dict.fromkeys(name for file in files for name in file["versions"])
    return {
        "command": _listed((f["command"] for f in files), "\n"),
        "commit": _listed(f["commit"] for f in files),
        "versions": {n: _listed(f["versions"][n] for f in files if n in f["versions"]) for n in names},
        "machine": _listed((f["machine"] for f in files), "; "),
        "rows": [dict(row) for row, _ in rows.values()],
    }


# ------------------------------------------------------------------------------------------------ tables


def summarise(rows: Iterable[Row], split: str = "test") -> dict[str, dict[str, Summary]]:
    """System -> metric -> mean and deviation over seeds, in the order of the rows; null values are left out.

    Where one seed of a system has several rows of one metric, what tells them apart joins its name: "hubert, layer 5".
    """
    values: dict[str, dict[str, list[Row]]] = {}
    # a figure of two systems (CKA) has no place in a table of systems
    for name, row in named([row for row in rows if row["split"] == split and "other_system" not in row]):
        of_system = values.setdefault(name, {})
        if row["value"] is not None:
            of_system.setdefault(row["metric"], []).append(row)
    return {name: {metric: _summary(v) for metric, v in metrics.items()} for name, metrics in values.items()}


def markdown_table(results: Mapping[str, Any], metrics: Sequence[str] | None = None, split: str = "test") -> str:
    """Systems as rows, metrics as columns, "mean ± standard deviation (number of seeds)" in the cells.

    Args:
        results: as read, written or merged.
        metrics: columns; None = all of this split.

    Raises:
        UserError: there are no rows of this split.
    """
    table = summarise(results["rows"], split)
    if not table:
        known = ", ".join(sorted({row["split"] for row in results["rows"]})) or "none"
        raise UserError(f"there are no results of the split '{split}'; there are: {known}")
    columns = metrics or list(dict.fromkeys(metric for cells in table.values() for metric in cells))
    lines = ["| system | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for system, cells in table.items():
        lines.append("| " + " | ".join([system, *(str(cells.get(c, "–")) for c in columns)]) + " |")
    return "\n".join(lines) + "\n"


def named(rows: Sequence[Row], within: Sequence[str] = ("seed",)) -> Iterable[tuple[str, Row]]:
    """Each row with its system's name, and with what tells apart rows that agree in system, metric and ``within``."""
    together: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        together.setdefault((row["system"], row["metric"], *(row.get(k) for k in within)), []).append(row)
    differ: dict[str, dict[str, None]] = {}
    for (system, *_), group in together.items():
        keys = dict.fromkeys(key for row in group for key in row if key not in {*_SURE, "utterances"})
        differ.setdefault(system, {}).update(dict.fromkeys(k for k in keys if len({r.get(k) for r in group}) > 1))
    for row in rows:
        parts = [f"{key} {row[key]}" for key in differ[row["system"]] if key in row]
        yield ", ".join([row["system"], *parts]), row


def _summary(rows: Sequence[Row]) -> Summary:
    values = [float(row["value"]) for row in rows]
    if len(rows) == 1:
        sure = "low" in rows[0] and "high" in rows[0]
        return Summary(values[0], math.nan, 1, (rows[0]["low"], rows[0]["high"]) if sure else None)
    return Summary(statistics.fmean(values), statistics.stdev(values), len(values))


# ------------------------------------------------------------------------------------------------ checks


def _checked(path: str | Path, found: Any) -> Results:
    if not isinstance(found, dict) or not all(isinstance(found.get(k), kind) for k, kind in _KEYS.items()):
        raise UserError(f"{path}: not a result file (it needs {', '.join(_KEYS)}); name a results.json of a recipe")
    seen: dict[frozenset[Any], Any] = {}
    for i, row in enumerate(found["rows"]):
        wrong = _row_mistake(row)
        if wrong:
            raise UserError(f"{path}: rows[{i}] {wrong}; correct the recipe that wrote it")
        if seen.setdefault(_identity(row), row["value"]) != row["value"]:
            raise UserError(f"{path}: two values for {_describe(row)}; give the rows a seed, a layer or what differs")
    return found


def _row_mistake(row: Any) -> str | None:
    if not isinstance(row, Mapping):
        return "is not a mapping"
    missing = [key for key in ("system", "metric", "split") if not isinstance(row.get(key), str)]
    if missing:
        return f"has no {' and no '.join(missing)}"
    value = row.get("value", "")
    if isinstance(value, bool) or not (value is None or isinstance(value, (int, float))):
        return f"has no number as its value, but {value!r}"
    nested = [key for key, v in row.items() if isinstance(v, (list, dict))]
    return f"is not flat: {nested[0]} is a {type(row[nested[0]]).__name__}" if nested else None


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _identity(row: Row) -> frozenset[Any]:
    return frozenset((k, v) for k, v in row.items() if k not in _SURE)


def _describe(row: Row) -> str:
    return ", ".join(f"{k} {v}" for k, v in row.items() if k not in _SURE)


def _listed(values: Iterable[str], separator: str = ", ") -> str:
    return separator.join(dict.fromkeys(values))
