"""Toy speakers, each a chord of formants of his own with sounds that everybody makes, and toy speaker encoders."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from speechunits.draws import draws
from speechunits.part import Tree
from speechunits.seq import pad

LOG_MEL = {"_target_": "speechunits.frontends.log_mel.LogMel", "bands": 20, "normalize": "mean"}
STILL = {"dropout": 0.0, "attention_dropout": 0.0}
BLOCK = {"_target_": "speechunits.nn.conformer.ConformerBlock", "ffn": 16, "kernel": 3, **STILL}
ENCODER = {
    **{"_target_": "speechunits.encoders.block_encoder.BlockEncoder", "block": BLOCK, "depth": 1, "dim": 8, "heads": 2},
    "dropout": 0.0,
}
CONTRASTIVE = {"_target_": "speechunits.heads.supervised_contrastive.SupervisedContrastive"}
EXCERPT = {"_target_": "speechunits.views.excerpt.Excerpt", "seconds": 0.5}


def speaker_encoder(**changes: Any) -> Tree:
    """Filterbanks, one Conformer block, attentive statistics, their norm, vectors of 6."""
    node = {
        "_target_": "speechunits.tasks.speaker_encoder.SpeakerEncoder",
        "input": {"_target_": "speechunits.inputs.audio_input.AudioInput", "frontend": LOG_MEL},
        "encoder": ENCODER,
        "norm": {"_target_": "speechunits.nn.running_norm.RunningNorm"},
        "dim": 6,
    }
    return {k: v for k, v in {**node, **changes}.items() if v is not None}


def training(losses: Tree, **changes: Any) -> Tree:
    node = {"_target_": "speechunits.tasks.speaker_training.SpeakerTraining", "speaker_encoder": speaker_encoder()}
    return {**node, "losses": losses, **changes}


def classes(names: Sequence[str]) -> Tree:
    listed = {"_target_": "speechunits.text.names.Names", "names": list(names)}
    return {"_target_": "speechunits.heads.margin_softmax.MarginSoftmax", "names": listed}


def voice(speaker: int, utterance: int, seconds: float) -> torch.Tensor:
    """(S,): pieces of 100 ms of one of five sounds, through the speaker's own two resonances, with noise of any level."""
    own, said = np.random.default_rng(speaker), np.random.default_rng(1000 * speaker + utterance)
    pitch, formants, count = own.uniform(90, 250), own.uniform(400, 3500, 2), round(16000 * seconds)
    t = np.arange(count) / 16000
    harmonics = np.arange(1, 25) * pitch
    sound = said.integers(0, 5, count // 1600 + 1).repeat(1600)[:count]
    wave = np.zeros(count)
    for f in harmonics:
        own_level = sum(np.exp(-(((f - g) / 250) ** 2)) for g in formants) + 0.1
        said_level = np.exp(-(((f - 500 * (sound + 1)) / 400) ** 2)) + 0.2
        wave += own_level * said_level * np.sin(2 * np.pi * f * t + said.uniform(0, 6))
    wave = wave / np.abs(wave).max() * said.uniform(0.05, 0.5) + said.normal(0, 0.003, count)
    return torch.from_numpy(wave).float()


def batch(said: Sequence[tuple[int, int]], seconds: Sequence[float] | float = 1.0) -> dict[str, Any]:
    """Utterances (speaker, number), each the same whatever stands beside it."""
    lengths = [seconds] * len(said) if isinstance(seconds, float) else seconds
    ids = [f"s{speaker}-{number}" for speaker, number in said]
    rows = [voice(*each, length) for each, length in zip(said, lengths, strict=True)]
    return {
        "audio": pad(rows, Fraction(1, 16000)),
        "speaker": [f"s{speaker}" for speaker, _ in said],
        "ids": ids,
        "draws": draws(ids),
    }
