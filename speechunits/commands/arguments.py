"""What several commands take, and what they say at the end."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from speechunits import store
from speechunits.errors import UserError

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_audio(command: argparse.ArgumentParser) -> None:
    command.add_argument("audio", nargs="+", help="audio files of any length and sample rate")


def add_device(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", default="cpu", help="torch device, e.g. cuda")


def places(folder: str, files: Sequence[str], ending: str) -> list[Path]:
    """Where what is made of each of ``files`` goes: its name with another ending, in ``folder``; asked before hours of work.

    Raises:
        UserError: two of them have one name, or one would be written over, or the folder cannot be written.
    """
    found = [Path(folder) / f"{Path(file).stem}.{ending}" for file in files]
    if len(set(found)) < len(found):
        twice = next(place.name for place in found if found.count(place) > 1)
        raise UserError(
            f"{twice}: two of the files have one name, so they would be written to one place; take them apart"
        )
    sources = {Path(file).resolve() for file in files}
    for place in found:
        if place.resolve() in sources:
            raise UserError(f"{place}: is one of the files that are read; choose another folder")
        store.check_place(place)
    return found


def free(path: str) -> Path:
    """A place where nothing lies yet.

    Raises:
        UserError: something does, or it cannot be written.
    """
    if Path(path).exists():
        raise UserError(f"{path}: exists already; choose another place, or delete it first")
    store.check_place(path)
    return Path(path)


def report(bad: Sequence[str], count: int, what: str) -> None:
    """End with what went wrong with some of ``count`` files, if anything did."""
    if bad:
        raise UserError(f"{len(bad)} of {count} files could not be {what}: " + "; ".join(bad))
