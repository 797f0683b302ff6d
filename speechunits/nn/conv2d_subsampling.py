"""Fewer frames by convolutions over time and bands."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from speechunits.nn.strided_convs import StridedConvs
from speechunits.seq import Seq


class Conv2dSubsampling(nn.Module):
    """Convolutions of 3 x 3 and stride 2 over time and bands with ReLU, and a linear map: for filterbanks (ESPnet's
    ``conv2d``, by 4; Dong et al. 2018, "Speech-Transformer", figure 2).

    Batching changes no frame, and neither does cutting an utterance into pieces (``stream``).

    Args:
        dim: features of the output, and channels of the convolutions.
        halvings: convolutions; each halves the frame rate.
        dim_in: bands, supplied by the parent.

    Raises:
        ValueError: too few bands.
    """

    def __init__(self, dim: int = 256, halvings: int = 2, *, dim_in: int) -> None:
        super().__init__()
        bands = dim_in
        for _ in range(halvings):
            bands = (bands - 1) // 2
        if halvings < 1 or bands < 1:
            raise ValueError(f"{dim_in} bands cannot be halved {halvings} times by convolutions of 3 x 3")
        self.convs = StridedConvs([nn.Conv2d(dim if i else 1, dim, 3, 2) for i in range(halvings)])
        self.linear = nn.Linear(dim * bands, dim)
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
        y, state = self.convs(x.data[:, None], x.lengths, state)
        hop = None if x.hop is None else x.hop * self.factor
        return Seq(self.linear(y.transpose(1, 2).flatten(2)), self.frames(x.lengths), hop), state
