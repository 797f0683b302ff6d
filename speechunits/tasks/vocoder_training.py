"""VocoderTraining: a vocoder, those who judge it, and what both are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from speechunits.errors import UserError
from speechunits.nn.moving_average import MovingAverage
from speechunits.part import Part, fill
from speechunits.protocols import Batch
from speechunits.seq import Seq
from speechunits.stream import Stream
from speechunits.term import Term
from speechunits.vocoders.adversarial_loss import AdversarialLoss, feature_distance
from speechunits.vocoders.mel_distance import MelDistance


class VocoderTraining(nn.Module):
    """A vocoder that is trained against discriminators (see ``protocols.Adversarial``).

    Losses and weights of HiFi-GAN (Kong et al. 2020, https://arxiv.org/abs/2010.05646, equations 1 to 6) and of the duration
    predictor of unit vocoders (Lee et al. 2021, https://arxiv.org/abs/2107.05604, section 3.3). Every term is a mean over
    segments; those of one length are judged together, so that nothing that is reflected or convolved sees padding. Where made
    and real audio differ in length, as by the last frame of a window, the shorter counts. Validation and prediction are those
    of the moving average, and it is what is saved; validation has the terms that do not depend on the discriminators.

    Reads what the vocoder reads, ``batch["audio"]`` and ``batch["draws"]``.

    Args:
        vocoder: a ``UnitVocoder``, filled with ``streams``; of a folder (``store.restore``) to train it further.
        discriminators: waveforms to scores and features, see ``Discriminators``.
        mel: the distance of two waveforms, filled with ``rate``; None = ``MelDistance()``.
        loss: of both sides; None = least squares.
        adversarial_weight, features_weight, mel_weight, duration_weight: of the generator's terms.
        adversarial_from: updates before the discriminators are trained and heard.
        average: decay of the moving average of the vocoder; None = none.
        streams: fields of codes that the data offers, supplied by the recipe.

    Attributes:
        generator: what the first optimizer trains; with ``discriminator``, what the second one does.
        vocoder: what is validated, predicts and is saved.

    Raises:
        UserError: audio of another rate than the vocoder's.
    """

    updates: Tensor

    def __init__(
        self,
        vocoder: Part[nn.Module],
        discriminators: Part[nn.Module],
        mel: Part[nn.Module] | None = None,
        loss: AdversarialLoss | None = None,
        adversarial_weight: float = 1.0,
        features_weight: float = 1.0,
        mel_weight: float = 45.0,
        duration_weight: float = 1.0,
        adversarial_from: int = 0,
        average: float | None = 0.999,
        *,
        streams: Mapping[str, Stream],
    ) -> None:
        super().__init__()
        self.generator = fill(vocoder, streams=streams)
        self.discriminator = fill(discriminators)
        self.mel = fill(mel or MelDistance, rate=self.generator.rate)
        self.loss = loss or AdversarialLoss()
        self.weights = {"adversarial": adversarial_weight, "features": features_weight, "mel": mel_weight}
        self.duration_weight, self.adversarial_from = duration_weight, adversarial_from
        self.average = None if average is None else MovingAverage(average, self.generator)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.register_load_state_dict_post_hook(VocoderTraining._awake)  # by its class: a copy looks at itself
        self._awake()

    def _awake(self, *_: object) -> None:
        at = 0 if self.updates.is_meta else int(self.updates)  # a number at hand: asking a GPU at each pass would cost
        self.judged = at >= self.adversarial_from

    def on_step(self, step: int, root: nn.Module) -> None:
        """Let the discriminators in once ``adversarial_from`` updates are complete."""
        self.updates.fill_(step)
        self.judged = step >= self.adversarial_from

    @property
    def vocoder(self) -> nn.Module:
        return self.generator if self.average is None else self.average.module

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        """Segments, for each weighted term of both sides, and what the durations count."""
        audio: Seq = batch["audio"]
        names = [f"generator/{name}" for name in self._heard() if self.weights[name]]
        names += ["discriminator/real", "discriminator/made"] if self.judged else []
        told = self.generator.duration_counts(batch) if self.duration_weight else {}
        segments = audio.lengths.new_full((), len(audio.lengths))
        return dict.fromkeys(names, segments) | {f"generator/{name}": den for name, den in told.items()}

    def generate(self, batch: Batch) -> Seq:
        """(B, S) as the weights in training make it."""
        return self.generator(batch, batch["draws"] if self.training else None)

    def discriminator_terms(self, batch: Batch, made: Seq) -> dict[str, Term]:
        """``real`` and ``made``, weighted sums over discriminators; nothing before they are let in."""
        if not self.judged:
            return {}
        weights, sums = self.discriminator.weights, {"real": 0.0, "made": 0.0}
        for ours, theirs in _pairs(made.with_data(made.data.detach()), batch["audio"]):
            judged = self.discriminator(torch.cat([theirs, ours]))  # at once, for no part looks beyond its row
            halves = [[(score.chunk(2)[half], []) for score, _ in judged] for half in (0, 1)]
            sums["real"] += self.loss.real(halves[0], weights)
            sums["made"] += self.loss.made(halves[1], weights)
        return {f"discriminator/{name}": self._term(total, batch, 1.0) for name, total in sums.items()}

    def generator_terms(self, batch: Batch, made: Seq) -> dict[str, Term]:
        """``adversarial``, ``features`` and ``mel`` with their weights, and those of the durations."""
        weights, sums = self.discriminator.weights, dict.fromkeys(self._heard(), 0.0)
        for ours, theirs in _pairs(made, batch["audio"]):
            sums["mel"] += self.mel(ours, theirs).sum()
            if self.judged:
                with torch.no_grad():
                    known = self.discriminator(theirs)
                judged = self.discriminator(ours)
                sums["adversarial"] += self.loss.fooling(judged, weights)
                sums["features"] += feature_distance(judged, known, weights)
        terms = {f"generator/{name}": self._term(total, batch, self.weights[name]) for name, total in sums.items()}
        return terms | self._told(self.generator, batch)

    @torch.no_grad()
    def terms(self, batch: Batch) -> dict[str, Term]:
        """Validation: ``mel`` and the durations, of the moving average."""
        made = self.vocoder(batch)
        total = sum(self.mel(ours, theirs).sum() for ours, theirs in _pairs(made, batch["audio"]))
        return {"generator/mel": self._term(total, batch, self.weights["mel"])} | self._told(self.vocoder, batch)

    @torch.no_grad()
    def predict(self, batch: Batch) -> dict[str, Any]:
        """``audio``: Seq (B, S)."""
        return self.vocoder.predict(batch)

    @property
    def labels(self) -> dict[str, str | None]:
        """Those of the vocoder (see ``protocols.Finishes``)."""
        return self.generator.labels

    def artefacts(self) -> dict[str, nn.Module]:
        return {"vocoder": self.vocoder}

    def _heard(self) -> list[str]:
        return ["adversarial", "features", "mel"] if self.judged else ["mel"]

    def _term(self, total: Tensor, batch: Batch, weight: float) -> Term:
        return Term(total, total.new_full((), len(batch["audio"].lengths)), weight)

    def _told(self, vocoder: nn.Module, batch: Batch) -> dict[str, Term]:
        terms = vocoder.duration_terms(batch)
        return {f"generator/{n}": Term(t.num, t.den, t.weight * self.duration_weight) for n, t in terms.items()}


def _pairs(made: Seq, real: Seq) -> list[tuple[Tensor, Tensor]]:
    """Made and real waveforms (N, S) side by side, for each length that occurs."""
    if made.hop != real.hop:
        raise UserError(
            f"data.fields.audio: the audio has {1 / real.hop} Hz, the vocoder speaks at {1 / made.hop} Hz; set rate="
            f"{1 / made.hop} there or take another generator"
        )
    lengths = torch.minimum(made.lengths, real.lengths)
    there = lengths.unique().tolist()
    rows = [slice(None)] if len(there) == 1 else [lengths == n for n in there]  # segments of training are not copied
    return [(made.data[row, :n], real.data[row, :n]) for row, n in zip(rows, there, strict=True)]
