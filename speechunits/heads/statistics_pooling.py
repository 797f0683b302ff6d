"""One vector for an utterance: mean and deviation of its frames."""

from __future__ import annotations

from torch import Tensor, nn

from speechunits.nn.weighted_statistics import weighted_statistics
from speechunits.seq import Seq


class StatisticsPooling(nn.Module):
    """Mean and standard deviation over the real frames (x-vectors: Snyder et al. 2017, Interspeech, section 2.2).

    Args:
        dim_in: features of a frame, supplied by the parent; ``dim`` is twice as much.
    """

    def __init__(self, *, dim_in: int) -> None:
        super().__init__()
        self.dim = 2 * dim_in

    def forward(self, x: Seq) -> Tensor:
        """(B, T, dim_in) -> (B, dim). Padding does not enter."""
        return weighted_statistics(x.data, x.valid[..., None])
