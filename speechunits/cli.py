"""``speechunits``: use finished models. ``encode`` audio to units, ``info`` about an artefact, ``run`` a recipe."""

from __future__ import annotations

import argparse
import json
import pkgutil
import runpy
import sys

from speechunits import __version__, store
from speechunits.config import dump
from speechunits.errors import UserError
from speechunits.recipe import exit_codes, usable_device


def encode(args: argparse.Namespace) -> None:
    """One JSON line per file: units (and durations), hop, vocabulary, fingerprint. Bad files are listed at the end."""
    import torch

    from speechunits.data.read_audio import read_audio
    from speechunits.units.dedup import Dedup
    from speechunits.units.tokenizer import UnitTokenizer

    device = usable_device(args.device)
    tokenizer = UnitTokenizer.load(args.tokenizer, device)
    shrink = Dedup() if args.dedup else None
    lines, bad = [], []
    for path in args.audio:
        try:
            with torch.inference_mode():
                units = tokenizer.encode(read_audio(path).to(device))
        except UserError as error:
            bad.append(str(error))
            continue
        if not int(units.ids.lengths[0]):
            bad.append(f"{path}: too short for one unit; leave it out")
            continue
        units = shrink(units) if shrink is not None and units.durations is None else units
        line = {"audio": str(path), "units": units.lists()[0]}
        if units.durations is not None:
            line["durations"] = units.durations.data[0, : units.durations.lengths[0]].tolist()
        hop = units.ids.hop or (units.durations.hop if units.durations is not None else None)
        line |= {"hop": str(hop), "vocab": list(units.vocab), "fingerprint": units.fingerprint}
        lines.append(json.dumps(line) + "\n")
        if not args.out:
            print(lines.pop(), end="", flush=True)
    if lines:
        store.write_text(args.out, "".join(lines))
    if bad:
        raise UserError(f"{len(bad)} of {len(args.audio)} files could not be encoded: " + "; ".join(bad))


def info(args: argparse.Namespace) -> None:
    """What an artefact is, from its meta.json and config.yaml; weights are not read."""
    meta, node = store.read_meta(args.folder), store.read_node(args.folder)
    print(f"{args.folder}: {meta.get('kind', 'artefact')} {meta['fingerprint']}")
    for key, value in meta.items():
        if key not in ("fingerprint", "kind", "config_sha256", "weights_sha256"):
            print(f"  {key}: {value}")
    print(dump(node), end="")


def recipes() -> list[str]:
    """Names of the recipes at hand."""
    import recipes as package

    return sorted(m.name for m in pkgutil.iter_modules(package.__path__))


def run(args: argparse.Namespace) -> None:
    """``speechunits run train ...`` is ``python -m recipes.train ...``."""
    if args.recipe not in recipes():
        raise UserError(f"there is no recipe '{args.recipe}'; there are: {', '.join(recipes())}")
    sys.argv = [f"recipes.{args.recipe}", *args.arguments]
    runpy.run_module(f"recipes.{args.recipe}", run_name="__main__", alter_sys=True)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="speechunits", description="Self-supervised discrete speech units.")
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    sub = commands.add_parser("encode", help="audio files to units, one JSON line per file", description=encode.__doc__)
    sub.add_argument("tokenizer", help="folder of a UnitTokenizer")
    sub.add_argument("audio", nargs="+", help="audio files of any length and sample rate")
    sub.add_argument("-o", "--out", help="write here instead of to the terminal")
    sub.add_argument("--dedup", action="store_true", help="merge runs of equal units and give their durations")
    sub.add_argument("--device", default="cpu", help="torch device, e.g. cuda")
    sub.set_defaults(do=encode)

    sub = commands.add_parser("info", help="what a folder holds", description=info.__doc__)
    sub.add_argument("folder", help="folder of an encoder or a tokenizer")
    sub.set_defaults(do=info)

    sub = commands.add_parser("run", help="run a recipe with YAML files and key=value", description=run.__doc__)
    sub.add_argument("recipe", help=f"one of: {', '.join(recipes())}")
    sub.add_argument("arguments", nargs=argparse.REMAINDER, help="system.yaml key=value ...")
    sub.set_defaults(do=run)
    return top


def main() -> None:
    """Entry point of the ``speechunits`` command."""
    args = parser().parse_args()
    with exit_codes():
        args.do(args)


if __name__ == "__main__":
    main()
