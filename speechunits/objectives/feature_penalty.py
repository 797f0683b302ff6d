"""Keep frontend features small."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from speechunits.encoder import Frames
from speechunits.objectives.passes import Passes
from speechunits.protocols import Batch
from speechunits.term import Term


class FeaturePenalty(nn.Module):
    """Mean square of the frontend's output on real frames, at least in float32 (fairseq ``features_pen``; wav2vec 2.0).

    Args:
        weight: HuBERT base and wav2vec 2.0 base: 10.
    """

    def __init__(self, weight: float = 10.0) -> None:
        super().__init__()
        self.weight = weight

    def counts(self, frames: Sequence[Frames], batch: Batch) -> dict[str, Tensor]:
        """Real frames."""
        return {"square": frames[0].valid.sum()}

    def forward(self, passes: Passes, batch: Batch) -> dict[str, Term]:
        """``square``: mean over frames and features."""
        look = passes.student[0]
        x = look.clean.data
        square = x.to(torch.promote_types(x.dtype, torch.float32)).square().mean(-1)
        return {"square": Term((square * look.frames.valid).sum(), look.frames.valid.sum(), self.weight)}
