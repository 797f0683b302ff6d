"""A tiny model that predicts stored units of tiny.py's samples, and data that carry any labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from speechunits.encoder import SpeechEncoder
from speechunits.encoders.transformer import TransformerEncoder
from speechunits.heads.linear import LinearHead
from speechunits.maskers.span import SpanMasker
from speechunits.nn.stacked_conv_positions import StackedConvPositions
from speechunits.objectives.masked_prediction import MaskedPrediction
from speechunits.pretraining import SSLModel
from speechunits.stream import Stream
from speechunits.targets.stored import StoredUnits
from tests.train.distilled import Samples
from tests.train.tiny import HOP, batch

CODES = 5


def predicting(more: Mapping[str, Any] | None = None) -> SSLModel:
    """Masked prediction of stored codes, and ``more`` objectives."""
    encoder = SpeechEncoder(
        Samples(),
        partial(TransformerEncoder, 1, 8, 16, 2, 0.0, 0.0, positions=partial(StackedConvPositions, 2, 3, groups=2)),
        masker=partial(SpanMasker, 0.5, 3, minimum=1),
    )
    units: Callable[..., nn.Module] = partial(MaskedPrediction, StoredUnits, LinearHead)
    return SSLModel(encoder, {"units": units, **(more or {})}, streams={"units": Stream(HOP, (CODES,), "0" * 16)})


def varied(samples: Tensor) -> Tensor:
    """Five labels, about equally frequent, that a hidden sample does not give away."""
    return (samples.abs() * 1e4).long() % CODES


def constant(samples: Tensor) -> Tensor:
    return torch.full_like(samples, 3, dtype=torch.int64)


class LabelledData(lightning.LightningDataModule):
    """Eight windows, again and again, each sample labelled by ``label``; ``before(window)`` is called in the loader."""

    def __init__(self, label: Callable[[Tensor], Tensor] = varied, before: Callable[[int], Any] | None = None) -> None:
        super().__init__()
        self.label, self.before = label, before

    def __len__(self) -> int:
        return 8

    def __getitem__(self, window: int) -> list[Any]:
        if window >= len(self):
            raise IndexError(window)
        if self.before is not None:
            self.before(window)
        made = batch(window)
        audio = made["audio"]
        units = audio.with_data(self.label(audio.data).masked_fill(~audio.valid, -1))
        return [{**made, "units": units}]

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self, batch_size=None, shuffle=False)  # type: ignore[arg-type]
