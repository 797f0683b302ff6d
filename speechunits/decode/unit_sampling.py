"""Units drawn one by one."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from speechunits.decode.find_head import check_numbers
from speechunits.decode.guard import Guard
from speechunits.decode.hypothesis import Hypothesis
from speechunits.decode.prefixes import NEVER, check_positive, first_best, nbest_lists
from speechunits.draws import Draws
from speechunits.seq import Seq


class UnitSampling(nn.Module):
    """Texts drawn from p^(1 / temperature), of the ``top_k`` likeliest symbols each time (Fan et al. 2018, arXiv:1805.04833,
    section 5.3), the likeliest first, by the log-probability of a symbol on average.

    Draws are those of (seed, epoch, utterance) and of nothing else: the texts of an utterance do not depend on its batch.

    Args:
        temperature: 1 = the model's own distribution; below 1 likely symbols come more often.
        top_k: symbols to draw from; None = all.
        nbest: texts of each utterance.
        guard: what may not follow; None = ``Guard()``, the limits of length alone.

    Raises:
        ValueError: a number is out of its range.
    """

    reads = "step"  # what a head must have

    def __init__(
        self, temperature: float = 1.0, top_k: int | None = None, nbest: int = 1, guard: nn.Module | None = None
    ) -> None:
        super().__init__()
        check_positive(top_k=top_k, nbest=nbest)
        if not temperature > 0:
            raise ValueError(f"temperature is {temperature}: above 0; UnitSearch takes the likeliest")
        self.temperature, self.top_k, self.nbest = temperature, top_k, nbest
        self.guard = Guard() if guard is None else guard

    @torch.no_grad()
    def forward(self, head: nn.Module, x: Seq, limits: Tensor, draws: Draws) -> list[list[Hypothesis]]:
        """Hypotheses of B utterances, the likeliest first; see ``UnitSearch``.

        Args:
            draws: of these utterances.

        Raises:
            UserError: scores are no numbers.
        """
        batch, width, end, device = len(x.lengths), self.nbest, head.vocab[0], x.data.device
        generators = draws.generators("units")
        state = head.begin(x).take(torch.arange(batch, device=device).repeat_interleave(width))
        scores = torch.zeros(batch * width, dtype=torch.float64, device=device)
        last = torch.full((batch * width,), end, device=device)
        said, going, bounds = last.new_zeros(len(last), 0), scores == 0, limits.repeat_interleave(width, 0)
        while bool(going.any()):
            chances, state = head.step(state, last)
            check_numbers(chances, "UnitSampling", "decoder")
            chances = chances.double()
            free = self.guard(chances, said.clamp(max=end - 1), bounds)
            if self.top_k is not None:
                free = free.masked_fill(free < first_best(free, self.top_k)[0][:, -1:], NEVER)
            noise = np.stack([g.gumbel(size=(width, end + 1)) for g in generators])  # of all, also of those that ended
            drawn = (free / self.temperature + torch.from_numpy(noise).to(device).flatten(0, 1)).argmax(1)
            last = torch.where(going, drawn, end)
            scores = scores + chances.gather(1, last[:, None])[:, 0] * going
            going = last != end
            said = torch.cat([said, last[:, None]], 1)
        lengths = (said != end).sum(1)
        mean, order = first_best((scores / (lengths + 1)).view(batch, width), width)
        rows = (torch.arange(batch, device=device)[:, None] * width + order).flatten()
        return nbest_lists(mean, Seq(said[rows], lengths[rows], None))
