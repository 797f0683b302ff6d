"""Synthesis: text to units to speech."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from speechunits.draws import draws
from speechunits.errors import UserError
from speechunits.inputs.text_input import TextInput
from speechunits.seq import pad, unpad
from speechunits.tasks.sequence_to_units import SequenceToUnits
from speechunits.text.sentences import sentences

if TYPE_CHECKING:
    from speechunits.tasks.vocoding import Vocoding

log = logging.getLogger(__name__)


class Synthesis:
    """What a text sounds like, sentence by sentence with a pause between them, for text of any length.

    Args:
        text_to_units: whose input is a ``TextInput``.
        vocoding: of the units that it writes.
        pause: seconds of silence between sentences.
        longest: characters of a sentence; longer ones are parted at commas or between words.
        together: sentences that are written at once.

    Raises:
        UserError: the model reads no text.
    """

    def __init__(
        self,
        text_to_units: SequenceToUnits,
        vocoding: Vocoding,
        pause: float = 0.25,
        longest: int = 200,
        together: int = 8,
    ) -> None:
        if not isinstance(text_to_units.input, TextInput):
            kind = type(text_to_units.input).__name__
            raise UserError(f"the model hears by {kind} and reads no text; give the folder of a training on text")
        self.writer, self.vocoding = text_to_units, vocoding
        self.pause, self.longest, self.together = pause, longest, together

    @property
    def rate(self) -> int:
        """Samples per second of what it gives."""
        return self.vocoding.vocoder.rate

    @property
    def told(self) -> dict[str, str]:
        """The fields that ``__call__`` wants to be told, each with the model that reads it."""
        models = {"text_to_units": self.writer, "vocoder": self.vocoding.vocoder}
        return {field: name for name, model in models.items() for field in _reads(model)}

    @torch.inference_mode()
    def __call__(
        self, text: str, seed: int = 0, speed: float = 1.0, language: str | None = None, **told: str | Tensor
    ) -> Tensor:
        """``text`` -> waveform (S,) on the CPU. Sentences whose units are unusually few or many are named in the log.

        Args:
            seed: of a search that draws.
            speed: 1 = as the models speak.
            language: of the text, for the normaliser.
            told: how to speak, for the model, the vocoder or both: ``speaker="ada"``, ``voice=`` a vector (D,) of a speaker
                encoder.

        Raises:
            UserError: there is nothing to say, a symbol or a speaker is unknown, wanted or told in vain, or the vocoder is one
                of other units.
        """
        pieces = sentences(text, self.longest)
        if not pieces:
            raise UserError("there is no text to say; give some")
        if missing := sorted(self.told.keys() - told.keys()):
            raise UserError(f"the {self.told[missing[0]]} is told a {missing[0]} in training; give one")
        if vain := sorted(told.keys() - self.told.keys()):
            raise UserError(f"neither text_to_units nor the vocoder is told a {vain[0]}; leave it out")
        ids = [self.writer.input.read([piece], language).data[0] for piece in pieces]  # mistakes before any work
        silence, out = torch.zeros(round(self.pause * self.rate)), []
        for start in range(0, len(pieces), self.together):
            some = slice(start, start + self.together)
            for wave in self._say(pieces[some], ids[some], start, told, seed, speed):
                out += [silence, wave] if out else [wave]
        return torch.cat(out)

    def _say(
        self,
        pieces: list[str],
        ids: list[Tensor],
        start: int,
        told: Mapping[str, str | Tensor],
        seed: int,
        speed: float,
    ) -> list[Tensor]:
        device, rows = next(self.writer.parameters()).device, len(ids)
        beside = {
            field: [value] * rows if isinstance(value, str) else value.to(device).expand(rows, -1)
            for field, value in told.items()
        }
        names = [f"sentence {start + i}" for i in range(rows)]
        text = {self.writer.input.field: pad(ids, None).to(device), "draws": draws(names, seed)}
        found = self.writer.predict({**text, **beside})
        for piece, doubtful in zip(pieces, found["doubtful"], strict=True):
            if doubtful:
                log.warning("%r has unusually few or many units: some of it may be missing or repeated", piece[:60])
        heard = {field: beside[field] for field in _reads(self.vocoding.vocoder)}
        return unpad(self.vocoding(found["units"], speed, ids=pieces, **heard).to("cpu"))


def _reads(model: Any) -> set[str]:
    """The fields of a model's conditions: of names and vectors, and of what recipes made."""
    parts = model.conditions.values()
    return {name for part in parts for name in (*part.labels, *([part.field] if hasattr(part, "field") else ()))}
