"""``speechunits decode``: units to speech."""

from __future__ import annotations

import argparse
from pathlib import Path

from speechunits.commands.arguments import Commands, add_device, places
from speechunits.commands.voices import add_voice, load_vocoding, repeated, voice
from speechunits.errors import UserError
from speechunits.recipe import usable_device

TOGETHER = 64  # utterances whose waveforms are in memory at once


def decode(args: argparse.Namespace) -> None:
    """Units to speech: a WAV file of 16 bits for each line, named like the line's audio.

    VOCODER is the vocoder/ folder of a training. UNITS has a line for each utterance, as ``speechunits encode`` writes them:
    units of all frames, merged ones with durations, or merged ones without (durations left out, "hop": null), whose
    durations the vocoder predicts. All lines are looked at before anything is said.
    """
    from speechunits.data.write_audio import write_audio
    from speechunits.seq import unpad
    from speechunits.units.unit_lines import UnitLine, joined, read_lines

    device = usable_device(args.device)
    lines = read_lines(args.units)
    files = places(args.out, [line.audio or f"line_{i}" for i, line in enumerate(lines, 1)], "wav")
    vocoding = load_vocoding(args.vocoder, device)
    who = voice(vocoding, args, device)
    alike: dict[object, list[tuple[UnitLine, Path]]] = {}
    for line, file in zip(lines, files, strict=True):
        try:
            vocoding.check(joined([line]), [line.place])
        except UserError as error:
            raise UserError(f"{line.place}: {str(error).removeprefix(f'{line.place}: ')}") from error
        alike.setdefault(line.kind, []).append((line, file))
    for group in alike.values():
        for start in range(0, len(group), TOGETHER):
            some = group[start : start + TOGETHER]
            units = joined([line for line, _ in some]).to(device)
            said = vocoding(units, speed=args.speed, ids=[line.place for line, _ in some], **repeated(who, len(some)))
            for wave, (_, file) in zip(unpad(said), some, strict=True):
                write_audio(file, wave, vocoding.vocoder.rate)


def add(commands: Commands) -> None:
    sub = commands.add_parser("decode", help="units to audio files", description=decode.__doc__)
    sub.add_argument("vocoder", help="folder of a vocoder")
    sub.add_argument("units", help="JSON lines of units")
    add_voice(sub)
    add_device(sub)
    sub.set_defaults(do=decode)
