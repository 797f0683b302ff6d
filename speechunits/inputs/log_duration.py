"""Durations on a logarithmic scale."""

from __future__ import annotations

from torch import Tensor, nn


class LogDuration(nn.Module):
    """A linear map of log(frames + 1), the scale on which unit vocoders predict durations (Lee et al. 2022, section 3.3).

    Args:
        dim: of the vectors, supplied by the input.
    """

    def __init__(self, *, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(1, dim)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T) frames -> (B, T, dim)."""
        return self.linear(frames[..., None].to(self.linear.weight.dtype).log1p())  # type: ignore[no-any-return]
