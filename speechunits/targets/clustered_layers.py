"""Codes of a teacher's layers, from codebooks that move with it."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn

from speechunits.nn.instance_norm import instance_norm
from speechunits.part import Part, fill
from speechunits.protocols import Batch
from speechunits.quantizers.online_clusters import OnlineClusters
from speechunits.seq import Seq


class ClusteredLayers(nn.Module):
    """What the teacher made of a frame in several places, each coded by a codebook of its own (DinoSR, section 3.2).

    In training the codebooks gather the vectors of the frames that were hidden from the student.

    Args:
        top: so many of the last blocks, all where the encoder has fewer; one codebook each.
        place: "ffn" = what their feed-forward parts added, before the residual; "layer" = their outputs.
        quantizer: filled with ``dim`` and ``codebooks``.
        normalize: "instance" = each feature to mean 0 and variance 1 over the real frames of the utterance, in float32.
        dim, depth: of the encoder, supplied by the model.
    """

    def __init__(
        self,
        top: int = 8,
        place: Literal["ffn", "layer"] = "ffn",
        quantizer: Part[OnlineClusters] = OnlineClusters,
        normalize: Literal["instance", "none"] = "instance",
        *,
        dim: int,
        depth: int,
    ) -> None:
        super().__init__()
        if top < 1:
            raise ValueError(f"top={top}: at least the last block is read")
        self.reads = [f"{place}:{number}" for number in range(max(1, depth - top + 1), depth + 1)]
        self.normalize = normalize
        self.quantizer = fill(quantizer, dim=dim, codebooks=len(self.reads))
        self.vocab: tuple[int, ...] = self.quantizer.vocab

    def lengths(self, batch: Batch) -> None:
        """Nothing to know before the pass: every real frame has codes."""

    @torch.no_grad()
    def forward(self, passes: Any, batch: Batch) -> Seq:
        """(B, T, K) codes of every real frame.

        Args:
            passes: ``objectives.passes.Passes`` with a teacher that kept ``Hidden.ffn``.
        """
        places = [passes.teacher.read(where) for where in self.reads]
        with torch.autocast(places[0].data.device.type, enabled=False):
            if self.normalize == "instance":
                places = [instance_norm(x.with_data(x.data.to(self.quantizer.sums.dtype))) for x in places]
            x = places[0].with_data(torch.stack([x.data for x in places], 2))
        codes = self.quantizer(x)
        if self.training:
            for look in passes.student:
                keep = look.frames.pick("masked")
                self.quantizer.gather(x.data[keep], codes.data[keep])
        return codes
