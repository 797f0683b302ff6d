"""Codes that an earlier stage stored beside the audio."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from speechunits.protocols import Batch
from speechunits.seq import Seq
from speechunits.stream import Stream


class StoredUnits(nn.Module):
    """HuBERT's targets: a field of stored codes.

    Args:
        field: name in the batch.
        streams: what the data offers, supplied by the model.

    Raises:
        ValueError: the data has no such field.
    """

    def __init__(self, field: str = "units", *, streams: Mapping[str, Stream]) -> None:
        super().__init__()
        if field not in streams:
            raise ValueError(f"the data has no field '{field}' of stored codes; it has: {', '.join(streams) or 'none'}")
        self.field, self.vocab, self.hop = field, streams[field].vocab, streams[field].hop

    def lengths(self, batch: Batch) -> Seq:
        """What is known before any pass: the stored codes themselves."""
        return batch[self.field]  # type: ignore[no-any-return]

    def forward(self, passes: object, batch: Batch) -> Seq:
        """(B, T) or (B, T, K) codes at the stored hop."""
        return batch[self.field]  # type: ignore[no-any-return]
