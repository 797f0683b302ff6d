"""``speechunits encode``: audio files to units."""

from __future__ import annotations

import argparse

from speechunits import store
from speechunits.commands.arguments import Commands, add_audio, add_device, report
from speechunits.errors import UserError
from speechunits.recipe import usable_device


def encode(args: argparse.Namespace) -> None:
    """One JSON line per file: units (and durations), hop, vocabulary, fingerprint. Bad files are listed at the end."""
    import torch

    from speechunits.data.read_audio import read_audio
    from speechunits.units.dedup import Dedup
    from speechunits.units.tokenizer import UnitTokenizer
    from speechunits.units.unit_lines import write_line

    device = usable_device(args.device)
    if args.out:
        store.check_place(args.out)  # before hours of work
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
        lines.append(write_line(str(path), units) + "\n")
        if not args.out:
            print(lines.pop(), end="", flush=True)
    if lines:
        store.write_text(args.out, "".join(lines))
    report(bad, len(args.audio), "encoded")


def add(commands: Commands) -> None:
    sub = commands.add_parser("encode", help="audio files to units, one JSON line per file", description=encode.__doc__)
    sub.add_argument("tokenizer", help="folder of a UnitTokenizer")
    add_audio(sub)
    sub.add_argument("-o", "--out", help="write here instead of to the terminal")
    sub.add_argument("--dedup", action="store_true", help="merge runs of equal units and give their durations")
    add_device(sub)
    sub.set_defaults(do=encode)
