"""``speechunits synthesize``: text to speech."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speechunits import store
from speechunits.commands.arguments import Commands, add_device
from speechunits.commands.voices import load_vocoding, reference_voice
from speechunits.config import build, load
from speechunits.errors import UserError
from speechunits.recipe import usable_device

if TYPE_CHECKING:
    import torch

    from speechunits.tasks.synthesis import Synthesis


def synthesize(args: argparse.Namespace) -> None:
    """A text of any length as a WAV file.

    MODEL is the text_to_units/ folder of a training, VOCODER the vocoder/ folder of one on the same units. Models of
    several speakers want --speaker: one of their names, or with --speaker-encoder a recording of anyone.
    """
    from speechunits.data.write_audio import write_audio
    from speechunits.tasks.sequence_to_units import SequenceToUnits
    from speechunits.tasks.synthesis import Synthesis

    device = usable_device(args.device)
    store.check_place(args.out)
    text = sys.stdin.read() if args.text == "-" else args.text
    search = (load(args.search).get("model") or {}).get("search") if args.search else None
    if args.search and not search:
        raise UserError(f"{args.search}: has no model.search; give a file such as conf/unit_search/sampled.yaml")
    model = store.restore(args.model, device, SequenceToUnits)
    if search:
        model.replace_search(build(search, at="model.search"))
    say = Synthesis(model, load_vocoding(args.vocoder, device))
    audio = say(text, args.seed, args.speed, args.language, **_voice(args, say, device))
    write_audio(args.out, audio, say.rate)


def _voice(args: argparse.Namespace, say: Synthesis, device: torch.device) -> dict[str, Any]:
    """The name that was given, or the vector of the recording."""
    if args.speaker_encoder is None:
        if args.speaker is not None and Path(args.speaker).is_file():
            raise UserError(f"--speaker {args.speaker}: a recording is heard by a --speaker-encoder; give its folder")
        return {} if args.speaker is None else {"speaker": args.speaker}
    if args.speaker is None:
        raise UserError("--speaker-encoder hears a recording; give one as --speaker")
    wanted = [model.labels.get("voice") for model in (say.writer, say.vocoding.vocoder)]
    return {"voice": reference_voice(args.speaker, args.speaker_encoder, wanted, device)[0]}


def add(commands: Commands) -> None:
    sub = commands.add_parser("synthesize", help="text to an audio file", description=synthesize.__doc__)
    sub.add_argument("text", help="what to say; - reads standard input")
    sub.add_argument("--model", required=True, help="folder text_to_units/ of a training")
    sub.add_argument("--vocoder", required=True, help="folder of a vocoder")
    sub.add_argument("--speaker", help="name of a speaker of the trainings, or a recording of any")
    sub.add_argument("--speaker-encoder", help="folder of a speaker encoder, where --speaker is a recording")
    sub.add_argument("-o", "--out", required=True, help="WAV file to write")
    sub.add_argument("--search", help="YAML of another search, e.g. conf/unit_search/sampled.yaml")
    sub.add_argument("--seed", type=int, default=0, help="of a search that draws")
    sub.add_argument("--speed", type=float, default=1.0, help="pace, 1.2 is faster")
    sub.add_argument("--language", help="of the text, for the normaliser, e.g. en")
    add_device(sub)
    sub.set_defaults(do=synthesize)
