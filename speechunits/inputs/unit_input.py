"""UnitInput: stored units to frames of features."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from speechunits.draws import Draws
from speechunits.errors import UserError
from speechunits.inputs.preparation import Preparation
from speechunits.inputs.spelled_vectors import SpelledVectors
from speechunits.inputs.sum_fusion import SumFusion
from speechunits.part import Part, fill
from speechunits.protocols import Batch
from speechunits.seq import Seq
from speechunits.stream import Stream
from speechunits.units.unit_bpe import UnitBPE


class UnitInput(nn.Module):
    """A learned vector for each unit of each codebook, which are fused to one, hidden in part and shortened.

    Discrete units as input: Chang et al. 2023, arXiv:2309.15800, section 3. Reads ``batch[field]``, (B, T) or (B, T, K), where
    -1 of a codebook is nothing heard of it, and where it is there ``batch[durations_field]``, (B, T) frames of each unit.

    Args:
        dim: of the vectors.
        field: of the units, one codebook or several.
        spelling: of units that are subwords, whose vectors are then made of those of their units (``SpelledVectors``).
        fusion: of the vectors of several codebooks, filled with ``dim`` and ``count``; None = ``SumFusion``.
        durations: frames of each unit to a vector that is added, filled with ``dim``; None = nobody hears them.
        durations_field: of the frames of each unit (``DurationsField``).
        corruption: of units, in training; ``CodebookDropout`` for a vocoder of any of its codebooks.
        augment, subsampling: see ``Preparation``; ``SpecAugment(bands=0)`` masks time alone.
        dropout: of the vectors.
        streams: what the data offers, supplied by the model.

    Raises:
        ValueError: the data has no such field, or it holds other subwords than ``spelling``.
    """

    def __init__(
        self,
        dim: int,
        field: str = "units",
        spelling: UnitBPE | None = None,
        fusion: Part[nn.Module] | None = None,
        durations: Part[nn.Module] | None = None,
        durations_field: str = "durations",
        corruption: nn.Module | None = None,
        augment: Part[nn.Module] | None = None,
        subsampling: Part[nn.Module] | None = None,
        dropout: float = 0.0,
        *,
        streams: Mapping[str, Stream],
    ) -> None:
        super().__init__()
        if field not in streams or not streams[field].vocab:
            there = ", ".join(name for name, stream in streams.items() if stream.vocab) or "none"
            raise ValueError(f"the data has no field '{field}' of units; it has: {there}")
        self.field, self.durations_field, self.stream = field, durations_field, streams[field]
        if spelling is None:
            self.embeddings = nn.ModuleList(nn.Embedding(size, dim) for size in self.stream.vocab)
        elif not spelling.fingerprint or self.stream.fingerprint.endswith(
            f"+{spelling.fingerprint}"
        ):  # none: a saved model's
            self.embeddings = nn.ModuleList([SpelledVectors(spelling, dim)])
        else:
            raise ValueError(
                f"spelling: the units {self.stream.fingerprint} do not end in the subwords {spelling.fingerprint}; name the "
                f"step that makes them, as ${{data.fields.{field}.steps.subwords}}"
            )
        self.fusion = fill(fusion or SumFusion, dim=dim, count=len(self.embeddings))
        self.durations = None if durations is None else fill(durations, dim=self.fusion.dim)
        self.corruption = corruption
        self.dropout = nn.Dropout(dropout)
        self.prepare = Preparation(None, augment, subsampling, dim=int(self.fusion.dim), hop=self.stream.hop)
        self.dim, self.hop = self.prepare.dim, self.prepare.hop

    @property
    def labels(self) -> dict[str, str | None]:
        """The units must be those of the tokenizer and the steps that it was made for (see ``protocols.Finishes``)."""
        return {self.field: self.stream.fingerprint}

    def lengths(self, batch: Batch) -> Tensor:
        """(B,) frames that ``forward`` gives, from lengths alone."""
        return self.prepare.frames(batch[self.field].lengths)

    def edges(self, batch: Batch) -> Tensor | None:
        """(B, T + 1) float64 seconds at which those frames begin, and the last one ends. None where neither a hop nor
        durations tell.
        """
        units: Seq = batch[self.field]
        if self.hop is not None:
            return self.prepare.edges(units.lengths)
        if self.durations_field not in batch or (lasting := self._lasting(batch)).hop is None:
            return None
        ends = torch.nn.functional.pad((lasting.data * lasting.valid).cumsum(1), (1, 0))  # (B, units + 1)
        frames = self.prepare.frames(units.lengths)
        first = torch.arange(int(frames.max()) + 1, device=frames.device).minimum(frames[:, None]) * self.prepare.factor
        return ends.gather(1, first.clamp(max=units.data.size(1))).double() * float(lasting.hop)

    def _lasting(self, batch: Batch) -> Seq:
        """(B, T) frames of each unit."""
        lasting: Seq | None = batch.get(self.durations_field)
        if lasting is None or lasting.data.shape != batch[self.field].data.shape[:2]:
            raise UserError(
                f"the batch has no {self.durations_field} of {self.field}; add data.fields.{self.durations_field}: a "
                f"DurationsField of: ${{data.fields.{self.field}}}"
            )
        return lasting

    def forward(self, batch: Batch, draws: Draws | None = None) -> Seq:
        """-> (B, T, dim). ``draws``: hide and distort by these draws; None = all is heard as it is."""
        units: Seq = batch[self.field]
        units = units.with_data(units.data.reshape(*units.data.shape[:2], len(self.embeddings)))
        if draws is not None and self.corruption is not None:
            units = self.corruption(units, self.stream.vocab, draws)
        ids = units.data.clamp(min=0)
        vectors = torch.stack([e(ids[..., k]) for k, e in enumerate(self.embeddings)], 2)
        vectors = self.fusion(vectors * (units.data >= 0)[..., None])
        if self.durations is not None:
            vectors = vectors + self.durations(self._lasting(batch).data.clamp(min=0))
        x = units.with_data(self.dropout(vectors) * units.valid[..., None])
        return self.prepare(x, draws)  # type: ignore[no-any-return]
