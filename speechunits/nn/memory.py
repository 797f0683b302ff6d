"""What one block remembers of earlier frames."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Memory:
    """Tensors of frames that came before, one for each ``extend`` of a pass, in the order of the calls.

    Args:
        past: ``kept`` of the pass before this one; empty for the first.
    """

    def __init__(self, past: Sequence[Tensor] = ()) -> None:
        self.past = past
        self.kept: list[Tensor] = []

    def extend(self, x: Tensor, keep: int | None, dim: int) -> Tensor:
        """``x`` with the remembered frames before it; the last ``keep`` frames of this are remembered (None = all)."""
        if self.past:
            x = torch.cat([self.past[len(self.kept)], x], dim)
        frames = x.size(dim)
        keep = frames if keep is None else min(keep, frames)
        self.kept.append(x.narrow(dim, frames - keep, keep))
        return x
