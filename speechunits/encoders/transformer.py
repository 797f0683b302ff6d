"""The transformer encoder of wav2vec 2.0 and HuBERT."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from speechunits.encoders.hidden import Hidden
from speechunits.nn.positions import ConvPositions
from speechunits.nn.transformer import TransformerLayer
from speechunits.part import Part, fill
from speechunits.seq import Seq


class TransformerEncoder(nn.Module):
    """Positions, dropout, ``depth`` transformer layers (HuBERT, Hsu et al. 2021, section III; fairseq's layout).

    Padding is zeroed before the positional convolution and never attended to, so batching changes no result.

    Args:
        depth: layers.
        dim: features.
        ffn: inner features of the feed-forward parts.
        heads: of attention.
        dropout, attention_dropout, activation_dropout, init: see ``TransformerLayer``.
        layerdrop: probability of skipping a layer in training.
        norm_first: LayerNorm before each part and at the end (large) instead of after each residual and at the start.
        positions: module of (B, T, D), zero on padding, and (B, T) valid or None -> (B, T, D), filled with ``dim``;
            default ``ConvPositions()``.
        relative: module of a number of frames -> for each layer a bias on its attention scores (``GatedRelativePositions``),
            filled with ``dim``, ``heads`` and ``depth``; None = no bias.
        recompute: keep only what enters each layer in training, and run the layer again in the backward pass (Chen et al.
            2016, arXiv:1604.06174): the same gradients, bit for bit, since the second run draws the same dropout; memory for
            one layer instead of ``depth``, at the price of one more forward pass.
    """

    left_context = right_context = None  # unlimited: this encoder sees the whole utterance
    gives_ffn = True
    skips: torch.Generator | None = None  # who draws the layers to skip: torch's own, or one that ranks share

    def __init__(
        self,
        depth: int = 12,
        dim: int = 768,
        ffn: int = 3072,
        heads: int = 12,
        dropout: float = 0.1,
        attention_dropout: float = 0.1,
        activation_dropout: float = 0.0,
        layerdrop: float = 0.0,
        norm_first: bool = False,
        init: float = 0.02,
        positions: Part[nn.Module] = ConvPositions,
        relative: Part[nn.Module] | None = None,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        self.dim_in = self.dim = dim
        self.depth, self.layerdrop, self.norm_first, self.recompute = depth, layerdrop, norm_first, recompute
        self.positions = fill(positions, dim=dim)
        self.relative = None if relative is None else fill(relative, dim=dim, heads=heads, depth=depth)
        self.norm, self.dropout = nn.LayerNorm(dim), nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            TransformerLayer(dim, ffn, heads, dropout, attention_dropout, activation_dropout, norm_first, init)
            for _ in range(depth)
        )

    def forward(
        self, x: Seq, cond: Seq | None = None, state: None = None, depth: int | None = None, ffn: bool = False
    ) -> Hidden:
        """(B, T, dim) -> Hidden.

        Args:
            cond, state: not used by this encoder.
            depth: stop after this many layers (``final`` is then the last one computed, without a final norm).
            ffn: keep ``Hidden.ffn`` (not with layers dropped in training: their places would be missing).
        """
        keys: Tensor | None = None
        valid: Tensor | None = None
        y = x.data
        if x.data.is_cuda or bool((x.lengths != x.data.size(1)).any()):  # on a GPU the question would cost a sync
            valid = x.valid
            keys, y = valid[:, None, None, :], y * valid[..., None].to(y.dtype)
        y = y + self.positions(y, valid)
        if not self.norm_first:
            y = self.norm(y)
        y = self.dropout(y)
        layers, added = [y], []
        biases = [None] * self.depth if self.relative is None else self.relative(y.size(1))
        for layer, bias in zip(self.layers[:depth], biases, strict=False):
            if not (self.training and self.layerdrop and float(torch.rand((), generator=self.skips)) < self.layerdrop):
                if self.recompute and self.training and torch.is_grad_enabled():
                    y, more = checkpoint(layer, y, keys, bias, use_reentrant=False)
                else:
                    y, more = layer(y, keys, bias)
                if ffn:
                    added.append(more)
            layers.append(y)
        final = self.norm(y) if self.norm_first and depth is None else y
        return Hidden(tuple(layers), x.with_data(final), ffn=tuple(added))
