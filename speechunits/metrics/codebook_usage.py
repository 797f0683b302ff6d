"""CodebookUsage: which share of the codes is used, and how evenly."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from speechunits.metrics.contingency import entropy
from speechunits.metrics.utterance_rows import UtteranceRows, by_stream


class CodebookUsage(UtteranceRows):
    """``usage``: share of codes that occur; ``perplexity``: exp of the entropy (nats) of the code distribution, 1 to V.

    Reads ``outputs["units"]`` (B, T) or (B, T, K) and ``batch["ids"]``. With several codebooks: their mean, and each.

    Args:
        vocab: codes per codebook, (V_1, ..., V_K).
    """

    def __init__(self, *, vocab: tuple[int, ...]) -> None:
        super().__init__()
        self.vocab = vocab

    def update(self, outputs: Mapping[str, Any], batch: Mapping[str, Any]) -> None:
        """Take in one batch.

        Raises:
            ValueError: the number of codebooks or an id does not fit ``vocab``.
        """
        seq, units = self.units(outputs, "units")
        if seq.data.size(2) != len(self.vocab):
            raise ValueError(f"units have {seq.data.size(2)} codebooks and vocab {self.vocab} names {len(self.vocab)}")
        limit = torch.tensor(self.vocab)
        for key, x in zip(self.need(batch, "ids"), units, strict=True):
            if bool((x.cpu() >= limit).any()):
                raise ValueError(f"{key}: unit {int(x.max())} is outside the codebooks {self.vocab}")
            self.put(key, units=x.int())

    def compute(self) -> dict[str, float]:
        """The results over everything seen.

        Raises:
            UserError: no utterance was seen.
        """
        units = torch.cat([r["units"] for r in self.rows()])
        counts = [torch.bincount(x, minlength=v) for x, v in zip(units.unbind(1), self.vocab, strict=True)]
        some = len(units) > 0
        return by_stream("usage", [float((c > 0).double().mean()) for c in counts]) | by_stream(
            "perplexity", [math.exp(entropy(c)) if some else math.nan for c in counts]
        )
