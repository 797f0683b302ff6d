"""Beam search with an attention decoder, a CTC head, or both."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from speechunits.decode.alignment import align
from speechunits.decode.ctc_prefixes import CTCPrefixes
from speechunits.decode.find_head import check_numbers, find_head, frame_scores
from speechunits.decode.fusion import Fusion
from speechunits.decode.hypothesis import Hypothesis
from speechunits.decode.prefixes import NEVER, check_positive, first_best, nbest_lists
from speechunits.decode.trail import Trail
from speechunits.seq import Seq


class JointBeam(nn.Module):
    """Symbol by symbol: (1 - w) log p_attention + w log p_CTC of the prefix + ``fusion`` (Watanabe et al. 2017,
    doi 10.1109/JSTSP.2017.2763455, eq. 47 and algorithms 1 and 2; ESPnet's joint search), for a whole batch at once.

    Every prefix in the beam may end at any step; the search of an utterance is over when no prefix can still come before
    its n best, which for a bonus of 0 or less is exact. Equal scores keep the order of prefixes, then of symbols.
    Confidence is the attention decoder's probability of each symbol; spans are those of the CTC head's likeliest path,
    where there is such a head and such a path.

    Args:
        beam: prefixes kept after each symbol.
        nbest: hypotheses given, at most ``beam``.
        ctc_weight: w; 0 = attention alone.
        longest: symbols for each frame of the attention decoder's memory, at most.
        fusion: a language model and a bonus for each symbol.
        attention, ctc: names of the heads; None = the first that fits.

    Raises:
        ValueError: a number is out of its range.
    """

    def __init__(
        self,
        beam: int = 20,
        nbest: int = 1,
        ctc_weight: float = 0.3,
        longest: float = 1.0,
        fusion: Fusion | None = None,
        attention: str | None = None,
        ctc: str | None = None,
    ) -> None:
        super().__init__()
        check_positive(beam=beam, nbest=nbest)
        if not 0 <= ctc_weight < 1:
            raise ValueError("ctc_weight: from 0 to below 1; CTCBeam searches with CTC alone")
        if not 0 < longest < math.inf:
            raise ValueError(f"longest is {longest}: symbols for each frame, so give a number above 0")
        self.beam, self.nbest, self.ctc_weight, self.longest = beam, nbest, ctc_weight, longest
        self.fusion, self.attention, self.ctc = fusion or Fusion(), attention, ctc

    @torch.no_grad()
    def forward(self, heads: Mapping[str, nn.Module], heard: Mapping[str, Seq]) -> list[list[Hypothesis]]:
        """See ``Search``."""
        name = find_head(heads, "step", "JointBeam", self.attention)
        scores = None
        if self.ctc_weight or self.ctc or any(hasattr(head, "scores") for head in heads.values()):
            advice = "name another search, or set ctc_weight=0"
            _, scores = frame_scores(heads, heard, "JointBeam", self.ctc, advice)
        values, ids, chances = self._search(heads[name], heard[name], scores if self.ctc_weight else None)
        check_numbers(values, "JointBeam", name)
        if scores is None:
            return nbest_lists(values, ids, confidence=chances)
        rows = torch.arange(len(values), device=values.device).repeat_interleave(values.size(1))
        spans, _, aligned = align(scores, ids, rows)
        return nbest_lists(values, ids, spans, chances, aligned)

    def _search(self, head: nn.Module, x: Seq, scores: Seq | None) -> tuple[Tensor, Seq, Tensor]:
        """Scores (B, n) of the n best texts, the texts (B * n, L), and the probability of each symbol."""
        batch, width, end, device = len(x.lengths), self.beam, head.vocab[0], x.data.device
        base = torch.arange(batch, device=device)[:, None] * width
        state = head.begin(x).take(torch.arange(batch, device=device).repeat_interleave(width))
        prefixes, trail = None if scores is None else CTCPrefixes(scores, width), Trail(2)
        spoken = torch.full((batch, width), NEVER, dtype=torch.float64, device=device)  # by attention and fusion
        spoken[:, 0] = 0.0
        last, nodes = torch.full_like(spoken, end, dtype=torch.int64), torch.full_like(spoken, -1, dtype=torch.int64)
        states = self.fusion.begin((batch, width), end, device)
        ended, endings = torch.full_like(spoken, NEVER), nodes.clone()
        limits = torch.tensor([math.ceil(self.longest * n) for n in x.lengths.tolist()], device=device)
        every = torch.arange(end, device=device).expand(batch, width, -1)
        for n in range(max(limits.tolist(), default=0) + 1):
            chances, state = head.step(state, last.flatten())
            chances = chances.double().view(batch, width, end + 1)
            adds, after = self.fusion.score(states, every)
            said = spoken[..., None] + (1 - self.ctc_weight) * chances[..., :end] + adds
            over = spoken + (1 - self.ctc_weight) * chances[..., end] + self.fusion.end(states)
            ranked = said
            if prefixes is not None:
                begins, whole = prefixes.next()
                ranked, over = said + self.ctc_weight * begins, over + self.ctc_weight * whole
            ended, places = first_best(torch.cat([ended, over], 1), width)
            endings = torch.cat([endings, nodes], 1).gather(1, places)

            values, places = first_best(ranked.flatten(1), width)
            rows, last = places // end, places % end
            ahead = (limits - n - 1).clamp(min=0) * max(self.fusion.bonus, 0.0)
            worst = ended[:, min(self.nbest, width) - 1]
            going = (n < limits) & (values[:, 0] + ahead > worst)
            if not bool(going.any()):
                break
            sure = chances.flatten(1).gather(1, rows * (end + 1) + last).exp()
            nodes = trail.grow(nodes.gather(1, rows), last, sure)
            spoken = said.flatten(1).gather(1, places).masked_fill(~(going[:, None] & (values > NEVER)), NEVER)
            states = after.flatten(1).gather(1, places)
            state = state.take((base + rows).flatten())
            if prefixes is not None:
                prefixes.grow(rows, last)
        best, places = first_best(ended, self.nbest)
        ids, facts = trail.read(endings.gather(1, places).flatten())
        return best, ids, facts[1]
