"""The sections of a report, each made of its own input; one without input has no body and does not appear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from speechunits import store
from speechunits.recipe import MARK
from speechunits.report.claim import Claim
from speechunits.report.curves import training_curves
from speechunits.report.examples import Examples
from speechunits.report.heat_map import unit_phone_map
from speechunits.report.layer_table import by_candidate, decisions, layer_table
from speechunits.report.layers import layered, metrics_by_layer
from speechunits.report.markup import checked, paragraph, picture, player, subtitle, table
from speechunits.report.page import Section
from speechunits.report.results import Row, summarise
from speechunits.report.similarity import cka_matrix, similarity_map
from speechunits.report.tiers import runs, spectrogram_with_tiers
from speechunits.report.training_table import read_training_table
from speechunits.report.usage import codebook_usage
from speechunits.units.tokenizer import UnitTokenizer

Colours = Mapping[str, str]


def results_section(results: Mapping[str, Any], claims: Sequence[Claim], split: str = "test") -> Section:
    """The claims as checked sentences, and the figures of ``split``."""
    verdicts = [claim.check(results) for claim in claims]
    body = checked((v.sentence, v.reached) for v in verdicts) if verdicts else ""
    figures = summarise(results["rows"], split)
    if figures:
        metrics = list(dict.fromkeys(m for cells in figures.values() for m in cells))
        cells = [[name, *(str(of.get(m, "–")) for m in metrics)] for name, of in figures.items()]
        body += table(["system", *metrics], cells)
        several = any(s.count > 1 for of in figures.values() for s in of.values())
        note = "; mean ± standard deviation (number of seeds)" if several else ""
        body += paragraph(f"Measured on {split}{note}.")
    return Section("Results", body)


def training_rows(runs_of: Mapping[str, str | Path], split: str) -> list[Row]:
    """``train_seconds`` and ``train_hours`` (of audio) of those training runs that are finished, as rows of results."""
    marks = {s: store.read_json(mark) for s, folder in runs_of.items() if (mark := Path(folder) / MARK).exists()}
    what = {"train_seconds": "seconds", "train_hours": "train/audio_hours"}
    return [
        {"system": system, "split": split, "metric": metric, "value": mark[key]}
        for system, mark in marks.items()
        for metric, key in what.items()
        if key in mark
    ]


def training_section(runs_of: Mapping[str, str | Path], colours: Colours, log_steps: bool = False) -> Section:
    """Loss and masked accuracy of training runs, given by their folders."""
    if not runs_of:
        return Section("Training", "")
    tables = {system: read_training_table(folder) for system, folder in runs_of.items()}
    return Section("Training", picture(training_curves(tables, colours, log_steps), "Training and validation."))


def layers_section(results: Mapping[str, Any], colours: Colours) -> Section:
    """For every split on which metrics were measured at several layers: which to cluster, table, pictures."""
    rows, body = results["rows"], ""
    for split in dict.fromkeys(row["split"] for row in rows):
        if metrics := layered(rows, split):
            figures = by_candidate(rows, split)
            body += "".join(paragraph(f"{sentence}.") for sentence in decisions(figures))
            body += table(*layer_table(figures))
            body += paragraph(f"Measured on {split}; * = the best of its system.")
            caption = (
                f"By layer on {split}; bars: ± one standard deviation over seeds; level lines: systems with one figure."
            )
            body += picture(metrics_by_layer(rows, metrics, split, colours), caption)
        if len(cka_matrix(rows, split)[0]):
            caption = f"Linear CKA on {split}: 1 = the same space, whatever its axes."
            body += picture(similarity_map(rows, split), caption)
    return Section("Layers", body)


def recognition_section(results: Mapping[str, Any]) -> Section:
    """Word error rates of every split with their intervals, and what each recogniser is given and costs."""
    rows = results["rows"]
    splits = list(dict.fromkeys(row["split"] for row in rows if row["metric"] == "wer"))
    found = {(row["system"], row["split"], row["metric"]): row for row in rows}
    costs = {
        "cer": "CER",
        "tokens_per_second": "tokens/s",
        "bits_per_second": "bits/s",
        "train_seconds": "training, s",
        "parameters": "parameters, M",
    }

    def rate(system: str, split: str) -> str:
        row = found.get((system, split, "wer"))
        if row is None or row["value"] is None:
            return "–"
        return f"{row['value']:.1f}" + (f" ({row['low']:.1f} to {row['high']:.1f})" if "low" in row else "")

    def cost(system: str, metric: str) -> str:
        row = found.get((system, splits[0], metric))
        return "–" if row is None or row["value"] is None else f"{row['value']:.3g}"

    cells = [
        [system, *(rate(system, split) for split in splits), *(cost(system, metric) for metric in costs)]
        for system in dict.fromkeys(row["system"] for row in rows)
    ]
    body = table(["system", *(f"WER, {split}" for split in splits), *costs.values()], cells)
    body += paragraph(
        f"Percent, with 95 % bootstrap intervals; CER, and tokens and bits for a second of speech, on {splits[0]}. "
        "constant: the one text that fits all references best."
    )
    return Section("Recognition", body)


def units_section(examples: Examples, tokenizers: Mapping[str, UnitTokenizer], colours: Colours, out: Path) -> Section:
    """Codebook usage and unit-phone heat maps over the test set; the table of phones is written into ``out``."""
    names = examples.phones()
    counts = {system: examples.count_codes(t, out / "phones.json") for system, t in tokenizers.items()}
    if not counts:
        return Section("Units", "")
    read = min(c.utterances for c in counts.values())
    usage = codebook_usage({system: c.codes for system, c in counts.items()}, colours)
    body = picture(usage, f"Share of frames of each code, {read} utterances.")
    for system, c in counts.items():
        if c.joint.sum():
            of = len(tokenizers[system].vocab)
            which = f" (codebook 1 of {of})" if of > 1 else ""
            body += picture(
                unit_phone_map(c.joint, names, system), f"{system}: which phones its units stand for{which}."
            )
    return Section("Units", body)


def examples_section(examples: Examples, tokenizers: Mapping[str, UnitTokenizer], colours: Colours) -> Section:
    """Utterances to hear and see: player, spectrogram, phones and the units of every tokenizer."""
    body = ""
    for said in examples.shown():
        samples = torch.from_numpy(said.samples)
        units = {s: runs(examples.encode(t, samples), float(t.hop)) for s, t in tokenizers.items()}
        png = spectrogram_with_tiers(said.samples, said.rate, said.phones, units, colours)
        body += subtitle(said.name) + (paragraph(said.text) if said.text else "")
        body += player(said.samples, said.rate, said.name)
        body += picture(png, f"{said.name}: spectrogram, phones and runs of equal units.")
    return Section("Examples", body)


def stage_seconds(stages: Mapping[str, str | Path]) -> dict[str, float | None]:
    """Seconds of every stage, by the mark in its folder; None where the mark does not say.

    Raises:
        UserError: a stage is not finished: its mark is missing.
    """
    return {name: store.read_json(Path(folder) / MARK).get("seconds") for name, folder in stages.items()}


def stages_section(seconds: Mapping[str, float | None]) -> Section:
    """How long every stage took."""
    if not seconds:
        return Section("Time", "")
    rows = [[name, "not recorded" if s is None else duration(s)] for name, s in seconds.items()]
    return Section(
        "Time", table(["stage", "time"], [*rows, ["total", duration(sum(s or 0 for s in seconds.values()))]])
    )


def duration(seconds: float) -> str:
    """75.2 -> "1 min 15 s"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
