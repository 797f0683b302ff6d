"""Discriminators that judge in milliseconds."""

from __future__ import annotations

from functools import partial

from torch import nn

from speechunits.vocoders.discriminators import Discriminators
from speechunits.vocoders.period_discriminator import PeriodDiscriminator
from speechunits.vocoders.scale_discriminator import ScaleDiscriminator
from speechunits.vocoders.stft_discriminator import STFTDiscriminator


def period() -> PeriodDiscriminator:
    return PeriodDiscriminator((2, 3, 5), (4, 8, 8))


def scale() -> ScaleDiscriminator:
    return ScaleDiscriminator(2, (4, 16, 16, 16, 16, 16, 8))


def stft() -> STFTDiscriminator:
    return STFTDiscriminator((256, 128), 4, weight=0.5)


def all_three() -> nn.Module:
    return Discriminators(
        {"period": partial(PeriodDiscriminator, (2, 3, 5), (4, 8, 8)), "scale": scale(), "stft": stft()}
    )
