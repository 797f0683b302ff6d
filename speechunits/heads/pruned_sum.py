"""PrunedSum: a transducer's loss over the alignments that a cheap joiner finds likely."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from speechunits.heads.full_sum import one_at_least
from speechunits.heads.joiner import Joiner
from speechunits.nn import k2, transducer_sum
from speechunits.seq import Seq

WAYS = {"torch": transducer_sum, "k2": k2}


class PrunedSum(nn.Module):
    """Two losses (Kuang et al. 2022, arXiv:2206.13236): ``simple``, over all alignments, where the joiner is a sum of two
    linear maps to classes; and ``loss``, where the joiner runs only on the ``width`` numbers of symbols that are likely at
    each frame by the first one. Logits are (B, T, width, V + 1). With ``width`` above U all alignments are within.

    In the first ``warm`` updates ``simple`` falls from weight 1 to ``simple``, while ``loss`` rises from 0.1 to 1, since at
    first likely places are not known. Defaults are icefall's (egs/librispeech/ASR/zipformer/train.py).

    Args:
        width: numbers of symbols at each frame; more than ``width`` - 1 symbols per frame are impossible.
        simple: weight of the simple loss.
        said_share, heard_share: of the simple log-probabilities, how much is what symbols, and frames, say alone.
        warm: updates.
        by: who adds up: "torch", or "k2" (tools/k2.sh), which may be faster.
        dim, dim_said, vocab: supplied by the head.

    Raises:
        ValueError: there is no such way, or ``width`` leaves no alignment.
    """

    updates: Tensor

    def __init__(
        self,
        width: int = 5,
        simple: float = 0.5,
        said_share: float = 0.25,
        heard_share: float = 0.0,
        warm: int = 2000,
        by: str = "torch",
        *,
        dim: int,
        dim_said: int,
        vocab: tuple[int, ...],
    ) -> None:
        super().__init__()
        if by not in WAYS:
            raise ValueError(f"by is '{by}'; there are: {', '.join(WAYS)}")
        if width < 2:
            raise ValueError(f"width is {width}: no symbol could be said; give 2 or more")
        self.width, self.simple, self.said_share, self.heard_share = width, simple, said_share, heard_share
        self.warm, self.by = warm, by
        self.heard, self.said = nn.Linear(dim, vocab[0] + 1), nn.Linear(dim_said, vocab[0] + 1)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.register_load_state_dict_post_hook(PrunedSum._recall)  # by its class: a copy recalls its own
        self._recall()

    def _recall(self, *_: object) -> None:
        at = 0 if self.updates.is_meta else int(self.updates)  # a number at hand: asking a GPU at each pass would cost
        self.warmth = min(at / self.warm, 1.0) if self.warm else 1.0

    def on_step(self, step: int, root: nn.Module) -> None:
        """Move the weights (see ``protocols.Stepped``)."""
        self.updates.fill_(step)
        self.warmth = min(step / self.warm, 1.0) if self.warm else 1.0

    def train(self, mode: bool = True) -> Self:
        """Also ask for k2 now: training needs it, what a folder is restored for does not."""
        if mode and self.by == "k2":
            k2.need()
        return super().train(mode)

    @property
    def weights(self) -> dict[str, float]:
        """Of what ``forward`` gives."""
        return {"loss": 0.1 + 0.9 * self.warmth, "simple": 1 - (1 - self.simple) * self.warmth}

    def possible(self, frames: Tensor, text: Seq) -> Tensor:
        """(B,) bool: whether some alignment stays within ``width``."""
        return (frames > 0) & (text.lengths <= frames * (self.width - 1))

    def forward(self, x: Seq, said: Tensor, text: Seq, joiner: Joiner) -> dict[str, Tensor]:
        """Frames (B, T, dim), what the prediction network gives (B, U + 1, P), ``text`` (B, U) -> ``loss`` and ``simple``, (B,)
        nats each."""
        way = WAYS[self.by]
        heard, frames = one_at_least(x)
        said_at_most = frames * (self.width - 1)  # impossible texts are cut, so that what is left out stays finite
        text = Seq(text.data, torch.minimum(text.lengths, said_at_most), text.hop)
        scores = [_exact(each) for each in (self.heard(heard), self.said(said))]
        with torch.autocast(
            x.data.device.type, enabled=False
        ):  # in a product of half precision few probabilities are left
            simple, occupied = way.smoothed(*scores, text, frames, self.heard_share, self.said_share)
        band = way.bounds(occupied, text, frames, min(self.width, said.size(1)))
        row = torch.arange(len(band), device=band.device)[:, None, None]
        logits = joiner.join(joiner.heard(heard)[:, :, None], joiner.said(said)[row, band])
        return {"loss": way.pruned(_exact(logits), text, frames, band), "simple": simple}


def _exact(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
