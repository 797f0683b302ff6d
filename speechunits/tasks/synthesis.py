"""Synthesis: text to units to speech."""

from __future__ import annotations

import logging
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

    @torch.inference_mode()
    def __call__(
        self,
        text: str,
        speaker: str | None = None,
        voice: Tensor | None = None,
        seed: int = 0,
        speed: float = 1.0,
        language: str | None = None,
    ) -> Tensor:
        """``text`` -> waveform (S,) on the CPU. Sentences whose units are unusually few or many are named in the log.

        Args:
            speaker: by name, for the model, the vocoder or both.
            voice: vector (D,) of a speaker encoder, likewise.
            seed: of a search that draws.
            speed: 1 = as the models speak.
            language: of the text, for the normaliser.

        Raises:
            UserError: there is nothing to say, a symbol or a speaker is unknown, wanted or given in vain, or the vocoder is one
                of other units.
        """
        pieces = sentences(text, self.longest)
        if not pieces:
            raise UserError("there is no text to say; give some")
        said = self._as(speaker, voice)
        ids = [self.writer.input.read([piece], language).data[0] for piece in pieces]  # mistakes before any work
        silence, out = torch.zeros(round(self.pause * self.rate)), []
        for start in range(0, len(pieces), self.together):
            some = slice(start, start + self.together)
            for wave in self._say(pieces[some], ids[some], start, said, seed, speed):
                out += [silence, wave] if out else [wave]
        return torch.cat(out)

    def _as(self, speaker: str | None, voice: Tensor | None) -> dict[str, Any]:
        """What of the two either model reads.

        Raises:
            UserError: one is missing, or nobody reads it.
        """
        given = {"speaker": speaker, "voice": voice}
        models = {"text_to_units": self.writer, "vocoder": self.vocoding.vocoder}
        read = {getattr(c, "field", ""): name for name, model in models.items() for c in model.conditions.values()}
        for field, value in given.items():
            if field in read and value is None:
                raise UserError(f"the {read[field]} speaks with a {field} that it is told; give one")
            if field not in read and value is not None:
                raise UserError(f"neither text_to_units nor the vocoder is told a {field}; leave it out")
        return {field: value for field, value in given.items() if value is not None}

    def _say(
        self, pieces: list[str], ids: list[Tensor], start: int, said: dict[str, Any], seed: int, speed: float
    ) -> list[Tensor]:
        device, rows = next(self.writer.parameters()).device, len(ids)
        batch: dict[str, Any] = {
            self.writer.input.field: pad(ids, None).to(device),
            "draws": draws([f"sentence {start + i}" for i in range(rows)], seed),
        }
        if "speaker" in said:
            batch["speaker"] = [said["speaker"]] * rows
        if "voice" in said:
            batch["voice"] = said["voice"].to(device).expand(rows, -1)
        found = self.writer.predict(batch)
        for piece, doubtful in zip(pieces, found["doubtful"], strict=True):
            if doubtful:
                log.warning("%r has unusually few or many units: some of it may be missing or repeated", piece[:60])
        voices = {"voice": batch["voice"]} if "voice" in batch else {}
        speaker = said.get("speaker") if self.vocoding.vocoder.speakers else None
        return unpad(self.vocoding(found["units"], speaker, speed, ids=pieces, **voices).to("cpu"))
