"""The most probable path of a CTC head."""

from __future__ import annotations

import torch
from torch import Tensor

from speechunits.seq import Seq, unpad


class Greedy:
    """Best path decoding (Graves et al. 2006, section 3.2): the likeliest symbol of each frame, runs merged, no blanks."""

    def __call__(self, scores: Seq) -> list[Tensor]:
        """Log-probabilities (B, T, V + 1), the blank last -> B tensors (N,) of symbols 0 .. V-1."""
        blank = scores.data.size(-1) - 1
        paths = unpad(scores.with_data(scores.data.argmax(-1)))
        return [run[run != blank] for run in map(torch.unique_consecutive, paths)]
