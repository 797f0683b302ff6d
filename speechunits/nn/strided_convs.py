"""Convolutions over time that lower the frame rate without looking beyond their own group of frames."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class StridedConvs(nn.Module):
    """Convolutions with ReLU, one after the other; ``factor`` input frames, the product of their strides, become one.

    Output frame t hears input frames ``factor * t - left_context`` to ``factor * t + right_context``, the last of its
    group: a stream loses no time beyond the group, and n frames give n / ``factor``, rounded up, so that no utterance
    vanishes. Published layouts pad nothing instead (ESPnet) or both sides: the same frames, counted from elsewhere.

    Args:
        convs: ``nn.Conv1d`` or ``nn.Conv2d`` without padding over time, which is their first dimension.

    Raises:
        ValueError: a stride longer than its kernel, which would leave frames unheard.
    """

    def __init__(self, convs: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(convs)
        self.spans = [(int(conv.kernel_size[0]), int(conv.stride[0])) for conv in convs]
        self.factor, self.left_context = 1, 0
        for kernel, stride in self.spans:
            if kernel < stride:
                raise ValueError(f"a kernel of {kernel} frames and a stride of {stride} would leave frames unheard")
            self.left_context += (kernel - stride) * self.factor
            self.factor *= stride
        self.right_context = self.factor - 1

    def frames(self, lengths: Tensor) -> Tensor:
        """Input frames (B,) -> output frames (B,)."""
        return -(-lengths // self.factor)

    def forward(
        self, x: Tensor, lengths: Tensor, past: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """(B, C, T, ...) with ``lengths`` (B,) real frames -> (B, C', frames(T), ...), and the ``past`` of what follows.

        Args:
            past: what the call on the frames before these gave; None = they are the first. All but the last call of an
                utterance take a multiple of ``factor`` frames.
        """
        kept = []
        for i, (layer, (kernel, stride)) in enumerate(zip(self.layers, self.spans, strict=True)):
            padding = torch.arange(x.size(2), device=x.device) >= lengths[:, None]
            x = x.masked_fill(padding.view(len(x), 1, -1, *[1] * (x.dim() - 3)), 0)
            lacking = -x.size(2) % stride
            before = x.new_zeros(*x.shape[:2], kernel - stride, *x.shape[3:]) if past is None else past[i]
            x = torch.cat([before, x], 2)
            kept.append(x[:, :, x.size(2) - before.size(2) :])
            x = F.relu(layer(F.pad(x, [0, 0] * (x.dim() - 3) + [0, lacking])))
            lengths = -(-lengths // stride)
        return x, tuple(kept)
