"""A learned hierarchy over all layers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LayerConvolution(nn.Module):
    """Convolutions over the layer axis, each followed by ReLU, that leave every ``stride``-th layer, as many as the depth has
    powers of ``stride``; what is left is laid side by side (Shih and Harwath 2024, arXiv:2406.12209: the hierarchical
    convolution interface, of which they find that it beats a weighted sum; kernel 5 and stride 3 are theirs).

    Args:
        kernel: layers that one output sees, an odd number. stride: from one output to the next.
        normalize: give every frame of every layer mean 0 and variance 1 first.
        depth, dim: layers above the input, and features of each, supplied by the parent.

    ``dim`` is then the number of features that come out: as many as went in, or, where the layers that are left do not divide
    them, a few less.

    Raises:
        ValueError: a kernel that is even, a stride below 2, or fewer layers than the stride.
    """

    def __init__(self, kernel: int = 5, stride: int = 3, normalize: bool = False, *, depth: int, dim: int) -> None:
        super().__init__()
        if kernel % 2 == 0 or stride < 2 or depth + 1 < stride:
            raise ValueError(
                f"kernel {kernel} must be odd, and stride {stride} 2 or more and at most {depth + 1} layers"
            )
        left, sizes = depth + 1, []
        while stride ** (len(sizes) + 1) <= depth + 1:
            left = math.ceil(left / stride)
            sizes.append(dim)
        sizes[-1] = dim // left
        self.convs = nn.ModuleList(nn.Conv1d(dim, size, kernel, stride, kernel // 2) for size in sizes)
        self.normalize, self.dim = normalize, left * sizes[-1]

    def forward(self, layers: Sequence[Tensor]) -> Tensor:
        """depth + 1 tensors (B, T, D) -> (B, T, dim)."""
        if self.normalize:
            layers = [F.layer_norm(x, x.shape[-1:]) for x in layers]
        b, t, _ = layers[0].shape
        x = torch.stack(list(layers), -1).flatten(0, 1)  # (B * T, D, L)
        for conv in self.convs:
            x = F.relu(conv(x))
        return x.reshape(b, t, self.dim)
