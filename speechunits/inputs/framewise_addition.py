"""Add the features of the same moment to each frame."""

from __future__ import annotations

from torch import nn

from speechunits.seq import Seq


class FramewiseAddition(nn.Module):
    """x + W y, of y every n-th frame, or each n times, where the rates differ (``Seq.at``); frames that y lacks at the end get
    nothing (Prabhu et al. 2024, arXiv:2404.12628: subsampled framewise addition, there without W since the dimensions are
    the same; so it is here then).

    Args:
        dim: of x and the result. dim_in: of y. Supplied by the parent.
    """

    any_rate = False

    def __init__(self, *, dim: int, dim_in: int) -> None:
        super().__init__()
        self.linear = nn.Identity() if dim == dim_in else nn.Linear(dim_in, dim, bias=False)

    def forward(self, x: Seq, y: Seq) -> Seq:
        """(B, T, dim) and (B, T', dim_in) -> (B, T, dim)."""
        added = y.at(x.hop, x.data.size(1))
        return x.with_data(x.data + self.linear(added.data) * (added.valid & x.valid)[..., None])
