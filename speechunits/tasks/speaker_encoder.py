"""SpeakerEncoder: who speaks, as one vector."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechunits.draws import Draws
from speechunits.errors import UserError
from speechunits.heads.attentive_statistics import AttentiveStatistics
from speechunits.part import Part, fill
from speechunits.protocols import Batch
from speechunits.seq import Seq
from speechunits.stream import Stream


class SpeakerEncoder(nn.Module):
    """Input, encoder, pooling, norm, linear map: an utterance to a vector of length 1 (x-vectors: Snyder et al. 2018, ICASSP).
    Vectors are compared by their cosine. Reads what the input reads. ``SpeakerTraining`` trains it.

    Args:
        input: batch to frames (``inputs``), filled with ``streams``: filterbanks, or layers of a pre-trained encoder.
        encoder: frames to Hidden, whose ``final`` is pooled, filled with ``dim_in``; a linear map stands before one of another
            dimension. None: the input's frames are pooled.
        pooling: frames (B, T, dim_in) to (B, its ``dim``), filled with ``dim_in``.
        norm: of what was pooled, filled with ``dim`` (``RunningNorm``): what all voices have in common keeps vectors so near to
            each other that classes are found late. None: as it is.
        dim: of a vector.
        streams: fields of codes and vectors that the data offers, supplied by the parent.
    """

    def __init__(
        self,
        input: Part[nn.Module],
        encoder: Part[nn.Module] | None = None,
        pooling: Part[nn.Module] = AttentiveStatistics,
        norm: Part[nn.Module] | None = None,
        dim: int = 192,
        *,
        streams: Mapping[str, Stream],
    ) -> None:
        super().__init__()
        self.input = fill(input, streams=streams)
        width = int(self.input.dim)
        self.encoder = None if encoder is None else fill(encoder, dim_in=width)
        self.entry: nn.Module = nn.Identity()
        if self.encoder is not None:
            if width != self.encoder.dim_in:
                self.entry = nn.Linear(width, int(self.encoder.dim_in))
            width = int(self.encoder.dim)
        self.pooling = fill(pooling, dim_in=width)
        pooled = int(self.pooling.dim)
        self.norm = nn.Identity() if norm is None else fill(norm, dim=pooled)
        self.linear = nn.Linear(pooled, dim)
        self.dim = dim

    def forward(self, batch: Batch, draws: Draws | None = None) -> Tensor:
        """-> (B, dim) of length 1. ``draws``: hide and distort what is heard by these draws."""
        x = self.input(batch, draws)
        if self.encoder is not None:
            x = self.encoder(x.with_data(self.entry(x.data))).final
        made = self.linear(self.norm(self.pooling(x)))
        return F.normalize(made.to(torch.promote_types(made.dtype, torch.float32)), dim=-1)

    @torch.no_grad()
    def embed(self, audio: Seq) -> Tensor:
        """Waveforms (B, S), or what else the input reads -> (B, dim) of length 1.

        Raises:
            UserError: an utterance is too short for a single frame.
        """
        batch = {self.input.field: audio}
        if not bool(self.input.lengths(batch).all()):
            shortest = int(audio.lengths.min()) * float(audio.hop or 0)
            raise UserError(f"an utterance of {shortest:.3f} s is too short to tell who speaks; leave it out")
        return self(batch)  # type: ignore[no-any-return]

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        """``voice``: (B, dim)."""
        return {"voice": self.embed(batch[self.input.field])}

    @property
    def labels(self) -> dict[str, str | None]:
        """Stored fields that it reads (see ``protocols.Finishes``)."""
        return dict(self.input.labels)
