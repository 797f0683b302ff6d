"""The most probable next step of a transducer, again and again."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from speechunits.decode.find_head import find_head
from speechunits.decode.hypothesis import Hypothesis
from speechunits.decode.prefixes import check_positive, nbest_lists
from speechunits.decode.trail import Trail
from speechunits.seq import Seq


class TransducerGreedy(nn.Module):
    """In each frame the likeliest symbol until that is the blank (Graves 2012, arXiv:1211.3711, with a beam of one).

    Utterances of a batch wait for each other at their next symbol, not at their next frame, so that each symbol moves the
    predictor of all of them once (label looping, Bataev et al. 2024, arXiv:2406.06220).

    ``score`` is that of the path. The span of a symbol is the frame in which it was said, its confidence its probability.

    Args:
        max_symbols: in one frame; then a blank is taken.
        head: name of the transducer; None = the first one.

    Raises:
        ValueError: a number is not 1 or more.
    """

    def __init__(self, max_symbols: int = 10, head: str | None = None) -> None:
        super().__init__()
        check_positive(max_symbols=max_symbols)
        self.max_symbols, self.head = max_symbols, head

    @torch.no_grad()
    def forward(self, heads: Mapping[str, nn.Module], heard: Mapping[str, Seq]) -> list[list[Hypothesis]]:
        """See ``Search``."""
        name = find_head(heads, "join", "TransducerGreedy", self.head)
        head, x = heads[name], heard[name]
        batch, blank, device = len(x.lengths), head.vocab[0], x.data.device
        rows, trail = torch.arange(batch, device=device), Trail(3)
        said = torch.full((batch,), blank, device=device)
        frame, count, nodes = torch.zeros_like(said), torch.zeros_like(said), torch.full_like(said, -1)
        score, chance = (
            torch.zeros(batch, dtype=torch.float64, device=device),
            torch.zeros(batch, dtype=torch.float64, device=device),
        )
        state = head.begin(batch, device)
        while bool((waiting := frame < x.lengths).any()):
            out, state = head.advance(state, said)
            while bool(waiting.any()):
                scores = head.join(x.data[rows, frame.clamp(max=x.data.size(1) - 1)], out).double()
                best = scores.argmax(-1).masked_fill(count >= self.max_symbols, blank)
                value = scores.gather(1, best[:, None])[:, 0]
                score = torch.where(waiting, score + value, score)
                says = waiting & (best != blank)
                said, chance = torch.where(says, best, said), torch.where(says, value.exp(), chance)
                skips = waiting & ~says
                frame, count = frame + skips.long(), (count + says.long()).masked_fill(skips, 0)
                waiting = skips & (frame < x.lengths)
            grown = trail.grow(nodes, said, frame, chance)
            nodes = torch.where(frame < x.lengths, grown, nodes)
        ids, facts = trail.read(nodes)
        return nbest_lists(score[:, None], ids, torch.stack([facts[1], facts[1] + 1], -1), facts[2])
