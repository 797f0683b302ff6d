"""FullSum: a transducer's loss over all alignments."""

from __future__ import annotations

from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechunits.errors import UserError
from speechunits.heads.joiner import Joiner
from speechunits.nn import k2, transducer_sum
from speechunits.seq import Seq

WAYS = ("auto", "torch", "torchaudio", "k2")
TOO_MANY = 2**31  # logits for torchaudio, which counts them in int32 (pytorch/audio issues 3736 and 4215)


class FullSum(nn.Module):
    """Every alignment, from logits (B, T, U + 1, V + 1), the largest tensor of a training (Graves 2012, arXiv:1211.3711).

    Args:
        by: who adds up: "torch" (any floating type), "torchaudio" (float32), "k2" (float32; tools/k2.sh), or "auto":
            torchaudio for float32 on a GPU, where torch starts kernels for each diagonal, and torch elsewhere, where it is
            the faster one, and for 2^31 logits and more, of which torchaudio loses count. torch and torchaudio agree;
            docs/k2.md says what of k2 has run.

    Raises:
        ValueError: there is no such way.
        UserError: in the forward pass, too many logits for "torchaudio".
    """

    def __init__(self, by: str = "auto") -> None:
        super().__init__()
        if by not in WAYS:
            raise ValueError(f"by is '{by}'; there are: {', '.join(WAYS)}")
        self.by = by

    def train(self, mode: bool = True) -> Self:
        """Also ask for k2 now: training needs it, what a folder is restored for does not."""
        if mode and self.by == "k2":
            k2.need()
        return super().train(mode)

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
        fused = by_torchaudio(self.by, logits.numel(), logits.is_cuda and logits.dtype == torch.float32)
        return {"loss": (_by_torchaudio if fused else transducer_sum.full)(logits, text, frames)}


def by_torchaudio(by: str, logits: int, faster: bool) -> bool:
    """Whether torchaudio adds up; ``faster``: it would be.

    Raises:
        UserError: it is asked for and cannot.
    """
    if by == "torchaudio" and logits >= TOO_MANY:
        raise UserError(
            f"loss.by: torchaudio adds up fewer than 2^31 logits, and a batch has {logits}; make batches shorter, or choose "
            "by: torch or the loss PrunedSum"
        )
    return by == "torchaudio" or (by == "auto" and faster and logits < TOO_MANY)


def one_at_least(x: Seq) -> tuple[Tensor, Tensor]:
    """Frames (B, T, D) and their numbers (B,), where utterances without any have one of padding."""
    return x.data if x.data.size(1) else F.pad(x.data, (0, 0, 0, 1)), x.lengths.clamp(min=1)


def _by_torchaudio(logits: Tensor, text: Seq, frames: Tensor) -> Tensor:
    from torchaudio.functional import rnnt_loss

    t, u = int(frames.max()), int(text.lengths.max())  # it refuses padding that no utterance needs
    logits, symbols = logits[:, :t, : u + 1].contiguous(), text.data[:, :u].clamp(min=0).int().contiguous()
    return rnnt_loss(logits, symbols, frames.int(), text.lengths.int(), blank=logits.size(-1) - 1, reduction="none")
