"""The units of a decoder that writes all of them at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from speechunits.decode.find_head import check_numbers
from speechunits.decode.hypothesis import Hypothesis
from speechunits.draws import Draws
from speechunits.seq import Seq, unpad


class AllAtOnce(nn.Module):
    """The likeliest unit of each frame, as many frames as the head predicts. There is nothing to search.

    Args:
        speed: durations are divided by it.

    Raises:
        ValueError: the speed is not above 0.
    """

    reads = "write"  # what a head must have

    def __init__(self, speed: float = 1.0) -> None:
        super().__init__()
        if not 0 < speed < math.inf:
            raise ValueError(f"speed is {speed}: durations are divided by it, so give a number above 0")
        self.speed = speed

    @torch.no_grad()
    def forward(self, head: nn.Module, x: Seq, limits: Tensor, draws: Draws | None = None) -> list[list[Hypothesis]]:
        """One hypothesis of each of B utterances; ``limits`` and ``draws`` are not needed (see ``UnitSearch``).

        Raises:
            UserError: scores are no numbers.
        """
        scores = head.write(x, self.speed)
        best, units = scores.data.max(-1)
        check_numbers(best.masked_fill(~scores.valid, 0.0), "AllAtOnce", "decoder")
        sums = (best.double() * scores.valid).sum(1).tolist()
        rows = unpad(scores.with_data(units.cpu()))
        return [[Hypothesis(ids, score)] for ids, score in zip(rows, sums, strict=True)]
