"""Judgement: recordings and what was made of them, through every measure that hears them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from speechunits.data.pairs import Pair, hear
from speechunits.data.transcripts import voice
from speechunits.errors import UserError
from speechunits.metrics.equal_error_rate import equal_error_rate, min_dcf
from speechunits.metrics.levels import Levels
from speechunits.metrics.mel_cepstral_distortion import MelCepstralDistortion
from speechunits.metrics.pitch_measures import PitchErrors
from speechunits.metrics.speaker_similarity import SpeakerSimilarity, enrol, unit_length
from speechunits.metrics.spectral_distance import SpectralDistance
from speechunits.metrics.utterance_ratios import UtteranceRatios
from speechunits.seq import Seq

Measures = dict[str, UtteranceRatios]


class Judgement:
    """Measures recordings and what was made of them, one utterance at a time.

    Args:
        prosody: (1, S) -> Seq (1, T, 2 or more), as ``PitchErrors`` reads it; None = melodies are not compared.
        embed: (1, S) -> speaker vectors (1, D); None = voices are not compared.
        more: makes further measures of ``outputs["audio"]`` and ``batch["audio"]``.
        device: where the first two compute.
        rate: at which everything is heard, Hz.
    """

    def __init__(
        self,
        prosody: Callable[[Seq], Seq] | None = None,
        embed: Callable[[Seq], Tensor] | None = None,
        more: Callable[[], Measures] = dict,
        device: str | torch.device = "cpu",
        rate: int = 16000,
    ) -> None:
        self.prosody, self.embed, self.more, self.device, self.rate = prosody, embed, more, device, rate
        self.enrolled: dict[str, Tensor] = {}
        self._originals: dict[str, dict[str, Any]] = {}  # what is known of them, which several systems share

    @torch.inference_mode()
    def enrol(self, cuts: Iterable[Any]) -> None:
        """Whose voices there are: those of the speakers of ``cuts``.

        Raises:
            UserError: a cut has no speaker or cannot be read, or all have the same.
        """
        voices, speakers = [], []
        for cut in cuts:
            speakers.append(voice(cut)[0])
            if not speakers[-1]:
                raise UserError(f"{cut.id}: has no speaker; name it in the manifest, or leave speaker_encoder out")
            voices.append(self.embed(self._audio(cut).to(self.device)).cpu())
        if len({*speakers}) < 2:
            raise UserError(
                f"{speakers[0]} alone is enrolled, and of one voice none is nearest; give enrolment=... of several"
            )
        self.enrolled = enrol(torch.cat(voices), speakers)

    def recordings(self, cuts: Iterable[Any]) -> tuple[Measures, dict[str, float]]:
        """What is measured of recordings alone: what the same figures of what was made can reach. See ``pairs``."""
        return self.pairs([Pair(cut, cut, voice(cut)[0], voice(cut)[0]) for cut in cuts])

    @torch.inference_mode()
    def pairs(self, pairs: Sequence[Pair]) -> tuple[Measures, dict[str, float]]:
        """The measures by name, without those that found nothing to compare; and where voices are compared ``eer`` in percent
        and ``min_dcf``: how well the cosines of each utterance with every original but its own tell those of the speaker who
        should be heard from those of others.

        Raises:
            UserError: a cut cannot be read, or a measure cannot take it.
        """
        heard: Measures = {"levels": Levels(rate=self.rate), **self.more()}
        heard |= {"voices": SpeakerSimilarity(self.enrolled)} if self.embed else {}
        compared: Measures = {"cepstra": MelCepstralDistortion(rate=self.rate)}
        compared |= {"pitch": PitchErrors(rate=self.rate)} if self.prosody else {}
        spectra = SpectralDistance(rate=self.rate)
        voices = []
        for pair in pairs:
            original = self._heard(pair.original, remember=True)
            alone = pair.made is pair.original
            outputs = original if alone else self._heard(pair.made)
            batch = {"audio": original["audio"]} if alone else {**original, "source": [pair.source]}
            batch |= {"ids": [pair.made.id], "speaker": [pair.speaker]}
            chosen = heard if alone else heard | compared
            if not alone and spectra.in_step(*(int(x["audio"].lengths) for x in (outputs, batch))):
                chosen = {**chosen, "spectra": spectra}
            for measure in chosen.values():
                measure.update(outputs, batch)
            voices.append(outputs.get("voice"))
        found = {name: m for name, m in {**heard, **compared, "spectra": spectra}.items() if m.state()}
        return found, self._verified(torch.cat(voices), pairs) if self.embed else {}

    def _verified(self, voices: Tensor, pairs: Sequence[Pair]) -> dict[str, float]:
        originals = {pair.original.id: pair.source for pair in pairs}
        own = torch.tensor([[name == pair.original.id for name in originals] for pair in pairs])
        same = torch.tensor([[source == pair.speaker for source in originals.values()] for pair in pairs])[~own]
        if not bool(same.any()) or bool(same.all()):
            return {}  # all are of one kind
        theirs = torch.cat([self._originals[name]["voice"] for name in originals])
        scores = (unit_length(voices) @ unit_length(theirs).T)[~own]
        return {"eer": 100 * equal_error_rate(scores, same), "min_dcf": min_dcf(scores, same)}

    def _heard(self, cut: Any, remember: bool = False) -> dict[str, Any]:
        audio, known = self._audio(cut), self._originals.setdefault(cut.id, {}) if remember else {}
        if self.prosody is not None and "prosody" not in known:
            known["prosody"] = self.prosody(audio.to(self.device)).to("cpu")
        if self.embed is not None and "voice" not in known:
            known["voice"] = self.embed(audio.to(self.device)).cpu()
        return {"audio": audio, **known}

    def _audio(self, cut: Any) -> Seq:
        wave = hear(cut, self.rate)[None]
        return Seq(wave, torch.tensor([wave.size(1)]), Fraction(1, self.rate))
