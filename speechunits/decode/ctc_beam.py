"""Prefix beam search over the frames of a CTC head."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from speechunits.decode.alignment import align
from speechunits.decode.find_head import find_head
from speechunits.decode.fusion import Fusion
from speechunits.decode.hypothesis import Hypothesis
from speechunits.decode.prefixes import NEVER, first_best, longer, nbest_lists
from speechunits.decode.trail import Trail
from speechunits.seq import Seq


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
        self.beam, self.nbest, self.symbols = beam, nbest, symbols
        self.threshold, self.blank_threshold = threshold, blank_threshold
        self.fusion, self.head = fusion or Fusion(), head

    @torch.no_grad()
    def forward(self, heads: Mapping[str, nn.Module], heard: Mapping[str, Seq]) -> list[list[Hypothesis]]:
        """See ``Search``."""
        name = find_head(heads, "scores", "CTCBeam", self.head)
        scores = heads[name].scores(heard[name])  # type: ignore[operator]
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
        return values.masked_fill(values.exp() < self.threshold, NEVER), ids

    def _search(self, scores: Seq) -> tuple[Tensor, Seq]:
        """Scores of the n best texts (B, n), and the texts (B * n, L)."""
        x, device = scores.data, scores.data.device
        batch, frames, blank, width = x.size(0), x.size(1), x.size(2) - 1, self.beam
        values, tried = self._tried(x[..., :blank])
        kinds, trail = tried.size(-1), Trail()
        with_blank = torch.full((batch, width), NEVER, dtype=x.dtype, device=device)
        with_symbol = with_blank.clone()  # log-probability of a prefix by paths that end with its last symbol
        with_blank[:, 0] = 0.0
        added = torch.zeros_like(with_blank)  # by fusion
        prefix = torch.zeros(batch, width, dtype=torch.int64, device=device)
        before, last, nodes = prefix.clone(), prefix - 1, prefix - 1  # number of the prefix without its last symbol
        states = self.fusion.begin((batch, width), blank, device)
        for t in range(frames):
            row, ids = x[:, t], tried[:, t]
            total = torch.logaddexp(with_blank, with_symbol)
            again = row.gather(1, last.clamp(min=0))
            # A prefix is also reached from the one before it, if that is in the beam; then it is no new prefix.
            leads = (prefix[:, :, None] == before[:, None]) & (last >= 0)[:, None]
            leads &= (total > NEVER)[:, :, None] & (total > NEVER)[:, None]
            parent = leads.int().argmax(1)
            fresh = torch.where(last == last.gather(1, parent), with_blank.gather(1, parent), total.gather(1, parent))
            fresh = (fresh + again).masked_fill(~leads.any(1), NEVER)
            stay_blank, stay_symbol = total + row[:, blank:], torch.logaddexp(with_symbol + again, fresh)
            repeats = ids[:, None] == last[:, :, None]  # (B, W, K)
            grown = torch.where(repeats, with_blank[..., None], total[..., None]) + values[:, t, None]
            grown = grown.masked_fill(leads.double() @ repeats.double() > 0, NEVER)
            adds, after = self.fusion.score(states, ids[:, None].expand_as(grown))

            stay = torch.logaddexp(stay_blank, stay_symbol) + added
            ranked = torch.cat([stay, (grown + added[..., None] + adds).flatten(1)], 1)
            chosen = first_best(ranked, width)[1]
            grows, of = chosen >= width, (chosen - width).clamp(min=0)
            rows = torch.where(grows, of // kinds, chosen)
            symbol = ids.gather(1, of % kinds)
            ending = with_symbol.new_full((), NEVER)
            new = (
                torch.where(grows, ending, stay_blank.gather(1, rows)),
                torch.where(grows, grown.flatten(1).gather(1, of), stay_symbol.gather(1, rows)),
                added.gather(1, rows) + torch.where(grows, adds.flatten(1).gather(1, of), 0.0),
                torch.where(grows, longer(prefix.gather(1, rows), symbol), prefix.gather(1, rows)),
                torch.where(grows, prefix.gather(1, rows), before.gather(1, rows)),
                torch.where(grows, symbol, last.gather(1, rows)),
                torch.where(grows, trail.grow(nodes.gather(1, rows), symbol), nodes.gather(1, rows)),
                torch.where(grows, after.flatten(1).gather(1, of), states.gather(1, rows)),
            )
            old = (with_blank, with_symbol, added, prefix, before, last, nodes, states)
            real = (t < scores.lengths)[:, None]
            with_blank, with_symbol, added, prefix, before, last, nodes, states = (
                torch.where(real, a, b) for a, b in zip(new, old, strict=True)
            )
        final = torch.logaddexp(with_blank, with_symbol) + added + self.fusion.end(states)
        best, places = first_best(final, self.nbest)
        return best, trail.read(nodes.gather(1, places).flatten())[0]


def together(scores: Seq, threshold: float) -> tuple[Seq, Tensor]:
    """Join neighbouring frames whose blank is more probable than ``threshold`` to one that is nothing but blank.

    Returns:
        Scores (B, T', V + 1), and the log-probability (B,) of the blanks in those frames, which no text can avoid.
    """
    x = scores.data
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
