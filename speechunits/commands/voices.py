"""What the commands share that speak: a vocoder, in whose voice, how fast."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
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
    from speechunits.inputs.voice_input import VoiceInput

    inputs = [part for part in vocoding.vocoder.conditions.values() if isinstance(part, VoiceInput)]
    if not inputs:
        if args.speaker_encoder:
            raise UserError("this vocoder reads no vector of a voice; leave --speaker-encoder out")
        return vocoding.named(1, speaker=args.speaker, style=args.style)
    if not args.speaker or not args.speaker_encoder:
        raise UserError("this vocoder speaks in any voice; give a recording of one as --speaker, and --speaker-encoder")
    field = inputs[0].field
    vector = reference_voice(args.speaker, args.speaker_encoder, [vocoding.vocoder.labels.get(field)], device)
    return {**vocoding.named(1, style=args.style), field: vector}


def reference_voice(recording: str, folder: str, wanted: Iterable[str | None], device: torch.device) -> Tensor:
    """(1, D): what the speaker encoder in ``folder`` hears in ``recording``.

    Args:
        wanted: of each model that is to have it, the fingerprint of the speaker encoder of its training; None takes any.

    Raises:
        UserError: the folder holds something else or a stranger, or the recording cannot be read.
    """
    from speechunits.data.read_audio import read_audio

    encoder = store.restore(folder, device)
    if not hasattr(encoder, "embed"):
        raise UserError(f"{folder}: holds a {type(encoder).__name__}, which hears no voices")
    if strange := [name for name in wanted if name not in (None, encoder.fingerprint)]:
        raise UserError(
            f"{folder}: the model was trained with the voices of {strange[0]}, and this speaker encoder is "
            f"{encoder.fingerprint}; give that one"
        )
    vector: Tensor = encoder.embed(read_audio(recording).to(device))
    return vector


def repeated(voice: dict[str, Any], count: int) -> dict[str, Any]:
    """The same for ``count`` utterances."""
    return {
        field: value.expand(count, -1) if isinstance(value, Tensor) else value * count for field, value in voice.items()
    }
