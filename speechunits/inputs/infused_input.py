"""InfusedInput: frames of one input, enriched with those of another."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from torch import Tensor, nn

from speechunits.draws import Draws
from speechunits.part import Part, fill
from speechunits.protocols import Batch
from speechunits.seq import Seq
from speechunits.stream import Stream


class InfusedInput(nn.Module):
    """A filterbank (``input``) with features of a pre-trained encoder beside it (``features``), joined before the recogniser's
    own encoder (Prabhu et al. 2024, arXiv:2404.12628). Stored features make training as fast as on the filterbank alone.

    Args:
        input: gives the frames, their rate and dimension; filled with ``streams``.
        features: what is added to them (``FeatureInput``, ``EncoderInput``); filled with ``streams``.
        infusion: (B, T, dim) and (B, T', dim_in) -> (B, T, dim), as ``FramewiseAddition`` or ``CrossAttention``; filled with
            ``dim`` and ``dim_in``. Its ``any_rate`` says whether the rates may be in any ratio.
        streams: what the data offers, supplied by the model.

    Raises:
        ValueError: the infusion needs rates in an integer ratio, and they are not.
    """

    def __init__(
        self,
        input: Part[nn.Module],
        features: Part[nn.Module],
        infusion: Part[nn.Module],
        *,
        streams: Mapping[str, Stream],
    ) -> None:
        super().__init__()
        self.input, self.features = fill(input, streams=streams), fill(features, streams=streams)
        self.infusion = fill(infusion, dim=self.input.dim, dim_in=self.features.dim)
        self.dim, self.hop = self.input.dim, self.input.hop
        if not self.infusion.any_rate and not _meet(self.hop, self.features.hop):  # type: ignore[arg-type]
            raise ValueError(
                f"input gives a frame every {self.hop} s and features one every {self.features.hop} s, in no integer ratio: "
                "subsample one of them, or take CrossAttention as infusion"
            )

    @property
    def labels(self) -> dict[str, str | None]:
        """What both must have been made by (see ``protocols.Finishes``)."""
        return {**self.input.labels, **self.features.labels}  # type: ignore[dict-item]

    def lengths(self, batch: Batch) -> Tensor:
        """(B,) frames that ``forward`` gives, from lengths alone."""
        return self.input.lengths(batch)  # type: ignore[no-any-return, operator]

    def edges(self, batch: Batch) -> Tensor:
        """(B, T + 1) seconds at which those frames begin, and the last one ends."""
        return self.input.edges(batch)  # type: ignore[no-any-return, operator]

    def forward(self, batch: Batch, draws: Draws | None = None) -> Seq:
        """-> (B, T, dim). ``draws``: hide and distort by these draws, each of the two by its own; None = nothing."""
        x, y = self.input(batch, draws), self.features(batch, None if draws is None else draws.scoped("features"))
        return self.infusion(x, y)  # type: ignore[no-any-return]


def _meet(one: Fraction | None, other: Fraction | None) -> bool:
    """Whether ``Seq.at`` can take one rate to the other; what is not tied to time meets nothing."""
    return bool(one and other and (max(one, other) / min(one, other)).denominator == 1)
