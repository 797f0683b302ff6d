"""The most probable next step of a transducer, again and again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from speechunits.decode.find_head import check_numbers, find_head
from speechunits.decode.hypothesis import Hypothesis
from speechunits.decode.prefixes import check_positive, nbest_lists
from speechunits.decode.trail import Trail
from speechunits.seq import Seq

Said = tuple[Tensor, Any]  # what is expected after the symbols that were said, and the state in which they are


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
        x = heard[name]
        return self.follow(name, heads[name], x, first(heads[name], len(x.lengths), x.data.device))[0]

    def stream(self, heads: Mapping[str, nn.Module]) -> TransducerGreedyStream:
        """The same for an utterance that comes piece by piece (see ``hypothesis.Streams``)."""
        name = find_head(heads, "join", "TransducerGreedy", self.head)
        return TransducerGreedyStream(self, name, heads[name])

    def follow(self, name: str, head: nn.Module, x: Seq, said: Said) -> tuple[list[list[Hypothesis]], Said]:
        """Hypotheses of frames (B, T, dim) of the head ``name``, and what is said after them. ``said``: before them."""
        batch, blank, device = len(x.lengths), head.vocab[0], x.data.device  # type: ignore[index]
        rows, trail, (out, state) = torch.arange(batch, device=device), Trail(3), said
        frames = head.listen(x.data)  # type: ignore[operator]
        symbol = torch.full((batch,), blank, device=device)
        frame, count, nodes = torch.zeros_like(symbol), torch.zeros_like(symbol), torch.full_like(symbol, -1)
        score, chance = (
            torch.zeros(batch, dtype=torch.float64, device=device),
            torch.zeros(batch, dtype=torch.float64, device=device),
        )
        while bool((waiting := frame < x.lengths).any()):
            while bool(waiting.any()):
                scores = head.join(frames[rows, frame.clamp(max=frames.size(1) - 1)], out).double()  # type: ignore[operator]
                best = scores.argmax(-1).masked_fill(count >= self.max_symbols, blank)
                value = scores.gather(1, best[:, None])[:, 0]
                score = torch.where(waiting, score + value, score)
                says = waiting & (best != blank)
                symbol, chance = torch.where(says, best, symbol), torch.where(says, value.exp(), chance)
                skips = waiting & ~says
                frame, count = frame + skips.long(), (count + says.long()).masked_fill(skips, 0)
                waiting = skips & (frame < x.lengths)
            says = frame < x.lengths  # the others have come to their end
            nodes = torch.where(says, trail.grow(nodes, symbol, frame, chance), nodes)
            after, moved = head.advance(state, symbol)  # type: ignore[operator]
            out, state = torch.where(says[:, None], after, out), moved.where(says, state)
        check_numbers(score, "TransducerGreedy", name)
        ids, facts = trail.read(nodes)
        found = nbest_lists(score[:, None], ids, torch.stack([facts[1], facts[1] + 1], -1), facts[2])
        return found, (out, state)


class TransducerGreedyStream:
    """``TransducerGreedy`` of one utterance, piece by piece.

    Args:
        search: how.
        name, head: what to read of what was heard, and the transducer that reads it.
    """

    def __init__(self, search: TransducerGreedy, name: str, head: nn.Module) -> None:
        self.search, self.name, self.head = search, name, head
        self.said: Said | None = None
        self.frames = 0

    @torch.no_grad()
    def __call__(self, heard: Mapping[str, Seq], last: bool) -> Hypothesis:
        """See ``hypothesis.RunningSearch``."""
        x = heard[self.name]
        said = first(self.head, 1, x.data.device) if self.said is None else self.said
        ((found,),), self.said = self.search.follow(self.name, self.head, x, said)
        assert found.spans is not None
        found = replace(found, spans=found.spans + self.frames)
        self.frames += x.data.size(1)
        return found


def first(head: nn.Module, batch: int, device: torch.device) -> Said:
    """Nothing is said."""
    blank = torch.full((batch,), head.vocab[0], device=device)  # type: ignore[index]
    said: Said = head.advance(head.begin(batch, device), blank)  # type: ignore[operator]
    return said
