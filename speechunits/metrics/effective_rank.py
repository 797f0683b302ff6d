"""How many directions features really use."""

from __future__ import annotations

import torch
from torch import Tensor


def effective_rank(x: Tensor) -> float:
    """exp of the entropy (nats) of the singular values of ``x`` (N, D), normalised to sum 1; from 1 to min(N, D).

    Roy and Vetterli, "The effective rank", EUSIPCO 2007, definition 1; with 1e-7 added to the shares it is RankMe (Garrido et
    al. 2023, https://arxiv.org/abs/2210.02885, equation 1). Nothing is centred here. In float64; nan where ``x`` is 0.
    """
    values = torch.linalg.svdvals(x.double())
    share = values / values.sum()
    return float(torch.exp(-torch.xlogy(share, share).sum()))
