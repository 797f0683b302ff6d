"""Synthesise the demo corpus: python -m recipes.make_demo_corpus --out DIR [--preset NAME] [key=value ...]

    python -m recipes.make_demo_corpus --out data/demo
    python -m recipes.make_demo_corpus --out data/small --preset quick train.speakers=120 seed=1

Keys are the arguments of speechunits.data.demo.corpus.make_demo_corpus; null stands for None.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from speechunits.config import UserError
from speechunits.data.demo.corpus import make_demo_corpus

PRESETS = Path(__file__).resolve().parents[1] / "conf" / "data" / "demo_corpus.yaml"


def arguments(config: Path, preset: str, overrides: list[str]) -> dict[str, Any]:
    """The preset's arguments with ``key=value`` overrides; ``train.speakers=120`` reaches inside."""
    presets: dict[str, dict[str, Any]] = yaml.safe_load(config.read_text(encoding="utf-8"))
    if preset not in presets:
        raise UserError(f"{config} has no preset '{preset}': use one of {', '.join(presets)}")
    chosen = presets[preset]
    for override in overrides:
        key, equals, value = override.partition("=")
        *parents, last = key.split(".")
        node = chosen
        for parent in parents:
            node = node.setdefault(parent, {})
        if not equals:
            raise UserError(f"'{override}' sets nothing: write key=value")
        node[last] = yaml.safe_load(value)
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, type=Path, help="folder to make")
    parser.add_argument("--preset", default="demo", help="one of the sizes in the configuration (default: demo)")
    parser.add_argument("--config", default=PRESETS, type=Path, help="YAML file of presets")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    options = parser.parse_intermixed_args()
    started = time.perf_counter()
    try:
        made = make_demo_corpus(options.out, **arguments(options.config, options.preset, options.overrides))
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    for name, counts in made["cuts"].items():
        minutes = counts["seconds"] / 60
        print(f"{name}: {counts['utterances']} utterances, {minutes:.1f} minutes, {counts['speakers']} speakers")
    print(f"{options.out} is complete after {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
