"""FullSum: a transducer's loss over all alignments."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechunits.heads.joiner import Joiner
from speechunits.nn import k2, transducer_sum
from speechunits.seq import Seq

WAYS = ("auto", "torch", "torchaudio", "k2")


class FullSum(nn.Module):
    """Every alignment, from logits (B, T, U + 1, V + 1), the largest tensor of a training (Graves 2012, arXiv:1211.3711).

    Args:
        by: who adds up: "torch" (any floating type), "torchaudio" (float32), "k2" (float32; tools/k2.sh), or "auto":
            torchaudio for float32 on a GPU, where torch starts kernels for each diagonal, and torch elsewhere, where it is
            the faster one. They agree.

    Raises:
        ValueError: there is no such way.
    """

    def __init__(self, by: str = "auto") -> None:
        super().__init__()
        if by not in WAYS:
            raise ValueError(f"by is '{by}'; there are: {', '.join(WAYS)}")
        self.by = by

    @property
    def weights(self) -> dict[str, float]:
        """Of what ``forward`` gives."""
        return {"loss": 1.0}

    @staticmethod
    def possible(frames: Tensor, text: Seq) -> Tensor:
        """(B,) bool: whether there is any frame."""
        return frames > 0

    def forward(self, x: Seq, said: Tensor, text: Seq, joiner: Joiner) -> dict[str, Tensor]:
        """Frames (B, T, dim), what the prediction network gives (B, U + 1, P), ``text`` (B, U) -> ``loss``, (B,) nats."""
        heard, frames = one_at_least(x)
        logits = joiner.join(joiner.heard(heard)[:, :, None], joiner.said(said)[:, None])
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if self.by == "k2":
            return {"loss": k2.full(logits, text, frames)}
        fused = self.by == "torchaudio" or (self.by == "auto" and logits.is_cuda and logits.dtype == torch.float32)
        return {"loss": (_by_torchaudio if fused else transducer_sum.full)(logits, text, frames)}


def one_at_least(x: Seq) -> tuple[Tensor, Tensor]:
    """Frames (B, T, D) and their numbers (B,), where utterances without any have one of padding."""
    return x.data if x.data.size(1) else F.pad(x.data, (0, 0, 0, 1)), x.lengths.clamp(min=1)


def _by_torchaudio(logits: Tensor, text: Seq, frames: Tensor) -> Tensor:
    from torchaudio.functional import rnnt_loss

    t, u = int(frames.max()), int(text.lengths.max())  # it refuses padding that no utterance needs
    logits, symbols = logits[:, :t, : u + 1].contiguous(), text.data[:, :u].clamp(min=0).int().contiguous()
    return rnnt_loss(logits, symbols, frames.int(), text.lengths.int(), blank=logits.size(-1) - 1, reduction="none")
