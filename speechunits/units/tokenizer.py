"""UnitTokenizer: waveform to discrete units."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import torch
from torch import nn

from speechunits import store
from speechunits.part import Part, fill, node_of
from speechunits.seq import Seq
from speechunits.stream import Stream
from speechunits.units.features import Features
from speechunits.units.units import Units


class UnitTokenizer(nn.Module):
    """Features, a quantizer and what shortens the result.

    Args:
        features: audio to vectors.
        quantizer: vectors to codes; filled with ``dim``.
        shrink: applied in order to the Units, e.g. ``[Dedup()]``.
    """

    fingerprint: str = ""

    def __init__(self, features: Features, quantizer: Part[nn.Module], shrink: Sequence[nn.Module] = ()) -> None:
        super().__init__()
        self.features = features
        self.quantizer = fill(quantizer, dim=features.dim)
        self.shrink = nn.ModuleList(shrink)

    @property
    def vocab(self) -> tuple[int, ...]:
        """Codes per codebook."""
        return tuple(self.quantizer.vocab)

    @property
    def hop(self) -> Fraction:
        """Seconds per code, before anything is merged."""
        return self.features.hop

    @property
    def stream(self) -> Stream:
        """What a consumer of the stored codes must know."""
        return Stream(self.hop, self.vocab, self.fingerprint)

    @torch.inference_mode()
    def codes(self, audio: Seq) -> Seq:
        """(B, S) -> (B, T, K) codes, nothing merged. Call in eval mode."""
        vectors = self.features(audio)
        _, codes, _ = self.quantizer(vectors)
        return vectors.with_data(codes)

    def encode(self, audio: Seq) -> Units:
        """(B, S) audio -> Units, shortened by ``shrink``."""
        units = Units(self.codes(audio), self.vocab, self.fingerprint)
        for step in self.shrink:
            units = step(units)
        return units

    @classmethod
    def join(cls, features: Features, quantizer: nn.Module, shrink: Sequence[nn.Module] = ()) -> UnitTokenizer:
        """A tokenizer of parts that exist already; it can be saved as long as each part was built by ``config.build``."""
        made = cls(features, quantizer, shrink)
        node = {"features": node_of(features), "quantizer": node_of(quantizer), "shrink": [node_of(s) for s in shrink]}
        object.__setattr__(made, "_node", {"_target_": f"{cls.__module__}.{cls.__qualname__}", **node})
        return made.eval()

    def save(self, folder: str | Path, derived_from: Sequence[str] = ()) -> str:
        """Write the tokenizer as a folder; returns and keeps its fingerprint."""
        self.fingerprint = store.save(
            self, folder, derived_from=derived_from, kind="tokenizer", hop=str(self.hop), vocab=list(self.vocab)
        )
        return self.fingerprint

    @classmethod
    def load(cls, folder: str | Path, device: str | torch.device = "cpu") -> UnitTokenizer:
        """Read what ``save`` wrote."""
        return store.restore(folder, device, expect=cls)  # type: ignore[no-any-return]
