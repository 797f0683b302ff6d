"""``speechunits info``: what a folder holds."""

from __future__ import annotations

import argparse

from speechunits import store
from speechunits.commands.arguments import Commands
from speechunits.config import dump


def info(args: argparse.Namespace) -> None:
    """What an artefact is, from its meta.json and config.yaml; weights are not read."""
    meta, node = store.read_meta(args.folder), store.read_node(args.folder)
    print(f"{args.folder}: {meta.get('kind', 'artefact')} {meta['fingerprint']}")
    for key, value in meta.items():
        if key not in ("fingerprint", "kind", "config_sha256", "weights_sha256"):
            print(f"  {key}: {value}")
    print(dump(node), end="")


def add(commands: Commands) -> None:
    sub = commands.add_parser("info", help="what a folder holds", description=info.__doc__)
    sub.add_argument("folder", help="folder of an encoder or a tokenizer")
    sub.set_defaults(do=info)
