"""``speechunits run``: a recipe."""

from __future__ import annotations

import argparse
import pkgutil
import runpy
import sys

from speechunits.commands.arguments import Commands
from speechunits.errors import UserError


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


def add(commands: Commands) -> None:
    sub = commands.add_parser("run", help="run a recipe with YAML files and key=value", description=run.__doc__)
    sub.add_argument("recipe", help=f"one of: {', '.join(recipes())}")
    sub.add_argument("arguments", nargs=argparse.REMAINDER, help="system.yaml key=value ...")
    sub.set_defaults(do=run)
