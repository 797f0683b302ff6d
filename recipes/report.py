"""One page to look at: python -m recipes.report out=exp/demo/report exp=exp/demo title=Demo results=[evaluation/results.json]

Merges result files into ``exp``/results.json and writes the self-contained ``exp``/report.html. ``runs`` names
training folders by system, ``tokenizers`` tokenizer folders; ``examples`` (``cuts``, ``count`` ...) says which
utterances to show and to count units over; ``claims`` (``better``, ``than``, ``metric``, ``margin`` ...) are checked;
``recognition`` is the result file of ``recognise``; ``stages`` are folders of finished recipes, whose times are shown.
What is left out does not appear. All paths but ``out`` and ``exp`` are relative to ``exp``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from speechunits import store
from speechunits.config import build
from speechunits.provenance import provenance
from speechunits.recipe import main
from speechunits.report import sections
from speechunits.report.canvas import colours
from speechunits.report.page import page, write_page
from speechunits.report.results import markdown_table, merge_results, read_results
from speechunits.units.tokenizer import UnitTokenizer


def report(
    out: str,
    exp: str,
    title: str,
    results: list[str],
    runs: dict[str, str] | None = None,
    tokenizers: dict[str, str] | None = None,
    examples: dict[str, Any] | None = None,
    claims: list[dict[str, Any]] | None = None,
    recognition: str | None = None,
    stages: list[str] | None = None,
    split: str = "test",
    log_steps: bool = False,
) -> dict[str, Any]:
    """Write the report; see the module's text."""
    top = Path(exp)
    wanted = build([{"_target_": "speechunits.report.claim.Claim", **claim} for claim in claims or []])
    merged = merge_results([top / path for path in results])
    trainings = {system: top / run for system, run in (runs or {}).items()}
    efforts = sections.training_rows(trainings, split)
    merged["rows"] += efforts
    table = markdown_table(merged, split=split)
    encoders = {system: UnitTokenizer.load(top / folder) for system, folder in (tokenizers or {}).items()}
    colour = colours([*(row["system"] for row in merged["rows"]), *(runs or {}), *encoders])
    seconds = sections.stage_seconds({stage: top / stage for stage in stages or []})
    shown = [
        sections.results_section(merged, wanted, split),
        sections.training_section(trainings, colour, log_steps),
        sections.layers_section(merged, colour),
    ]
    if recognition is not None:
        shown.append(sections.recognition_section(read_results(top / recognition)))
        merged = merge_results([top / path for path in [*results, recognition]])
        merged["rows"] += efforts
    if examples is not None:
        chosen = {**examples, **({"cuts": str(top / examples["cuts"])} if "cuts" in examples else {})}
        look = build({"_target_": "speechunits.report.examples.Examples", **chosen})
        shown.append(sections.units_section(look, encoders, colour, Path(out)))
        shown.append(sections.examples_section(look, encoders, colour))
    shown.append(sections.stages_section(seconds))
    facts = {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "commit": merged["commit"],
        "versions": ", ".join(f"{name} {version}" for name, version in merged["versions"].items()),
        "machine": merged["machine"],
        "commands": merged["command"],
        "report": provenance()["command"],
        "time": sections.duration(sum(filter(None, seconds.values()))) if seconds else "",
    }
    store.write_json(top / "results.json", merged)
    write_page(top / "report.html", page(title, facts, shown))
    print(table, end="")
    verdicts = [claim.check(merged) for claim in wanted]
    return {"rows": len(merged["rows"]), "claims": len(verdicts), "reached": sum(v.reached for v in verdicts)}


if __name__ == "__main__":
    main(report)
