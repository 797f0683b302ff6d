"""KNNConversion: frames of one speaker replaced by the nearest ones of another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from speechunits.errors import UserError
from speechunits.seq import Seq

ROWS, FRAMES = 1024, 4096  # of the source and of the pool that are compared at once: 16 MiB of cosines


@dataclass(frozen=True)
class KNNConversion:
    """Each frame becomes the mean of the k frames of the target with the largest cosine to it (Baas et al. 2023,
    arXiv:2305.18975, section 3.2). What it takes beside its arguments does not grow with them.

    Args:
        k: neighbours.
        interpolation: share of what was found in the result, the rest is the frame itself; 1 = the paper, 0 = nothing changes.

    Raises:
        ValueError: no neighbour, or a share that is none.
    """

    k: int = 4
    interpolation: float = 1.0

    def __post_init__(self) -> None:
        if self.k < 1 or not 0 <= self.interpolation <= 1:
            raise ValueError(f"k={self.k}, interpolation={self.interpolation}: give k from 1 and a share from 0 to 1")

    def __call__(self, source: Tensor, pool: Tensor) -> Tensor:
        """Frames (T, D) and those of the target (N, D) -> (T, D).

        Raises:
            UserError: the target has fewer than k frames.
        """
        if len(pool) < self.k:
            raise UserError(f"the target has {len(pool)} frames, fewer than k = {self.k}; give more of its speech")
        found = [pool[nearest(rows, pool, self.k)].to(rows.dtype).mean(1) for rows in source.split(ROWS)]
        return source.lerp(torch.cat(found), self.interpolation)

    def batch(self, source: Seq, pool: Tensor) -> Seq:
        """(B, T, D) -> (B, T, D): every utterance as it is alone; padding becomes 0."""
        out = torch.zeros_like(source.data)
        out[source.valid] = self(source.data[source.valid], pool)
        return source.with_data(out)


def nearest(rows: Tensor, pool: Tensor, k: int) -> Tensor:
    """(T, D), (N, D) -> (T, k) places in ``pool`` of the k largest cosines, the largest first."""
    kind = torch.promote_types(rows.dtype, torch.float32)
    x = F.normalize(rows.to(kind), dim=-1)
    best = x.new_full((len(x), 0), 0.0)
    places = torch.zeros(len(x), 0, dtype=torch.int64, device=x.device)
    for start in range(0, len(pool), FRAMES):
        y = F.normalize(pool[start : start + FRAMES].to(kind), dim=-1)
        here = torch.arange(start, start + len(y), device=x.device).expand(len(x), -1)
        best, chosen = torch.cat([best, x @ y.T], 1).topk(min(k, best.size(1) + len(y)))
        places = torch.cat([places, here], 1).gather(1, chosen)
    return places


def prematch(utterances: Sequence[Tensor], convert: KNNConversion) -> Iterator[Tensor]:
    """Each of one speaker's utterances, (T_i, D), rebuilt from the frames of the others: what a vocoder that is to speak
    converted frames is trained on (the same, section 3.3).

    Raises:
        UserError: the other utterances have fewer than k frames.
    """
    for i, frames in enumerate(utterances):
        others = [*utterances[:i], *utterances[i + 1 :]]
        yield convert(frames, torch.cat(others) if others else frames[:0])
