"""One vector for an utterance: mean and deviation of its frames, weighed by attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from speechunits.nn.weighted_statistics import weighted_statistics
from speechunits.seq import Seq


class AttentiveStatistics(nn.Module):
    """Attentive statistics pooling (Okabe et al. 2018, arXiv:1803.10963, equations 1 to 5): the weight of frame t is the
    softmax over the real frames of v . tanh(W x_t + b). The paper's k adds the same to every frame and falls out of it.

    Args:
        hidden: rows of W.
        dim_in: features of a frame, supplied by the parent; ``dim`` is twice as much.
    """

    def __init__(self, hidden: int = 128, *, dim_in: int) -> None:
        super().__init__()
        self.dim = 2 * dim_in
        self.hidden, self.score = nn.Linear(dim_in, hidden), nn.Linear(hidden, 1, bias=False)

    def forward(self, x: Seq) -> Tensor:
        """(B, T, dim_in) -> (B, dim). Padding does not enter."""
        scores = self.score(self.hidden(x.data).tanh())
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        real = x.valid[..., None]
        weights = scores.masked_fill(~real, torch.finfo(scores.dtype).min).softmax(1)
        return weighted_statistics(x.data, weights * real)
