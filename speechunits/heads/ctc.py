"""Connectionist temporal classification: text from frames, without an alignment."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechunits.seq import Seq
from speechunits.term import Term


class CTC(nn.Module):
    """Dropout, linear map, log-softmax, forward-backward sum (Graves et al. 2006, doi 10.1145/1143844.1143891, eq. 3-8).

    Symbols are 0 .. V-1 as they are stored; V is the blank, which belongs to this head. Scores and sums are float32 or
    better. A pair whose frames are fewer than its symbols and repeats (a blank parts two equal symbols) has no
    alignment: it is left out of the loss and of its count, and shown as ``impossible``, its share of the utterances.

    Args:
        dropout: before the linear map (fairseq's ``final_dropout``).
        weight: in the loss.
        dim, vocab: supplied by the model; one codebook.

    Raises:
        ValueError: the text has several codebooks.
    """

    def __init__(self, dropout: float = 0.0, weight: float = 1.0, *, dim: int, vocab: tuple[int, ...]) -> None:
        super().__init__()
        if len(vocab) != 1:
            raise ValueError(f"CTC writes one stream of symbols, and the text has {len(vocab)} codebooks")
        self.vocab, self.weight, self.blank = tuple(vocab), weight, vocab[0]
        self.dropout, self.linear = nn.Dropout(dropout), nn.Linear(dim, vocab[0] + 1)
        nn.init.xavier_uniform_(self.linear.weight)  # fairseq: Linear() of hubert_asr.py
        nn.init.zeros_(self.linear.bias)

    @staticmethod
    def possible(frames: Tensor, text: Seq) -> Tensor:
        """(B,) bool: whether ``frames`` (B,) are enough for ``text`` (B, L)."""
        again = (text.data[:, 1:] == text.data[:, :-1]) & text.valid[:, 1:]
        return frames >= (text.lengths + again.sum(1)).clamp(min=1)

    def counts(self, frames: Tensor, text: Seq) -> dict[str, Tensor]:
        """Utterances in the loss, from lengths (B,) and text alone."""
        return {"loss": self.possible(frames, text).sum()}

    def scores(self, x: Seq) -> Seq:
        """(B, T, dim) -> log-probabilities (B, T, V + 1), the blank last."""
        logits = self.linear(self.dropout(x.data))
        return x.with_data(logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1))

    def forward(self, x: Seq, text: Seq) -> dict[str, Term]:
        """(B, T, dim) and ``text`` (B, L) -> ``loss`` (nats per utterance) and ``impossible``."""
        scores, targets = self.scores(x).data.transpose(0, 1), text.data.clamp(min=0)
        if not len(scores):  # where no utterance has a frame; torch wants one
            scores = F.pad(scores, (0, 0, 0, 0, 0, 1))
        nats = F.ctc_loss(scores, targets, x.lengths, text.lengths, self.blank, reduction="none", zero_infinity=True)
        possible = self.possible(x.lengths, text)
        return {
            "loss": Term(nats.masked_fill(~possible, 0.0).sum(), possible.sum(), self.weight),
            "impossible": Term((~possible).sum(), torch.full_like(possible.sum(), len(possible)), 0.0),
        }
