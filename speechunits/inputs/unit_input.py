"""UnitInput: stored units to frames of features."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from speechunits.draws import Draws
from speechunits.protocols import Batch
from speechunits.seq import Seq
from speechunits.stream import Stream


class UnitInput(nn.Module):
    """A learned vector for each unit. Reads ``batch[field]``.

    Args:
        dim: of the vectors.
        field: of the units, one codebook.
        streams: what the data offers, supplied by the model.

    Raises:
        ValueError: the data has no such field, or one of several codebooks.
    """

    def __init__(self, dim: int, field: str = "units", *, streams: Mapping[str, Stream]) -> None:
        super().__init__()
        if field not in streams:
            raise ValueError(f"the data has no field '{field}' of units; it has: {', '.join(streams) or 'none'}")
        self.field, self.dim, self.stream = field, dim, streams[field]
        if len(self.stream.vocab) != 1:
            raise ValueError(f"the field '{field}' has {len(self.stream.vocab)} codebooks, and UnitInput reads one")
        self.embedding = nn.Embedding(self.stream.vocab[0], dim)

    @property
    def labels(self) -> dict[str, str | None]:
        """The units must be those of the tokenizer that it was made for (see ``protocols.Finishes``)."""
        return {self.field: self.stream.fingerprint}

    def lengths(self, batch: Batch) -> Tensor:
        """(B,) frames that ``forward`` gives, from lengths alone."""
        return batch[self.field].lengths  # type: ignore[no-any-return]

    def forward(self, batch: Batch, draws: Draws | None = None) -> Seq:
        """-> (B, T, dim). ``draws``: hide and distort by these draws; None = all is heard as it is."""
        units = batch[self.field]
        return units.with_data(self.embedding(units.data.clamp(min=0)) * units.valid[..., None])  # type: ignore[no-any-return]
