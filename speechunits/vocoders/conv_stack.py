"""ConvStack: convolutions that end in scores and show what each of them found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.1  # of the leaky rectifiers in every discriminator here
Judged: TypeAlias = tuple[Tensor, list[Tensor]]  # scores (B, N) and what each layer found, (B, ...) each


class ConvStack(nn.Module):
    """Convolutions with leaky rectifiers between them; the last one gives the scores.

    Args:
        convs: in their order.
    """

    def __init__(self, convs: Sequence[nn.Module]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(convs)

    def forward(self, x: Tensor) -> Judged:
        """(B, C, ...) -> scores (B, N), and the rectified output of each convolution with the scores as they are."""
        *inner, last = self.convs
        features = []
        for conv in inner:
            x = F.leaky_relu(conv(x), SLOPE)
            features.append(x)
        x = last(x)
        return x.flatten(1), [*features, x]
