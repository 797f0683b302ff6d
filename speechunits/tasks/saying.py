"""Saying: the cuts of a manifest as a vocoder says them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from speechunits.data.cuts import Cuts
from speechunits.data.field import Field
from speechunits.data.fields.audio_field import AudioField
from speechunits.data.fields.cut_field import CutField
from speechunits.data.fields.features_field import FeaturesField
from speechunits.data.fields.label_field import LabelField
from speechunits.data.fields.speaker_field import SpeakerField
from speechunits.data.fields.units_field import UnitsField
from speechunits.data.fields.voice_field import VoiceField
from speechunits.data.said import said
from speechunits.data.write_audio import write_audio
from speechunits.errors import UserError, some
from speechunits.inputs.audio_input import AudioInput
from speechunits.inputs.encoder_input import EncoderInput
from speechunits.inputs.label_table import LabelTable
from speechunits.seq import unpad
from speechunits.tasks.unit_vocoder import UnitVocoder
from speechunits.tasks.vocoding import Vocoding
from speechunits.units.feature_pass import FeaturePass


class Saying:
    """One vocoder on one manifest.

    Args:
        vocoder: in evaluation mode.
        cuts: with what it reads.
        fields: of the batch, in place of those that the names of its ``labels`` and of its label tables stand for.
        max_seconds, num_workers, device: see ``FeaturePass``.

    Attributes:
        count, rtf: utterances said, and seconds of computing for a second of them.

    Raises:
        UserError: the manifest lacks something, or has it of another tokenizer, features or speaker encoder.
    """

    def __init__(
        self,
        vocoder: UnitVocoder,
        cuts: Cuts,
        fields: Mapping[str, Field] | None = None,
        max_seconds: float = 60.0,
        num_workers: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        self.say, self.count, self.rtf = Vocoding(vocoder), 0, 0.0
        tables = [c.field for c in vocoder.conditions.values() if isinstance(c, LabelTable)]
        names = dict.fromkeys([*vocoder.labels, *tables])
        wanted: dict[str, Field] = {name: stored(name, cuts) for name in names if name not in (fields or {})}
        audio = {p.field: AudioField() for p in vocoder.modules() if isinstance(p, AudioInput | EncoderInput)}
        everything = {**audio, **wanted, **(fields or {}), "cut": CutField()}
        self.batches = FeaturePass(cuts, everything, max_seconds, 0.0, 1.0, num_workers, device, rank=0, ranks=1)
        streams = self.batches.dataset.streams
        for name, made_by in vocoder.labels.items():
            found = streams[name].fingerprint if name in streams else "none"
            if made_by not in (None, found):
                raise UserError(
                    f"{some(list(map(str, cuts.paths)))}: the vocoder was trained on {name} of {made_by}, and here they are of "
                    f"{found}; extract them with that one"
                )

    def __call__(self, folder: Path, speed: float = 1.0) -> Iterator[Any]:
        """Write ``folder/<id>.wav`` of each cut; the cuts of these files.

        Raises:
            UserError: a cut cannot be read or said.
        """
        begin, seconds = time.perf_counter(), 0.0
        for _, batch in self.batches():
            cuts = batch.pop("cut")
            waves = self.say.speak({**batch, "ids": [cut.id for cut in cuts]}, speed)
            for cut, wave in zip(cuts, unpad(waves), strict=True):
                path = folder / f"{cut.id}.wav"
                write_audio(path, wave, self.say.vocoder.rate)
                self.count, seconds = self.count + 1, seconds + len(wave) / self.say.vocoder.rate
                yield said(cut, path)
        if self.batches.bad:
            why = [f"{name}: {reason}" for name, reason in self.batches.bad.items()]
            raise UserError(f"{len(why)} cuts cannot be read ({some(why)}); leave them out")
        self.rtf = (time.perf_counter() - begin) / max(seconds, 1e-9)


def stored(name: str, cuts: Cuts) -> Field:
    """The field that a name stands for: what is stored under it, by the manifest's word, else a label."""
    stream = cuts.streams.get(name)
    if stream is None:
        return SpeakerField() if name == "speaker" else LabelField(name)
    if not stream.shape:
        return UnitsField(name, aligned=stream.hop is not None)
    return FeaturesField(name) if stream.hop is not None else VoiceField(name)
