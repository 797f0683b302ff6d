"""Prefix beam search over the frames of a CTC head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from speechunits.decode.alignment import align
from speechunits.decode.find_head import frame_scores
from speechunits.decode.fusion import Fusion
from speechunits.decode.hypothesis import Hypothesis
from speechunits.decode.prefixes import NEVER, check_positive, first_best, longer, nbest_lists
from speechunits.decode.trail import Trail
from speechunits.seq import Seq


@dataclass(frozen=True)
class Beam:
    """W prefixes of each of B utterances, (B, W) each."""

    with_blank: Tensor  # log-probability by paths that end with a blank
    with_symbol: Tensor  # by paths that end with the last symbol
    added: Tensor  # by fusion
    prefix: Tensor
    before: Tensor  # the prefix without its last symbol
    last: Tensor
    nodes: Tensor
    lm: Tensor

    @property
    def total(self) -> Tensor:
        return torch.logaddexp(self.with_blank, self.with_symbol)

    def where(self, chosen: Tensor, other: Beam) -> Beam:
        """This one where ``chosen`` (B, W or 1), else the other."""
        return Beam(**{k: torch.where(chosen, v, vars(other)[k]) for k, v in vars(self).items()})

    def take(self, rows: Tensor) -> Beam:
        """The prefixes ``rows`` (B, W)."""
        return Beam(**{k: v.gather(1, rows) for k, v in vars(self).items()})


class CTCBeam(nn.Module):
    """The likeliest texts, each the sum of its paths (Graves 2012, section 7.5.3 of "Supervised sequence labelling";
    Hannun et al. 2014, arXiv:1408.2873, algorithm 1), for a whole batch and all symbols of a frame at once.

    ``score`` is log p(text | frames) over the paths that stayed in the beam, plus what ``fusion`` adds. Spans and confidence
    (mean probability of a symbol in its frames) are those of the likeliest path. Sums are float64. Equal scores keep the
    order of prefixes, then of symbols.

    Args:
        beam: prefixes kept after each frame.
        nbest: hypotheses given, at most ``beam``.
        symbols: so many of the likeliest symbols of a frame are tried; None = all.
        threshold: symbols less probable in a frame are not tried there.
        blank_threshold: neighbouring frames whose blank is more probable are one step, at which nothing is said; 1 joins
            none.
        fusion: a language model and a bonus for each symbol.
        head: name of the CTC head; None = the first one that has scores for each frame.

    Raises:
        ValueError: a number is out of its range.
    """

    def __init__(
        self,
        beam: int = 20,
        nbest: int = 1,
        symbols: int | None = None,
        threshold: float = 0.0,
        blank_threshold: float = 1.0,
        fusion: Fusion | None = None,
        head: str | None = None,
    ) -> None:
        super().__init__()
        check_positive(beam=beam, nbest=nbest, symbols=symbols)
        if not 0 <= threshold < 1:
            raise ValueError(f"threshold is {threshold}: a probability, from 0 (all symbols are tried) to below 1")
        if not 0 < blank_threshold <= 1:
            raise ValueError(f"blank_threshold is {blank_threshold}: a probability, from above 0 to 1 (no frames join)")
        self.beam, self.nbest, self.symbols = beam, nbest, symbols
        self.threshold, self.blank_threshold = threshold, blank_threshold
        self.fusion, self.head = fusion or Fusion(), head

    @torch.no_grad()
    def forward(self, heads: Mapping[str, nn.Module], heard: Mapping[str, Seq]) -> list[list[Hypothesis]]:
        """See ``Search``."""
        _, scores = frame_scores(heads, heard, "CTCBeam", self.head)
        steps, sure = together(scores.with_data(scores.data.double()), self.blank_threshold)
        values, ids = self._search(steps)
        rows = torch.arange(len(values), device=values.device).repeat_interleave(values.size(1))
        return nbest_lists(values + sure[:, None], ids, *align(scores, ids, rows))

    def _tried(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (B, T, V) -> those of the symbols to try in each frame, and which these are, (B, T, K)."""
        if self.symbols is None or self.symbols >= x.size(-1):
            values, ids = x, torch.arange(x.size(-1), device=x.device).expand(x.shape)
        else:
            values, ids = first_best(x, self.symbols)
        return (values.masked_fill(values.exp() < self.threshold, NEVER) if self.threshold else values), ids

    def _search(self, scores: Seq) -> tuple[Tensor, Seq]:
        """Scores of the n best texts (B, n), and the texts (B * n, L)."""
        x, trail = scores.data, Trail()
        tried, ids = self._tried(x[..., :-1])
        beam = self._begin(x)
        for t in range(x.size(1)):
            real = (t < scores.lengths)[:, None]
            beam = self._frame(beam, x[:, t], tried[:, t], ids[:, t], trail).where(real, beam)
        best, places = first_best(beam.total + beam.added + self.fusion.end(beam.lm), self.nbest)
        return best, trail.read(beam.nodes.gather(1, places).flatten())[0]

    def _begin(self, x: Tensor) -> Beam:
        never = x.new_full((x.size(0), self.beam), NEVER)
        with_blank, zeros = never.clone(), torch.zeros_like(never, dtype=torch.int64)
        with_blank[:, 0] = 0.0
        lm = self.fusion.begin(never.shape, x.size(2) - 1, x.device)
        return Beam(with_blank, never, torch.zeros_like(never), zeros, zeros, zeros - 1, zeros - 1, lm)

    def _frame(self, now: Beam, row: Tensor, tried: Tensor, ids: Tensor, trail: Trail) -> Beam:
        """The beam after a frame of scores (B, V + 1), of which the symbols ``ids`` (B, K) are tried at ``tried`` (B, K)."""
        total, last = now.total, now.last
        again = row.gather(1, last.clamp(min=0))
        # A prefix is also reached from the one before it, if that is in the beam; there it is no new prefix.
        leads = (now.prefix[:, :, None] == now.before[:, None]) & (last >= 0)[:, None]
        leads &= (total > NEVER)[:, :, None] & (total > NEVER)[:, None]
        parent = leads.int().argmax(1)
        reached = torch.where(last == last.gather(1, parent), now.with_blank.gather(1, parent), total.gather(1, parent))
        reached = reached.masked_fill(~leads.any(1), NEVER)
        stay_blank, stay_symbol = total + row[:, -1:], torch.logaddexp(now.with_symbol, reached) + again
        repeats = ids[:, None] == last[:, :, None]  # (B, W, K)
        grown = torch.where(repeats, now.with_blank[..., None], total[..., None]) + tried[:, None]
        grown = grown.masked_fill(leads.double() @ repeats.double() > 0, NEVER)
        adds, after = self.fusion.score(now.lm, ids[:, None].expand_as(grown))

        stay = torch.logaddexp(stay_blank, stay_symbol) + now.added
        ranked = torch.cat([stay, (grown + now.added[..., None] + adds).flatten(1)], 1)
        places = first_best(ranked, self.beam)[1]
        grows, of = places >= self.beam, (places - self.beam).clamp(min=0)
        rows, symbol = torch.where(grows, of // ids.size(1), places), ids.gather(1, of % ids.size(1))
        kept = now.take(rows)
        stays = replace(kept, with_blank=stay_blank.gather(1, rows), with_symbol=stay_symbol.gather(1, rows))
        return Beam(
            with_blank=torch.full_like(total, NEVER),
            with_symbol=grown.flatten(1).gather(1, of),
            added=kept.added + adds.flatten(1).gather(1, of),
            prefix=longer(kept.prefix, symbol),
            before=kept.prefix,
            last=symbol,
            nodes=trail.grow(kept.nodes, symbol),
            lm=after.flatten(1).gather(1, of),
        ).where(grows, stays)


def together(scores: Seq, threshold: float) -> tuple[Seq, Tensor]:
    """Join neighbouring frames whose blank is more probable than ``threshold`` to one that is nothing but blank.

    Returns:
        Scores (B, T', V + 1), and the log-probability (B,) of the blanks in those frames, which no text can avoid.
    """
    x = scores.data
    if threshold >= 1:
        return scores, x.new_zeros(len(x))
    sure = (x[..., -1].exp() > threshold) & scores.valid
    begins = ~sure
    begins[:, 1:] |= ~sure[:, :-1]
    begins[:, :1] = True
    begins &= scores.valid
    where = begins.int().sort(dim=1, descending=True, stable=True)[1]  # the frames that begin steps, in order
    lengths = begins.sum(1)
    where = where[:, : max(lengths.tolist(), default=0)]
    nothing = torch.full_like(x[0, :1] if x.size(1) else x.new_zeros(1, x.size(2)), NEVER)
    nothing[:, -1] = 0.0
    kept = torch.where(sure[..., None], nothing, x).gather(1, where[..., None].expand(-1, -1, x.size(2)))
    return Seq(kept, lengths, None), x[..., -1].masked_fill(~sure, 0.0).sum(1)
