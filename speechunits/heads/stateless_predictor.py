"""Prediction network that sees the last symbols alone."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechunits.heads.rows import Rows


class StatelessPredictor(nn.Module):
    """Embedding, grouped convolution over the last symbols, ReLU (Ghodsi et al. 2020, doi 10.1109/ICASSP40776.2020.9054419; the
    convolution is icefall's). Symbols are 0 .. V, of which V, the blank, stands before the first one.

    Args:
        dim: features.
        context: symbols that are seen.
        width: features in a group of the convolution; must divide ``dim``.
        vocab: supplied by the head; one codebook.

    Raises:
        ValueError: ``width`` does not divide ``dim``.
    """

    def __init__(self, dim: int = 512, context: int = 2, width: int = 4, *, vocab: tuple[int, ...]) -> None:
        super().__init__()
        if dim % width:
            raise ValueError(f"dim {dim} does not divide into groups of width {width}")
        self.dim, self.context, self.blank = dim, context, vocab[0]
        self.embedding = nn.Embedding(self.blank + 1, dim)
        self.conv = nn.Conv1d(dim, dim, context, groups=dim // width, bias=False)

    def forward(self, symbols: Tensor) -> Tensor:
        """(N, L) -> (N, L + 1, dim): what is expected before anything is said, and after each symbol."""
        return self._read(F.pad(symbols, (self.context, 0), value=self.blank))

    def _read(self, symbols: Tensor) -> Tensor:
        """(N, L) -> (N, L + 1 - context, dim)."""
        return F.relu(self.conv(self.embedding(symbols).transpose(1, 2))).transpose(1, 2)

    def begin(self, n: int, device: torch.device | str) -> Rows:
        """``n`` hypotheses of which nothing is known; ``advance`` them by the blank first."""
        return Rows((torch.full((n, self.context - 1), self.blank, device=device),))

    def advance(self, state: Rows, symbols: Tensor) -> tuple[Tensor, Rows]:
        """``symbols`` (N,) are said -> what is then expected (N, dim), and the state in which they are."""
        seen = torch.cat([*state.tensors, symbols[:, None]], 1)
        return self._read(seen)[:, 0], Rows((seen[:, 1:],))
