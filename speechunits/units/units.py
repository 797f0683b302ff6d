"""Units: a batch of discrete codes that knows its vocabulary and where it came from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from speechunits.seq import Seq


@dataclass(frozen=True)
class Units:
    """Codes of a batch.

    Args:
        ids: (B, T, K) int64 codes 0..V-1, padded with -1; ``hop`` is None once runs are merged.
        vocab: codes per codebook.
        fingerprint: of the tokenizer that made them.
        durations: (B, T) int64 frames per unit, padded with -1, at the hop they were counted in; None = one each.
    """

    ids: Seq
    vocab: tuple[int, ...]
    fingerprint: str
    durations: Seq | None = None

    def __post_init__(self) -> None:
        if self.ids.data.dim() != 3 or self.ids.data.size(-1) != len(self.vocab):
            raise ValueError(
                f"units are (B, T, {len(self.vocab)}) for {len(self.vocab)} codebook(s), got {tuple(self.ids.data.shape)}"
            )

    def to(self, *args: Any, **kwargs: Any) -> Units:
        durations = None if self.durations is None else self.durations.to(*args, **kwargs)
        return replace(self, ids=self.ids.to(*args, **kwargs), durations=durations)

    def lists(self) -> list[list[Any]]:
        """Python lists, one per item: integers for one codebook, lists of K integers otherwise."""
        data = self.ids.data[..., 0] if len(self.vocab) == 1 else self.ids.data
        return [row[:n].tolist() for row, n in zip(data, self.ids.lengths.tolist(), strict=True)]
