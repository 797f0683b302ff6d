"""Guard: what a text that is written symbol by symbol may not go on with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from speechunits.decode.prefixes import NEVER, check_positive


class Guard(nn.Module):
    """Keeps a search away from loops, from an early end and from running away, the failures of autoregressive synthesis
    (Tacotron 2 and Transformer TTS repeat and skip words: Ren et al. 2019, arXiv:1905.09263, section 4.2).

    Args:
        runs: how often one symbol may stand in a row; 1 for deduplicated units, of which a run is one. None = no limit.
        loops: how often a group of 2 to ``longest`` symbols may stand in a row; None = no limit.
        longest: symbols of such a group, at most.
        once: no group of so many symbols comes twice in a text (Paulus et al. 2018, arXiv:1705.04304, section 2.5); None =
            groups may.

    Raises:
        ValueError: a number is below 1.
    """

    def __init__(
        self, runs: int | None = None, loops: int | None = None, longest: int = 20, once: int | None = None
    ) -> None:
        super().__init__()
        check_positive(runs=runs, loops=loops, longest=longest, once=once)
        self.once = once
        self.times = {} if runs is None else {1: runs}
        if loops is not None:
            self.times |= dict.fromkeys(range(2, longest + 1), loops)

    def forward(self, scores: Tensor, said: Tensor, limits: Tensor) -> Tensor:
        """Log-probabilities (N, V + 1) of what follows, the end last -> the same, -inf where it may not follow.

        Args:
            said: (N, L) symbols of the text so far.
            limits: (N, 2) int64, fewest and most symbols of the whole text; there it ends, or where nothing else may follow.
        """
        free = self._free(said, scores.size(1) - 1) & (said.size(1) < limits[:, 1:])
        end = (said.size(1) >= limits[:, :1]) | ~free.any(1, keepdim=True)
        return scores.masked_fill(~torch.cat([free, end], 1), NEVER)

    def _free(self, said: Tensor, vocab: int) -> Tensor:
        """(N, L) -> (N, V) bool: which symbols make no loop and no group that was there."""
        length = said.size(1)
        banned = torch.zeros(len(said), vocab + 1, dtype=torch.bool, device=said.device)  # the last one is nobody's
        for size, times in self.times.items():
            if length < (reach := size * (times + 1) - 1):
                continue
            tail = said[:, length - reach :]  # with one more symbol, ``times + 1`` groups
            loop = (tail[:, size:] == tail[:, :-size]).all(1, keepdim=True)
            banned.scatter_(1, torch.where(loop, said[:, length - size, None], vocab), True)
        if self.once is not None and length >= self.once:
            groups = said.unfold(1, self.once, 1)  # (N, L - once + 1, once)
            again = (groups[..., :-1] == said[:, None, length - self.once + 1 :]).all(-1)
            banned.scatter_(1, torch.where(again, groups[..., -1], vocab), True)
        return ~banned[:, :vocab]
