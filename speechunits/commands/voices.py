"""What the commands share that speak: a vocoder, in whose voice, how fast."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from torch import Tensor

from speechunits import store
from speechunits.errors import UserError

if TYPE_CHECKING:
    import torch

    from speechunits.tasks.vocoding import Vocoding


def add_voice(command: argparse.ArgumentParser) -> None:
    command.add_argument("-o", "--out", required=True, help="folder for NAME.wav of each utterance")
    command.add_argument(
        "--speaker", help="name of a speaker of its training, or a recording of any, as the vocoder asks"
    )
    command.add_argument("--speaker-encoder", help="folder of a speaker encoder, where --speaker is a recording")
    command.add_argument("--style", help="name of a style of its training, where the vocoder asks for one")
    command.add_argument("--speed", type=float, default=1.0, help="pace, 1.2 is faster")


def load_vocoding(folder: str, device: torch.device) -> Vocoding:
    """The vocoder in ``folder``, ready to speak.

    Raises:
        UserError: the folder holds something else.
    """
    from speechunits.tasks.unit_vocoder import UnitVocoder
    from speechunits.tasks.vocoding import Vocoding

    vocoder = store.restore(folder, device, UnitVocoder)
    vocoder.fold()
    return Vocoding(vocoder)


def voice(vocoding: Vocoding, args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """The fields of a batch of one that say who speaks, and how.

    Raises:
        UserError: the vocoder asks for a speaker, or for a recording of one and what hears it, or for none.
    """
    from speechunits.data.read_audio import read_audio
    from speechunits.inputs.voice_input import VoiceInput

    inputs = [part for part in vocoding.vocoder.conditions.values() if isinstance(part, VoiceInput)]
    if not inputs:
        if args.speaker_encoder:
            raise UserError("this vocoder reads no vector of a voice; leave --speaker-encoder out")
        return vocoding.named(1, speaker=args.speaker, style=args.style)
    if not args.speaker or not args.speaker_encoder:
        raise UserError("this vocoder speaks in any voice; give a recording of one as --speaker, and --speaker-encoder")
    field = inputs[0].field
    encoder = store.restore(args.speaker_encoder, device)
    if not hasattr(encoder, "embed"):
        raise UserError(f"{args.speaker_encoder}: holds a {type(encoder).__name__}, which hears no voices")
    wanted = vocoding.vocoder.labels.get(field, encoder.fingerprint)
    if wanted != encoder.fingerprint:
        raise UserError(
            f"{args.speaker_encoder}: the vocoder was trained with the voices of {wanted}, and this speaker encoder is "
            f"{encoder.fingerprint}; give that one"
        )
    labels: dict[str, Any] = vocoding.named(1, style=args.style)
    return labels | {field: encoder.embed(read_audio(args.speaker).to(device))}


def repeated(voice: dict[str, Any], count: int) -> dict[str, Any]:
    """The same for ``count`` utterances."""
    return {
        field: value.expand(count, -1) if isinstance(value, Tensor) else value * count for field, value in voice.items()
    }
