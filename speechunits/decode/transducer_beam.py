"""Beam search over the frames of a transducer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from speechunits.decode.find_head import check_numbers, find_head
from speechunits.decode.fusion import Fusion
from speechunits.decode.hypothesis import Hypothesis
from speechunits.decode.prefixes import NEVER, check_positive, first_best, longer, merge_equal, nbest_lists
from speechunits.decode.trail import Trail
from speechunits.seq import Seq


@dataclass(frozen=True)
class Beam:
    """W prefixes of each of B utterances; tensors (B, W), ``out`` (B * W, J) and ``state`` from the predictor."""

    score: Tensor
    added: Tensor  # by fusion
    prefix: Tensor
    nodes: Tensor
    lm: Tensor
    out: Tensor
    state: Any

    def where(self, chosen: Tensor, other: Beam) -> Beam:
        """This one where ``chosen`` (B, W), else the other."""
        pairs = {
            name: torch.where(chosen, getattr(self, name), getattr(other, name))
            for name in ("score", "added", "prefix", "nodes", "lm")
        }
        flat = chosen.flatten()
        out = torch.where(flat[:, None], self.out, other.out)
        return Beam(**pairs, out=out, state=self.state.where(flat, other.state))

    def take(self, rows: Tensor) -> Beam:
        """The prefixes ``rows`` (B, W)."""
        base = torch.arange(rows.size(0), device=rows.device)[:, None] * rows.size(1)
        flat = (base + rows).flatten()
        taken = {name: getattr(self, name).gather(1, rows) for name in ("score", "added", "prefix", "nodes", "lm")}
        return Beam(**taken, out=self.out[flat], state=self.state.take(flat))


class TransducerBeam(nn.Module):
    """The likeliest texts, each the sum of its paths, frame by frame, for a whole batch at once: time-synchronous decoding
    (Saon et al. 2020, doi 10.1109/ICASSP40776.2020.9053040, algorithm 2), and with ``max_symbols`` None the modified
    search of icefall without its length normalisation, which is faster: a symbol then ends its frame as a blank does, as in
    k2's modified topology.

    ``score`` is log p(text | frames) over the paths that stayed in the beam, plus what ``fusion`` adds. The span of a symbol
    is the frame in which it was said on the likeliest way there, its confidence its probability. Sums are float64; equal
    scores keep the order of prefixes, then of symbols.

    Args:
        beam: prefixes kept after each frame.
        nbest: hypotheses given, at most ``beam``.
        max_symbols: in one frame; None = at most one, which takes the frame.
        fusion: a language model and a bonus for each symbol.
        head: name of the transducer; None = the first one.

    Raises:
        ValueError: a number is not 1 or more.
    """

    def __init__(
        self,
        beam: int = 4,
        nbest: int = 1,
        max_symbols: int | None = None,
        fusion: Fusion | None = None,
        head: str | None = None,
    ) -> None:
        super().__init__()
        check_positive(beam=beam, nbest=nbest, max_symbols=max_symbols)
        self.beam, self.nbest, self.max_symbols = beam, nbest, max_symbols
        self.fusion, self.head = fusion or Fusion(), head

    @torch.no_grad()
    def forward(self, heads: Mapping[str, nn.Module], heard: Mapping[str, Seq]) -> list[list[Hypothesis]]:
        """See ``Search``."""
        name = find_head(heads, "join", "TransducerBeam", self.head)
        head, x, trail = heads[name], heard[name], Trail(3)
        hypotheses, frames = self._begin(head, len(x.lengths), x.data.device), head.listen(x.data)  # type: ignore[operator]
        for t in range(x.data.size(1)):
            stepped = self._frame(head, hypotheses, frames[:, t], trail, t)
            real = (t < x.lengths)[:, None].expand_as(stepped.score)
            hypotheses = stepped.where(real, hypotheses)
        final = hypotheses.score + hypotheses.added + self.fusion.end(hypotheses.lm)
        best, places = first_best(final, self.nbest)
        check_numbers(best, "TransducerBeam", name)
        ids, facts = trail.read(hypotheses.nodes.gather(1, places).flatten())
        return nbest_lists(best, ids, torch.stack([facts[1], facts[1] + 1], -1), facts[2])

    def _begin(self, head: nn.Module, batch: int, device: torch.device) -> Beam:
        score = torch.full((batch, self.beam), NEVER, dtype=torch.float64, device=device)
        score[:, 0] = 0.0
        prefix = torch.zeros_like(score, dtype=torch.int64)
        lm = self.fusion.begin((batch, self.beam), head.vocab[0], device)
        first = torch.full((score.numel(),), head.vocab[0], device=device)
        out, state = head.advance(head.begin(score.numel(), device), first)
        return Beam(score, torch.zeros_like(score), prefix, prefix - 1, lm, out, state)

    def _frame(self, head: nn.Module, now: Beam, frame: Tensor, trail: Trail, t: int) -> Beam:
        """The beam after one frame (B, J)."""
        frames = frame.repeat_interleave(self.beam, 0)
        scores = head.join(frames, now.out).double().view(*now.score.shape, -1)
        through = [replace(now, score=now.score + scores[..., -1])]
        for _ in range(self.max_symbols or 1):
            now = self._say(head, now, scores[..., :-1], trail, t)
            if self.max_symbols is None:
                through.append(now)
            else:
                scores = head.join(frames, now.out).double().view(*now.score.shape, -1)
                through.append(replace(now, score=now.score + scores[..., -1]))
        total = merge_equal(torch.cat([b.prefix for b in through], 1), torch.cat([b.score for b in through], 1))
        places = first_best(total + torch.cat([b.added for b in through], 1), self.beam)[1]
        which, rows = places // self.beam, places % self.beam
        chosen = through[0].take(rows)
        for i, other in enumerate(through[1:], 1):
            chosen = other.take(rows).where(which == i, chosen)
        return replace(chosen, score=total.gather(1, places))

    def _say(self, head: nn.Module, now: Beam, scores: Tensor, trail: Trail, t: int) -> Beam:
        """The best prefixes with one symbol more, by the scores (B, W, V) of the symbols."""
        kinds = scores.size(-1)
        symbols = torch.arange(kinds, device=scores.device).expand_as(scores)
        adds, after = self.fusion.score(now.lm, symbols)
        grown = now.score[..., None] + scores
        places = first_best((grown + now.added[..., None] + adds).flatten(1), self.beam)[1]
        rows, symbol = places // kinds, places % kinds
        chance = scores.flatten(1).gather(1, places).exp()
        kept = now.take(rows)
        out, state = head.advance(kept.state, symbol.flatten())
        return Beam(
            score=grown.flatten(1).gather(1, places),
            added=kept.added + adds.flatten(1).gather(1, places),
            prefix=longer(kept.prefix, symbol),
            nodes=trail.grow(kept.nodes, symbol, torch.full_like(symbol, t), chance),
            lm=after.flatten(1).gather(1, places),
            out=out,
            state=state,
        )
