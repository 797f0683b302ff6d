"""LayerFeatures: the vectors of several layers of an encoder, from one pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch

from speechunits.encoder import SpeechEncoder
from speechunits.seq import Seq
from speechunits.units.features import Features


class LayerFeatures(Features):
    """As ``Features``, (B, T, L, D): what a weighted sum of layers is learned on without the encoder (``FeatureInput``).

    Args:
        source: a SpeechEncoder.
        layers: their numbers, as 9 for "layer:9"; those above the highest are not run.
        every, pool, chunk, context: see ``Features``.

    Raises:
        ValueError: no layer, or one that the encoder does not have.
    """

    def __init__(
        self,
        source: SpeechEncoder,
        layers: Sequence[int],
        every: int = 1,
        pool: Literal["first", "mean"] = "first",
        chunk: float = 60.0,
        context: float = 5.0,
    ) -> None:
        if not layers:
            raise ValueError("give the numbers of the layers to keep, as [6, 9]")
        super().__init__(source, f"layer:{max(layers)}", every, pool, chunk, context)
        self.layers = tuple(layers)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.layers), self.dim)

    def _read(self, audio: Seq) -> Seq:
        look = self.source(audio, depth=self.depth)
        return look.clean.with_data(torch.stack([look.hidden.layers[i] for i in self.layers], 2))
