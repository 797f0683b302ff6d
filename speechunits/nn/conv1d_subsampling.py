"""Fewer frames by convolutions over time."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from speechunits.nn.strided_convs import StridedConvs
from speechunits.seq import Seq


class Conv1dSubsampling(nn.Module):
    """Convolutions over time with ReLU, and a linear map: for embeddings of units (ESPnet's ``conv1d1``, ``conv1d2``,
    ``conv1d3``: kernels 3 3, 3 3, 3 5 and strides 1 1, 1 2, 1 3).

    Batching changes no frame, and neither does cutting an utterance into pieces (``stream``).

    Args:
        dim: features of the output.
        kernels, strides: of each convolution, in frames of its input.
        dim_in: supplied by the parent.

    Raises:
        ValueError: kernels and strides do not pair.
    """

    def __init__(
        self, dim: int = 256, kernels: Sequence[int] = (3, 3), strides: Sequence[int] = (1, 2), *, dim_in: int
    ) -> None:
        super().__init__()
        if len(kernels) != len(strides) or not kernels:
            raise ValueError(f"{len(kernels)} kernels and {len(strides)} strides: give one of each for a convolution")
        sizes = [dim_in, *[dim] * len(kernels)]
        self.convs = StridedConvs([nn.Conv1d(*each) for each in zip(sizes, sizes[1:], kernels, strides, strict=False)])
        self.linear = nn.Linear(dim, dim)
        self.dim, self.factor = dim, self.convs.factor
        self.left_context, self.right_context = self.convs.left_context, self.convs.right_context

    def frames(self, lengths: Tensor) -> Tensor:
        """Input frames (B,) -> output frames (B,), rounded up."""
        return self.convs.frames(lengths)

    def forward(self, x: Seq) -> Seq:
        """(B, T, dim_in) -> (B, frames(T), dim), the hop times ``factor``."""
        return self.stream(x)[0]

    def stream(self, x: Seq, state: Sequence[Tensor] | None = None) -> tuple[Seq, tuple[Tensor, ...]]:
        """``forward``, and the state for the frames that follow; all calls but an utterance's last take a multiple of
        ``factor`` frames.
        """
        y, state = self.convs(x.data.transpose(1, 2), x.lengths, state)
        hop = None if x.hop is None else x.hop * self.factor
        return Seq(self.linear(y.transpose(1, 2)), self.frames(x.lengths), hop), state
