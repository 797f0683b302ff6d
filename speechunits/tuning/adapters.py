"""Train small networks between the parts of each layer."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from speechunits.tuning.layers import transformer_layers


class Adapters:
    """A bottleneck after attention and one after the feed-forward part of every layer (Houlsby et al. 2019,
    arXiv:1902.00751, section 2 and figure 2): x + up(GELU(down(x))) on what the part adds, before the residual.

    The map up starts at zero, so that the encoder gives at first exactly what it gave before.

    Args:
        size: features of the bottleneck.
        norms: train the LayerNorms of the layers too, as the paper does.
    """

    def __init__(self, size: int = 64, norms: bool = True) -> None:
        if size < 1:
            raise ValueError(f"size is {size}: a bottleneck has at least one feature")
        self.size, self.norms = size, norms

    def __call__(self, encoder: nn.Module) -> None:
        encoder.requires_grad_(False)
        for layer in transformer_layers(encoder):
            dim = layer.up.in_features
            layer.attention_adapter = _Bottleneck(dim, self.size).to(layer.up.weight)
            layer.ffn_adapter = _Bottleneck(dim, self.size).to(layer.up.weight)
            for norm in (layer.attention_norm, layer.ffn_norm):
                norm.requires_grad_(self.norms)


class _Bottleneck(nn.Module):
    def __init__(self, dim: int, size: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(dim, size), nn.Linear(size, dim)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.up(F.gelu(self.down(x)))
