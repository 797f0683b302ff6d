"""Vocoders with random weights and the smallest real generator, which says something of any units."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from speechunits.config import build
from speechunits.seq import Seq
from speechunits.stream import Stream
from speechunits.tasks.unit_vocoder import UnitVocoder

HOP = Fraction(1, 50)
STREAMS = {"units": Stream(HOP, (6,), "abc")}


class Transposed(nn.Module):
    """One transposed convolution over two frames, and tanh: a generator that hears one frame on both sides.

    Args:
        gain: of the samples after tanh.
    """

    def __init__(self, rate: int = 16000, gain: float = 1.0, *, dim: int, hop: Fraction) -> None:
        super().__init__()
        self.dim, self.hop, self.rate, self.factor, self.gain = dim, hop, rate, int(hop * rate), gain
        self.up = nn.ConvTranspose1d(dim, 1, 2 * self.factor, self.factor, padding=self.factor // 2)
        self.folded = False

    def forward(self, x: Seq) -> Seq:
        wave = self.up((x.data * x.valid[..., None]).transpose(1, 2))[:, 0].tanh() * self.gain
        out = Seq(wave, x.lengths * self.factor, Fraction(1, self.rate))
        return out.with_data(out.data * out.valid)

    def fold(self) -> None:
        self.folded = True


class Beside(nn.Module):
    """A condition in time with the units: stored features as they are."""

    def __init__(self, *, streams: Mapping[str, Stream]) -> None:
        super().__init__()
        (self.dim,) = streams["features"].shape
        self.labels = {"features": streams["features"].fingerprint}

    def forward(self, batch: Mapping[str, Any], frames: Seq) -> Tensor:
        return batch["features"].at(frames.hop, frames.data.size(1)).data


class Loudness(nn.Module):
    """A speaker encoder of two numbers: how loud, and how uneven."""

    def __init__(self) -> None:
        super().__init__()
        self.dim = 2

    def embed(self, audio: Seq) -> Tensor:
        return torch.stack([audio.data.abs().mean(1), audio.data.std(1)], 1)


GENERATOR = {"_target_": f"{__name__}.Transposed"}
INPUT = {"_target_": "speechunits.inputs.unit_input.UnitInput", "dim": 5}
DURATIONS = {"_target_": "speechunits.heads.duration.DurationPredictor", "hidden": 8}
SPEAKER = {
    "_target_": "speechunits.inputs.label_table.LabelTable",
    "names": {"_target_": "speechunits.text.names.Names", "names": ["ada", "bob"]},
    "dim": 3,
}


def voiced(streams: Mapping[str, Stream] = STREAMS, **more: Any) -> UnitVocoder:
    """In evaluation mode; ``more`` are its arguments."""
    torch.manual_seed(0)
    tree = {
        "_target_": "speechunits.tasks.unit_vocoder.UnitVocoder",
        "input": INPUT,
        "generator": GENERATOR,
        **more,
    }
    made: UnitVocoder = build(tree, streams=streams).eval()
    return made
