"""Every candidate's figures as a table, and the one that each measure would cluster."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from speechunits.report.results import Row

# What a layer can be chosen by. Effective rank is shown, but more or less of it is neither better nor worse.
DECIDES = {"pnmi": max, "abx_within": min, "abx_across": min, "cca_phone": max, "cca_word": max}
SHOWN = (*DECIDES, "effective_rank")

Figures = dict[str, dict[str, dict[str, float]]]


def by_candidate(rows: Iterable[Row], split: str) -> Figures:
    """System -> candidate -> metric -> mean over seeds; what is of two systems (CKA) or of no candidate is left out."""
    values: dict[tuple[str, str, str], list[float]] = {}
    for row in rows:
        known = row["split"] == split and row["metric"] in SHOWN and row["value"] is not None
        if known and row["value"] == row["value"] and "candidate" in row:
            values.setdefault((row["system"], row["candidate"], row["metric"]), []).append(row["value"])
    out: Figures = {}
    for (system, candidate, metric), found in values.items():
        out.setdefault(system, {}).setdefault(candidate, {})[metric] = statistics.fmean(found)
    return out


def choices(candidates: dict[str, dict[str, float]]) -> dict[str, str]:
    """Metric -> the candidate it would choose; nothing where there is no choice, or two are equally good."""
    out = {}
    for metric, best in DECIDES.items():
        found = {name: figures[metric] for name, figures in candidates.items() if metric in figures}
        winners = [name for name, value in found.items() if value == best(found.values())]
        if len(found) > 1 and len(winners) == 1:
            out[metric] = winners[0]
    return out


def layer_table(figures: Figures) -> tuple[list[str], list[list[str]]]:
    """Head and cells, a line for each candidate; the best of a system is marked with a star."""
    metrics = [m for m in SHOWN if any(m in of for candidates in figures.values() for of in candidates.values())]
    lines = []
    for system, candidates in figures.items():
        chosen = choices(candidates)
        for name, of in candidates.items():
            marks = ["*" if chosen.get(m) == name else "" for m in metrics]
            cells = [f"{of[m]:.3f}{mark}" if m in of else "–" for m, mark in zip(metrics, marks, strict=True)]
            lines.append([f"{system} {name}", *cells])
    return ["system and place", *metrics], lines


def decisions(figures: Figures) -> list[str]:
    """For each system with a choice, a sentence that says which place to cluster and which measures would have another."""
    out = []
    for system, candidates in figures.items():
        by: dict[str, list[str]] = {}
        for metric, name in choices(candidates).items():
            by.setdefault(name, []).append(metric)
        if by:
            chosen = next(iter(by))  # PNMI decides, then the others in order
            others = [f"{name} by {', '.join(metrics)}" for name, metrics in by.items() if name != chosen]
            but = f"; it would be {' and '.join(others)}" if others else "; no measure would choose another"
            out.append(f"{system}: cluster {chosen} (chosen by {', '.join(by[chosen])}){but}")
    return out


def as_text(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """The table for a terminal: the first column flush left, the others flush right."""
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    set_ = [
        "  ".join(cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True)))
        for line in (head, *lines)
    ]
    return "\n".join(set_)
