"""Preparation: what lies between features and an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor, nn

from speechunits.draws import Draws
from speechunits.part import Part, fill
from speechunits.seq import Seq


class Preparation(nn.Module):
    """Normalise, hide and distort, subsample: each a slot, each may be empty.

    Args:
        norm: (B, T, D) -> (B, T, D), filled with ``dim``.
        augment: a masker, as ``SpecAugment``, filled with ``dim``; in training alone.
        subsampling: fewer frames, as ``Conv2dSubsampling``, filled with ``dim_in``; has ``dim``, ``factor``, ``frames``.
        dim: of the features. hop: seconds per frame of them; None where they have none (merged units).
    """

    def __init__(
        self,
        norm: Part[nn.Module] | None = None,
        augment: Part[nn.Module] | None = None,
        subsampling: Part[nn.Module] | None = None,
        *,
        dim: int,
        hop: Fraction | None,
    ) -> None:
        super().__init__()
        self.norm = None if norm is None else fill(norm, dim=dim)
        self.augment = None if augment is None else fill(augment, dim=dim)
        self.subsampling = None if subsampling is None else fill(subsampling, dim_in=dim)
        self.dim, self.factor = dim, 1
        if self.subsampling is not None:
            self.dim, self.factor = int(self.subsampling.dim), int(self.subsampling.factor)
        self.hop = None if hop is None else hop * self.factor

    def frames(self, lengths: Tensor) -> Tensor:
        """Frames of features (B,) -> frames of the output (B,)."""
        return lengths if self.subsampling is None else self.subsampling.frames(lengths)  # type: ignore[no-any-return, operator]

    def edges(self, lengths: Tensor) -> Tensor:
        """Frames of features (B,) -> seconds (B, T + 1) float64 at which frames of the output begin, and the last one ends."""
        assert self.hop is not None, "without a hop nobody knows"
        frames = self.frames(lengths)
        counted = torch.arange(int(frames.max()) + 1, device=frames.device).minimum(frames[:, None])
        return counted.double() * float(self.hop)

    def forward(self, x: Seq, draws: Draws | None = None) -> Seq:
        """(B, T, dim) -> (B, frames(T), dim of the output). ``draws``: hide and distort by these; None = nothing."""
        if self.norm is not None:
            x = self.norm(x)
        if self.augment is not None and draws is not None:
            x, _, _ = self.augment(x, draws)
        return x if self.subsampling is None else self.subsampling(x)  # type: ignore[no-any-return]

    def stream(self, x: Seq, state: Sequence[Tensor] | None = None) -> tuple[Seq, Sequence[Tensor] | None]:
        """``forward`` without draws, and the state for the frames that follow; all calls but an utterance's last take a
        multiple of ``factor`` frames. ``norm`` must look at each frame alone, as ``GlobalNorm`` does.
        """
        if self.norm is not None:
            x = self.norm(x)
        return (x, None) if self.subsampling is None else self.subsampling.stream(x, state)  # type: ignore[return-value, operator]
