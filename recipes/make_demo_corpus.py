"""Synthesise the demo corpus: python -m recipes.make_demo_corpus out=exp/demo/corpus [preset=quick] [train.speakers=120]

Sizes by name are in conf/data/demo_corpus.yaml; ``train``, ``valid``, ``test``, ``pairs`` and ``seen`` change one. Writes
``out/speech/cuts_<split>_<language>.jsonl.gz`` and the table of English phones, ``out/phones.json``.
"""

from __future__ import annotations

from typing import Any

from speechunits.config import load, merge
from speechunits.data.cuts import open_cuts
from speechunits.data.demo import corpus
from speechunits.data.symbol_table import collect_symbols, write_symbols
from speechunits.errors import UserError
from speechunits.recipe import main


def make_demo_corpus(
    out: str,
    preset: str = "demo",
    train: dict[str, int] | None = None,
    valid: dict[str, int] | None = None,
    test: dict[str, int] | None = None,
    pairs: dict[str, int] | None = None,
    seen: int | None = None,
    seed: int = 0,
    workers: int | None = None,
) -> dict[str, Any]:
    """Make one corpus; see the module's text."""
    presets = load("data/demo_corpus.yaml")
    if preset not in presets:
        raise UserError(f"preset: there is no demo corpus '{preset}'; there are: {', '.join(presets)}")
    changes = {"train": train, "valid": valid, "test": test, "pairs": pairs, "seen": seen}
    sizes = merge(presets[preset], {name: change for name, change in changes.items() if change is not None})
    speech = f"{out}/speech"
    made = corpus.make_demo_corpus(speech, **sizes, seed=seed, workers=workers)
    write_symbols(f"{out}/phones.json", collect_symbols(open_cuts(corpus.cuts_path(speech, "train", "en"))))
    for name, counts in made["cuts"].items():
        minutes = counts["seconds"] / 60
        print(f"{name}: {counts['utterances']} utterances, {minutes:.1f} minutes, {counts['speakers']} speakers")
    return {"cuts": made["cuts"]}


if __name__ == "__main__":
    main(make_demo_corpus)
