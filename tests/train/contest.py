"""A tiny real Adversarial for the data of tiny.py: some convolutions mend a noisy waveform, others judge it."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from speechunits.draws import draws
from speechunits.seq import Seq
from speechunits.term import Term
from speechunits.train.adversarial_module import AdversarialModule
from speechunits.train.optim import adamw
from speechunits.train.schedules import polynomial_decay
from tests.train import tiny
from tests.train.tiny import HOP, TinyData


class Mender(nn.Module):
    """(B, S) -> (B, S); no sample hears padding."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(1, 4, 5, padding=2), nn.Conv1d(4, 1, 5, padding=2)
        self.dropout = nn.Dropout(dropout)

    def forward(self, wave: Tensor, valid: Tensor) -> Tensor:
        x = torch.tanh(self.first((wave * valid)[:, None]))
        return (self.second(self.dropout(x) * valid[:, None]) * valid[:, None])[:, 0].to(wave)


class Judge(nn.Module):
    """(B, S) -> scores (B, T), features (B, 4, T) and which of the T frames are real."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(1, 4, 5, stride=2, padding=2), nn.Conv1d(4, 1, 3, padding=1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, wave: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        kept = valid[:, ::2]
        features = torch.nn.functional.leaky_relu(self.first((wave * valid)[:, None]), 0.1) * kept[:, None]
        return self.second(self.dropout(features))[:, 0].to(wave), features.to(wave), kept


def mean(x: Tensor, valid: Tensor) -> Tensor:
    """(B, T) -> (B,), of the real frames of each segment."""
    return (x * valid).sum(1) / valid.sum(1)


class Contest(nn.Module):
    """Least squares, feature matching and distance of waveforms; the average of the generator is what validation hears.

    A batch may have ``spoil``, by which the generator's loss alone is multiplied.

    Args:
        decay: of the average.
        begin: completed updates before the discriminator acts.
    """

    average: nn.Module
    step: Tensor

    def __init__(self, generator: nn.Module, discriminator: nn.Module, decay: float = 0.9, begin: int = 0) -> None:
        super().__init__()
        self.generator, self.discriminator = generator, discriminator
        self.decay, self.begin = decay, begin
        self.average = copy.deepcopy(generator).requires_grad_(False)
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self.labels: dict[str, str | None] = {}

    @property
    def acts(self) -> bool:
        return int(self.step) >= self.begin

    def counts(self, batch: Any) -> dict[str, Tensor]:
        segments = torch.tensor(len(batch["draws"].ids))
        names = ("discriminator/real", "discriminator/made", "generator/judged", "generator/features")
        return dict.fromkeys(names, segments) | {"generator/wave": batch["audio"].lengths.sum()}

    def noisy(self, batch: Any) -> Tensor:
        audio: Seq = batch["audio"]
        noise = torch.zeros_like(audio.data)
        for row, n, random in zip(noise, audio.lengths.tolist(), batch["draws"].generators("noise"), strict=True):
            row[:n] = torch.from_numpy(random.standard_normal(n))
        return audio.data + 0.5 * noise

    def generate(self, batch: Any) -> Tensor:
        made: Tensor = self.generator(self.noisy(batch), batch["audio"].valid)
        return made

    def discriminator_terms(self, batch: Any, made: Tensor) -> dict[str, Term]:
        audio, count, weight = batch["audio"], self.counts(batch), float(self.acts)
        real, _, kept = self.discriminator(audio.data, audio.valid)
        fake, _, _ = self.discriminator(made.detach(), audio.valid)
        return {
            "discriminator/real": Term(mean((1 - real).square(), kept).sum(), count["discriminator/real"], weight),
            "discriminator/made": Term(mean(fake.square(), kept).sum(), count["discriminator/made"], weight),
            "discriminator/right": Term(mean((real > fake).to(real), kept).sum(), count["discriminator/real"], 0.0),
        }

    def generator_terms(self, batch: Any, made: Tensor) -> dict[str, Term]:
        audio, count, weight = batch["audio"], self.counts(batch), float(self.acts)
        _, real, kept = self.discriminator(audio.data, audio.valid)
        judged, features, _ = self.discriminator(made, audio.valid)
        near = mean((features - real).abs().mean(1), kept)
        wave = ((made - audio.data).abs() * audio.valid).sum() * batch.get("spoil", 1.0)
        return {
            "generator/judged": Term(mean((1 - judged).square(), kept).sum(), count["generator/judged"], weight),
            "generator/features": Term(near.sum(), count["generator/features"], 2 * weight),
            "generator/wave": Term(wave, count["generator/wave"], 5.0),
        }

    def terms(self, batch: Any) -> dict[str, Term]:
        made = self.predict(batch)["y"]
        judges = {name: Term(t.num, t.den, 0.0) for name, t in self.discriminator_terms(batch, made).items()}
        return judges | self.generator_terms(batch, made)

    def predict(self, batch: Any) -> dict[str, Any]:
        return {"y": self.average(self.noisy(batch), batch["audio"].valid)}

    def artefacts(self) -> dict[str, nn.Module]:
        return {"mender": self.average}

    @torch.no_grad()
    def on_step(self, step: int, root: nn.Module) -> None:
        self.step.fill_(step)
        torch._foreach_lerp_([*self.average.parameters()], [*self.generator.parameters()], 1 - self.decay)


def contest(dropout: float = 0.0, **more: Any) -> Contest:
    return Contest(Mender(dropout), Judge(dropout), **more)


def exact(**more: Any) -> Contest:
    return contest(**more).double()


def nobody(like: Tensor) -> dict[str, Any]:
    """A micro-batch of no utterance that does not say so: it is gone through, draws nothing and adds nothing."""
    return {"audio": Seq(like.new_zeros(0, 7), torch.zeros(0, dtype=torch.int64), HOP), "draws": draws([])}


OPTIONS: dict[str, Any] = {
    "optimizer": partial(adamw, lr=1e-2),
    "schedule": partial(polynomial_decay, warmup=2, total=20),
    "discriminator_optimizer": partial(adamw, lr=2e-2, betas=(0.8, 0.99)),
    "discriminator_schedule": partial(polynomial_decay, warmup=1, total=30),
}


def train(folder: Path, steps: int | None, data: TinyData | None = None, model: Any = contest, **more: Any) -> Any:
    """``tiny.train`` of a contest; ``options`` go to AdversarialModule."""
    options = {**OPTIONS, **more.pop("options", {})}
    return tiny.train(folder, steps, data, model, options=options, drive=AdversarialModule, **more)
