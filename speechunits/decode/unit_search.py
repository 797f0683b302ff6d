"""Beam search for units with a decoder that writes them one by one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from speechunits.decode.find_head import check_numbers
from speechunits.decode.guard import Guard
from speechunits.decode.hypothesis import Hypothesis
from speechunits.decode.prefixes import NEVER, check_positive, first_best, nbest_lists
from speechunits.decode.trail import Trail
from speechunits.draws import Draws
from speechunits.seq import Seq


class UnitSearch(nn.Module):
    """The texts of highest log-probability / ((5 + n) / 6)^a, n symbols with the end (Wu et al. 2016, arXiv:1609.08144, eq.
    14), for a whole batch at once, with keys and values kept. A beam of 1 takes the likeliest symbol each time.

    A text ends where its end is among the ``beam`` best continuations, as in fairseq, so that a long text is not given up for
    a poor end. The search of an utterance is over when ``beam`` texts have ended or none that goes on can come before the n
    best: with a beam as wide as all texts it gives the best of all. Equal scores keep the order of prefixes, then of symbols.

    Args:
        beam: prefixes kept after each symbol.
        nbest: hypotheses given, at most ``beam``.
        length_penalty: a; 0 = the sum, which likes short texts; 1 is close to the mean.
        guard: what may not follow; None = ``Guard()``, the limits of length alone.

    Raises:
        ValueError: a number is out of its range.
    """

    reads = "step"  # what a head must have

    def __init__(
        self, beam: int = 1, nbest: int = 1, length_penalty: float = 0.0, guard: nn.Module | None = None
    ) -> None:
        super().__init__()
        check_positive(beam=beam, nbest=nbest)
        if length_penalty < 0:
            raise ValueError(f"length_penalty is {length_penalty}: below 0 short texts would always win; give 0 to 1")
        self.beam, self.nbest, self.length_penalty = beam, nbest, length_penalty
        self.guard = Guard() if guard is None else guard

    def _length(self, symbols: Tensor | int) -> Tensor:
        return ((torch.as_tensor(symbols) + 1 + 5).double() / 6) ** self.length_penalty  # the end is one more

    @torch.no_grad()
    def forward(self, head: nn.Module, x: Seq, limits: Tensor, draws: Draws | None = None) -> list[list[Hypothesis]]:
        """Hypotheses of B utterances, the best first.

        Args:
            head: as ``heads.AttentionDecoder``.
            x: (B, T, D), what it hears.
            limits: (B, 2) int64, fewest and most symbols of each text.
            draws: not needed, nothing is drawn.

        Raises:
            UserError: scores are no numbers.
        """
        batch, width, end, device = len(x.lengths), self.beam, head.vocab[0], x.data.device
        base = torch.arange(batch, device=device)[:, None] * width
        state, trail = head.begin(x).take((base // width).expand(-1, width).flatten()), Trail()
        scores = torch.full((batch, width), NEVER, dtype=torch.float64, device=device)
        scores[:, 0] = 0.0
        last, nodes = torch.full_like(scores, end, dtype=torch.int64), torch.full_like(scores, -1, dtype=torch.int64)
        said, bounds = last.new_zeros(batch, width, 0), limits.repeat_interleave(width, 0)
        ended, endings = torch.full_like(scores, NEVER), nodes.clone()
        for n in range(int(limits[:, 1].max()) + 1):
            chances, state = head.step(state, last.flatten())
            check_numbers(chances, "UnitSearch", "decoder")
            chances = self.guard(chances.double(), said.flatten(0, 1), bounds).view(batch, width, end + 1)
            values, places = first_best((scores[..., None] + chances).flatten(1), 2 * width)
            rows, symbols = places // (end + 1), places % (end + 1)
            over = (values[:, :width] / self._length(n)).masked_fill(symbols[:, :width] != end, NEVER)
            parents = nodes.gather(1, rows)
            ended, places = first_best(torch.cat([ended, over], 1), width)
            endings = torch.cat([endings, parents[:, :width]], 1).gather(1, places)

            scores, places = first_best(values.masked_fill(symbols == end, NEVER), width)
            reach = scores[:, 0] / self._length(limits[:, 1])  # what any longer text has at best
            going = (reach > ended[:, min(self.nbest, width) - 1]) & (ended[:, -1] == NEVER)
            if not bool(going.any()):
                break
            rows, last = rows.gather(1, places), symbols.gather(1, places)
            last = last.masked_fill(last == end, 0)  # of prefixes that are none
            scores = scores.masked_fill(~going[:, None], NEVER)
            nodes = trail.grow(parents.gather(1, places), last)
            said = torch.cat([said.gather(1, rows[..., None].expand(-1, -1, n)), last[..., None]], 2)
            state = state.take((base + rows).flatten())
        best, places = first_best(ended, self.nbest)
        ids, _ = trail.read(endings.gather(1, places).flatten())
        return nbest_lists(best, ids)
