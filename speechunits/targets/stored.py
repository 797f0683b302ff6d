"""Codes that an earlier stage stored beside the audio."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import torch
from torch import nn

from speechunits.protocols import Batch
from speechunits.seq import Seq
from speechunits.stream import Stream


class StoredUnits(nn.Module):
    """HuBERT's targets: a field of stored codes.

    Args:
        field: name in the batch.
        streams: what the data offers, supplied by the model.
        hop: of the frames that will be scored, seconds, supplied by the model.

    Raises:
        ValueError: the data has no such field, or its hop does not meet that of the frames.
    """

    def __init__(self, field: str = "units", *, streams: Mapping[str, Stream], hop: Fraction) -> None:
        super().__init__()
        if field not in streams:
            raise ValueError(f"the data has no field '{field}' of stored codes; it has: {', '.join(streams) or 'none'}")
        one = torch.zeros(1, 1, dtype=torch.int64)
        Seq(one, one[0], streams[field].hop).at(hop, 1)  # raises now what every batch would
        self.field, self.vocab, self.hop = field, streams[field].vocab, streams[field].hop

    def lengths(self, batch: Batch) -> Seq:
        """What is known before any pass: the stored codes themselves."""
        return batch[self.field]

    def forward(self, passes: object, batch: Batch) -> Seq:
        """(B, T) or (B, T, K) codes at the stored hop."""
        return batch[self.field]
