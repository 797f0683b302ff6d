"""Prediction network that remembers all symbols."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechunits.heads.rows import Rows


class RecurrentPredictor(nn.Module):
    """Embedding and LSTM (Graves et al. 2013, arXiv:1303.5778, section 2.2). Symbols are 0 .. V, of which V, the blank, stands
    before the first one.

    Args:
        dim: features.
        depth: layers.
        dropout: between layers, and of the embeddings.
        vocab: supplied by the head; one codebook.
    """

    def __init__(self, dim: int = 512, depth: int = 1, dropout: float = 0.0, *, vocab: tuple[int, ...]) -> None:
        super().__init__()
        self.dim, self.depth, self.blank = dim, depth, vocab[0]
        self.embedding, self.dropout = nn.Embedding(self.blank + 1, dim), nn.Dropout(dropout)
        self.lstm = nn.LSTM(dim, dim, depth, batch_first=True, dropout=dropout if depth > 1 else 0.0)

    def forward(self, symbols: Tensor) -> Tensor:
        """(N, L) -> (N, L + 1, dim): what is expected before anything is said, and after each symbol."""
        said = F.pad(symbols, (1, 0), value=self.blank)
        return self.lstm(self.dropout(self.embedding(said)))[0]

    def begin(self, n: int, device: torch.device | str) -> Rows:
        """``n`` hypotheses of which nothing is known; ``advance`` them by the blank first."""
        empty = self.embedding.weight.new_zeros(n, self.depth, self.dim, device=device)
        return Rows((empty, empty))

    def advance(self, state: Rows, symbols: Tensor) -> tuple[Tensor, Rows]:
        """``symbols`` (N,) are said -> what is then expected (N, dim), and the state in which they are."""
        before = tuple(each.transpose(0, 1).contiguous() for each in state.tensors)
        y, after = self.lstm(self.dropout(self.embedding(symbols[:, None])), before)
        return y[:, 0], Rows(tuple(each.transpose(0, 1) for each in after))
