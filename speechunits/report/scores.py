"""What recognition leaves behind: rows with confidence intervals, hypotheses, alignments, a line for each speaker."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, Literal

from speechunits import store
from speechunits.errors import some
from speechunits.metrics.alignment import align, printed
from speechunits.metrics.reading import Reading, batch_of
from speechunits.metrics.utterance_ratios import UtteranceRatios
from speechunits.metrics.wer import WER

log = logging.getLogger(__name__)

AT_ONCE = 128  # utterances whose edits are counted together


def score(
    readings: Sequence[Reading],
    measure: WER,
    about: Mapping[str, Any],
    out: str | Path,
    over: Literal["utterances", "speakers"] = "utterances",
) -> list[dict[str, Any]]:
    """Score one system on one split, write the files and return the rows of its results.

    ``out/SYSTEM-SPLIT.jsonl`` (``id``, ``said``, ``heard`` and what else is known), ``.alignments.txt`` and, where speakers or
    languages are known, ``.speakers.md`` and ``.languages.md``. Utterances are sorted by id.

    Args:
        measure: without anything in it yet.
        about: ``system`` and ``split``, which begin every row.
        over: what the confidence intervals resample (``WER.intervals``).

    Raises:
        UserError: there are no readings, or no speakers to resample.
    """
    readings = sorted(readings, key=lambda reading: reading.id)
    by_length = sorted(readings, key=lambda reading: len(reading.said))  # padded together, so like with like
    for start in range(0, len(by_length), AT_ONCE):
        measure.update(*batch_of(by_length[start : start + AT_ONCE]))
    where = f"{about['system']} on {about['split']}"
    if measure.empty:
        log.warning(
            "%s: %d of %d references are empty: %s", where, len(measure.empty), len(readings), some(measure.empty)
        )
    rows = rated(measure, about, over)
    stem = f"{out}/{about['system']}-{about['split']}"
    store.write_text(f"{stem}.jsonl", "".join(map(_line, readings)))
    store.write_text(f"{stem}.alignments.txt", "\n".join(_aligned(reading, measure) for reading in readings))
    for label in ("speaker", "language"):
        if groups := measure.by(label):
            store.write_text(f"{stem}.{label}s.md", _table(label, groups))
        if label == "language" and len(groups) > 1:
            rows += [
                {**about, "language": name, "utterances": figures["utterances"], "metric": metric, "value": value}
                for name, figures in groups.items()
                for metric, value in figures.items()
                if metric != "utterances"
            ]
    return rows


def rated(
    measure: WER | UtteranceRatios, about: Mapping[str, Any], over: Literal["utterances", "speakers"] = "utterances"
) -> list[dict[str, Any]]:
    """A row for each result of a measure, with its confidence interval; see ``score``."""
    intervals, utterances = measure.intervals(over), len(measure.rows())
    return [
        {**about, "utterances": utterances, "metric": name, "value": value, **_bounds(intervals[name])}
        for name, value in measure.compute().items()
    ]


def _bounds(interval: tuple[float, float]) -> dict[str, float]:
    return dict(zip(("low", "high"), interval, strict=True)) if all(map(isfinite, interval)) else {}


def _line(reading: Reading) -> str:
    known = {name: value for name in ("speaker", "language") if (value := getattr(reading, name))}
    entry = {"id": reading.id, "said": reading.said, "heard": reading.heard, **known, **reading.more}
    return json.dumps(entry, ensure_ascii=False) + "\n"


def _aligned(reading: Reading, measure: WER) -> str:
    said, heard = (measure.words(text, reading.language) for text in (reading.said, reading.heard))
    return printed(reading.id, align(said, heard))


def _table(label: str, groups: Mapping[str, Mapping[str, float]]) -> str:
    columns = list(next(iter(groups.values())))
    lines = [f"| {label} | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, figures in groups.items():
        cells = [f"{v:g}" if k == "utterances" else f"{v:.2f}" for k, v in figures.items()]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines) + "\n"
