"""The convolutions of predictors of duration, pitch and energy."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from speechunits.seq import Seq


class VarianceConvs(nn.Module):
    """Two convolutions over time, each with ReLU, layer norm and dropout (variance predictor of FastSpeech 2, Ren et al. 2021,
    arXiv:2006.04558, section 2.3 and figure 1c, without its linear map).

    Padding is zero before each convolution, so that a batch gives what its utterances give alone.

    Args:
        dim: features of the input. hidden: of the output.
        kernel: frames that a convolution sees.
        dropout: after each layer norm.

    Raises:
        ValueError: ``kernel`` is even.
    """

    def __init__(self, dim: int, hidden: int, kernel: int = 3, dropout: float = 0.5) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"kernel = {kernel}: give an odd number, so that a frame sees as many on both sides")
        self.convs = nn.ModuleList(nn.Conv1d(size, hidden, kernel, padding=kernel // 2) for size in (dim, hidden))
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in self.convs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Seq) -> Tensor:
        """(B, T, dim) -> (B, T, hidden)."""
        data, valid = x.data, x.valid[..., None]
        for conv, norm in zip(self.convs, self.norms, strict=True):
            heard = conv((data * valid).transpose(1, 2)).transpose(1, 2)
            data = self.dropout(norm(F.relu(heard)))
        return data
