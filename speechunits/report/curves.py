"""Training curves of several runs in one picture."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from speechunits.report.canvas import DASHES, drawn
from speechunits.report.training_table import Table, curve

PANELS = {"loss": "loss (nats)", "accuracy": "masked accuracy"}


@drawn
def training_curves(runs: Mapping[str, Table], colours: Mapping[str, str], log_steps: bool = False) -> Figure:
    """Loss and masked accuracy over updates: training thin, validation with dots; a colour per system.

    Args:
        runs: system -> table of ``read_training_table``. A term without figures in any run gets no panel.
        log_steps: logarithmic horizontal axis, for the first updates.

    Raises:
        ValueError: no run has a figure to draw.
    """
    shown = [t for t in PANELS if any(curve(table, s, t) for table in runs.values() for s in ("train", "valid"))]
    if not shown:
        raise ValueError("no run has a loss or an accuracy")
    figure = Figure(figsize=(5.2 * len(shown), 3.6 + 0.2 * len(runs)), layout="constrained")
    objectives: dict[str, None] = {}
    for axes, term in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        for system, table in runs.items():
            for stage in ("train", "valid"):
                for objective, (steps, values) in curve(table, stage, term).items():
                    if objective:
                        objectives.setdefault(objective)
                    dash = DASHES[list(objectives).index(objective) % len(DASHES)] if objective else "-"
                    style = {"lw": 0.9, "alpha": 0.65} if stage == "train" else {"lw": 1.6, "marker": "o", "ms": 3.5}
                    axes.plot(steps, values, color=colours[system], ls=dash, **style)
        axes.set(xlabel="update", ylabel=PANELS[term], title=PANELS[term].split(" (")[0])
        if log_steps:
            axes.set_xscale("log")
        if term == "accuracy":
            axes.set_ylim(bottom=0)
    lines = [Line2D([], [], color=colours[system], lw=2, label=system) for system in runs]
    lines += [Line2D([], [], color="#555555", lw=0.9, label="training")]
    lines += [Line2D([], [], color="#555555", lw=1.6, marker="o", ms=3.5, label="validation")]
    if len(objectives) > 1:
        lines += [
            Line2D([], [], color="#555555", lw=1.2, ls=DASHES[i % len(DASHES)], label=name)
            for i, name in enumerate(objectives)
        ]
    figure.legend(handles=lines, loc="outside lower center", ncols=min(len(lines), 3 * len(shown)))
    return figure
