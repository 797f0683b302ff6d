"""``speechunits``: use finished models.

``encode`` audio to units, ``decode`` units to audio, ``resynthesize`` audio, ``synthesize`` text, ``transcribe`` audio to text,
``info`` about an artefact, ``import`` and ``export`` models of others, ``run`` a recipe. Each is a module of
``speechunits.commands``.
"""

from __future__ import annotations

import argparse

from speechunits import __version__
from speechunits.commands import decode, encode, exchange, info, resynthesize, run, synthesize, transcribe
from speechunits.recipe import exit_codes

COMMANDS = (encode, decode, resynthesize, synthesize, transcribe, info, exchange, run)  # in the order of the help


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="speechunits", description="Self-supervised discrete speech units.")
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return top


def main() -> None:
    """Entry point of the ``speechunits`` command."""
    args = parser().parse_args()
    with exit_codes():
        args.do(args)


if __name__ == "__main__":
    main()
