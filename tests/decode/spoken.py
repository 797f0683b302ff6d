"""Small heads that go symbol by symbol, with the interface of ``heads.AttentionDecoder`` and ``heads.Transducer``."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from speechunits.seq import Seq


@dataclass(frozen=True)
class Rows:
    heard: Tensor
    said: Tensor

    def take(self, rows: Tensor) -> Rows:
        return Rows(self.heard[rows], self.said[rows])

    def where(self, chosen: Tensor, other: Rows) -> Rows:
        return Rows(
            *(torch.where(chosen[:, None], a, b) for a, b in ((self.heard, other.heard), (self.said, other.said)))
        )


class Decoder(nn.Module):
    """Next symbol from the mean frame and all symbols before."""

    def __init__(self, dim: int, kinds: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.vocab = (kinds,)
        self.cell, self.embedding, self.out = (
            nn.GRUCell(4, 6),
            nn.Embedding(kinds + 1, 4),
            nn.Linear(6 + dim, kinds + 1),
        )
        self.double().requires_grad_(False)
        self.out.weight *= 4
        self.embedding.weight *= 2

    def begin(self, x: Seq) -> Rows:
        return Rows(x.data.sum(1) / x.lengths[:, None].clamp(min=1), x.data.new_zeros(len(x.lengths), 6))

    def step(self, state: Rows, last: Tensor) -> tuple[Tensor, Rows]:
        said = self.cell(self.embedding(last), state.said)
        return self.out(torch.cat([said, state.heard], 1)).log_softmax(-1), Rows(state.heard, said)


class Transducer(nn.Module):
    """A recurrent predictor, a joiner of one layer."""

    def __init__(self, dim: int, kinds: int) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.vocab = (kinds,)
        self.cell, self.embedding, self.out = (
            nn.GRUCell(4, 6),
            nn.Embedding(kinds + 1, 4),
            nn.Linear(6 + dim, kinds + 1),
        )
        self.double().requires_grad_(False)
        self.out.weight *= 4
        self.embedding.weight *= 2

    def begin(self, n: int, device: torch.device) -> Rows:
        return Rows(torch.zeros(n, 0, device=device), torch.zeros(n, 6, dtype=torch.float64, device=device))

    def advance(self, state: Rows, symbols: Tensor) -> tuple[Tensor, Rows]:
        said = self.cell(self.embedding(symbols), state.said)
        return said, Rows(state.heard, said)

    def listen(self, frames: Tensor) -> Tensor:
        return 2 * frames

    def join(self, heard: Tensor, out: Tensor) -> Tensor:
        return self.out(torch.cat([out, heard / 2], 1)).log_softmax(-1)
