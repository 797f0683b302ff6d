"""How well prefixes of texts fit the frames of a CTC head, for searches that go symbol by symbol."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from speechunits.decode.prefixes import NEVER
from speechunits.seq import Seq

FLOOR = -1e4  # stands for the logarithm of 0 in cumulative sums


class CTCPrefixes:
    """W prefixes of each of B utterances, and the log-probability that a text begins with each of them.

    Forward variables of Graves 2012 ("Supervised sequence labelling", section 7.5.3) and Watanabe et al. 2017
    (doi 10.1109/JSTSP.2017.2763455, algorithm 2) without a loop over frames: all next symbols by one matrix product, the
    frames of a longer prefix by cumulative sums in the log domain. All are empty at first.

    Args:
        scores: (B, T, V + 1), the blank last.
        width: W.
    """

    def __init__(self, scores: Seq, width: int) -> None:
        x = scores.data.double()
        x = x if x.size(1) else pad(x, (0, 0, 0, 1))
        self.symbols, self.chances = x[..., :-1], x[..., :-1].exp()
        self.lengths = scores.lengths[:, None, None].expand(-1, width, 1)
        self.real = (torch.arange(x.size(1), device=x.device) < scores.lengths[:, None])[:, None]  # (B, 1, T)
        self.blanks = pad(x[..., -1].clamp(min=FLOOR).cumsum(1), (1, 0))[:, None]  # (B, 1, T + 1)
        # Paths through the first t frames that say the prefix and end with a blank, or with its last symbol: (B, W, T + 1).
        self.with_blank = pad(x[..., -1].cumsum(1), (1, 0))[:, None].expand(-1, width, -1)
        self.with_symbol = torch.full_like(self.with_blank, NEVER)
        self.last = torch.full((len(x), width), -1, device=x.device)

    def next(self) -> tuple[Tensor, Tensor]:
        """Log-probability that a text begins with the prefix and each symbol (B, W, V), and that it is the prefix (B, W)."""
        whole = torch.logaddexp(self.with_blank, self.with_symbol)
        before = whole[..., :-1].masked_fill(~self.real, NEVER)
        top = before.amax(-1, keepdim=True).nan_to_num(neginf=0.0)
        found = ((before - top).exp() @ self.chances).log() + top
        # A symbol says itself again only after a blank.
        again = self.with_blank[..., :-1].masked_fill(~self.real, NEVER) + self._said(self.last)
        repeats = torch.arange(found.size(-1), device=found.device) == self.last[..., None]
        return torch.where(repeats, again.logsumexp(-1, keepdim=True), found), whole.gather(2, self.lengths)[..., 0]

    def grow(self, rows: Tensor, symbols: Tensor) -> None:
        """Become the prefixes ``rows`` (B, W), each with one of ``symbols`` (B, W) more."""
        frames = rows[..., None].expand(-1, -1, self.with_blank.size(-1))
        with_blank, with_symbol = self.with_blank.gather(1, frames), self.with_symbol.gather(1, frames)
        again = (self.last.gather(1, rows) == symbols)[..., None]
        before = torch.where(again, with_blank, torch.logaddexp(with_blank, with_symbol))
        self.with_symbol = paths(before, pad(self._said(symbols).clamp(min=FLOOR).cumsum(-1), (1, 0)))
        self.with_blank = paths(self.with_symbol, self.blanks)
        self.last = symbols

    def _said(self, symbols: Tensor) -> Tensor:
        """(B, W) symbols -> their scores in each frame, (B, W, T)."""
        frames = symbols.clamp(min=0)[..., None].expand(-1, -1, self.symbols.size(1))
        return self.symbols.transpose(1, 2).gather(1, frames)


def paths(before: Tensor, through: Tensor) -> Tensor:
    """Paths that come from ``before`` in any frame and say one thing from there on, (..., T + 1).

    Solves p[t] = log(exp p[t - 1] + exp before[t - 1]) + score[t], whose scores add up to ``through``.
    """
    return pad(through[..., 1:] + (before - through)[..., :-1].logcumsumexp(-1), (1, 0), value=NEVER)
