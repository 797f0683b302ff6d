"""``speechunits resynthesize``: audio to units, and from them to audio."""

from __future__ import annotations

import argparse

from speechunits import store
from speechunits.commands.arguments import Commands, add_audio, add_device, places, report
from speechunits.commands.voices import add_voice, load_vocoding, voice
from speechunits.errors import UserError
from speechunits.recipe import usable_device

SILENT = 1e-4  # of full scale: 80 dB below it


def resynthesize(args: argparse.Namespace) -> None:
    """Audio files said again from what a vocoder reads of them: a WAV file of 16 bits for each, of the same name.

    VOCODER is the vocoder/ folder of a training. One of units needs the --tokenizer that made them, one of stored features,
    or of prosody, the --features that were stored. Files that cannot be said again are listed at the end.
    """
    from speechunits.data.read_audio import read_audio
    from speechunits.data.write_audio import write_audio
    from speechunits.tasks.listening import Listening
    from speechunits.units.features import Features
    from speechunits.units.tokenizer import UnitTokenizer

    device = usable_device(args.device)
    files = places(args.out, args.audio, "wav")
    vocoding = load_vocoding(args.vocoder, device)
    who = voice(vocoding, args, device)
    tokenizer = UnitTokenizer.load(args.tokenizer, device) if args.tokenizer else None
    features = [store.restore(folder, device, Features) for folder in args.features]
    listen = Listening(vocoding.vocoder, tokenizer, features=features, others=who.keys())
    bad = []
    for path, file in zip(args.audio, files, strict=True):
        try:
            audio = read_audio(path).to(device)
            if float(audio.data.abs().max()) < SILENT:
                raise UserError("silent throughout; leave it out")
            said = vocoding.speak({**listen(audio), **who, "ids": [path]}, args.speed)
        except UserError as error:
            bad.append(f"{path}: {str(error).removeprefix(f'{path}: ')}")
            continue
        write_audio(file, said.data[0], vocoding.vocoder.rate)
    report(bad, len(args.audio), "resynthesized")


def add(commands: Commands) -> None:
    sub = commands.add_parser(
        "resynthesize", help="audio files said again by a vocoder", description=resynthesize.__doc__
    )
    sub.add_argument("vocoder", help="folder of a vocoder")
    add_audio(sub)
    sub.add_argument("--tokenizer", help="folder of the UnitTokenizer, where the vocoder reads units")
    sub.add_argument(
        "--features", action="append", default=[], help="folder features/ of what else it reads, as prosody"
    )
    add_voice(sub)
    add_device(sub)
    sub.set_defaults(do=resynthesize)
