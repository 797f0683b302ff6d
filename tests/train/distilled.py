"""A tiny self-distilled model (DinoSR's parts) for the data of tiny.py: every sample is a frame."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from speechunits.encoder import SpeechEncoder
from speechunits.encoders.transformer import TransformerEncoder
from speechunits.heads.linear import LinearHead
from speechunits.maskers.span import SpanMasker
from speechunits.nn.stacked_conv_positions import StackedConvPositions
from speechunits.objectives.masked_prediction import MaskedPrediction
from speechunits.pretraining import SSLModel
from speechunits.quantizers.online_clusters import OnlineClusters
from speechunits.seq import Seq
from speechunits.targets.clustered_layers import ClusteredLayers
from speechunits.teacher import Teacher
from tests.train.tiny import HOP


class Samples(nn.Module):
    """A frame for every sample."""

    dim, hop = 8, HOP

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(1, 8)

    def frames(self, lengths: Tensor) -> Tensor:
        return lengths

    def forward(self, audio: Seq) -> Seq:
        return audio.with_data(self.linear(audio.data[..., None]))


def encoder(dropout: float = 0.0, **masker: Any) -> SpeechEncoder:
    positions = partial(StackedConvPositions, 2, 3, groups=2)
    layers = partial(TransformerEncoder, 2, 8, 16, 2, dropout, dropout, layerdrop=dropout, positions=positions)
    return SpeechEncoder(Samples(), layers, masker=partial(SpanMasker, 0.5, 3, minimum=1, **masker))


def distilled(dropout: float = 0.0) -> SSLModel:
    target = partial(ClusteredLayers, 2, quantizer=partial(OnlineClusters, 5))
    objective = partial(MaskedPrediction, target, LinearHead)
    return SSLModel(encoder(dropout), {"units": objective}, partial(Teacher, 0.5, 0.9, 6), streams={})


def exact() -> SSLModel:
    return distilled().to(torch.float64)
