"""Transducer: text from frames without an alignment, each symbol with a view of those before it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from speechunits.heads.full_sum import FullSum
from speechunits.heads.joiner import Joiner
from speechunits.heads.rows import Rows
from speechunits.heads.stateless_predictor import StatelessPredictor
from speechunits.part import Part, fill
from speechunits.seq import Seq
from speechunits.term import Term


class Transducer(nn.Module):
    """Prediction network, joiner, sum over alignments (Graves 2012, arXiv:1211.3711).

    Symbols are 0 .. V-1 as they are stored; V is the blank, which belongs to this head: it ends a frame, and stands for what
    comes before the first symbol. A frame may hold any number of symbols. A pair that has no alignment (no frame at all, or
    more symbols than the loss looks at) is left out of the loss and of its count, and shown as ``impossible``, its share.

    A search takes frames through ``listen``, once, hypotheses through ``begin`` and ``advance``, and both through ``join``.

    Args:
        predictor: prediction network, filled with ``vocab``; default ``StatelessPredictor``.
        dim_joint: features in the joiner.
        loss: the sum over alignments, filled with ``dim``, ``dim_said`` and ``vocab``: ``FullSum``, the default, or
            ``PrunedSum``.
        dropout: of frames.
        weight: in the loss.
        dim, vocab: supplied by the model; one codebook.

    Raises:
        ValueError: the text has several codebooks.
    """

    def __init__(
        self,
        predictor: Part[nn.Module] = StatelessPredictor,
        dim_joint: int = 512,
        loss: Part[nn.Module] = FullSum,
        dropout: float = 0.0,
        weight: float = 1.0,
        *,
        dim: int,
        vocab: tuple[int, ...],
    ) -> None:
        super().__init__()
        if len(vocab) != 1:
            raise ValueError(f"Transducer writes one stream of symbols, and the text has {len(vocab)} codebooks")
        self.vocab, self.blank, self.weight = tuple(vocab), vocab[0], weight
        self.predictor = fill(predictor, vocab=self.vocab)
        self.joiner = Joiner(dim_joint, dim, self.predictor.dim, self.blank + 1)
        self.loss = fill(loss, dim=dim, dim_said=self.predictor.dim, vocab=self.vocab)
        self.dropout = nn.Dropout(dropout)

    def possible(self, frames: Tensor, text: Seq) -> Tensor:
        """(B,) bool: whether ``frames`` (B,) are enough for ``text`` (B, L)."""
        return self.loss.possible(frames, text)

    def counts(self, frames: Tensor, text: Seq) -> dict[str, Tensor]:
        """Utterances in the loss, from lengths (B,) and text alone."""
        return dict.fromkeys(self.loss.weights, self.possible(frames, text).sum())

    def forward(self, x: Seq, text: Seq) -> dict[str, Term]:
        """(B, T, dim) and ``text`` (B, L) -> ``loss``, what else the sum gives (nats per utterance each), ``impossible``."""
        possible = self.possible(x.lengths, text)
        nats = self.loss(x.with_data(self.dropout(x.data)), self.predictor(text.data.clamp(min=0)), text, self.joiner)
        counted, weights = possible.sum(), self.loss.weights
        terms = {
            name: Term(each.masked_fill(~possible, 0.0).sum(), counted, self.weight * weights[name])
            for name, each in nats.items()
        }
        return terms | {"impossible": Term((~possible).sum(), torch.full_like(counted, len(possible)), 0.0)}

    # ------------------------------------------------------------------------------------------ one symbol at a time

    def listen(self, frames: Tensor) -> Tensor:
        """Frames (..., dim) -> the same, for ``join`` (..., J)."""
        heard: Tensor = self.joiner.heard(frames)
        return heard

    def begin(self, n: int, device: torch.device | str) -> Rows:
        """``n`` hypotheses; ``advance`` them by the blank, V, before anything else."""
        return self.predictor.begin(n, device)

    def advance(self, state: Rows, symbols: Tensor) -> tuple[Tensor, Rows]:
        """``symbols`` (N,) are said -> what is then expected, for ``join`` (N, J), and the state in which they are."""
        out, state = self.predictor.advance(state, symbols)
        return self.joiner.said(out), state

    def join(self, heard: Tensor, expected: Tensor) -> Tensor:
        """What ``listen`` and ``advance`` gave (N, J) -> log-probabilities (N, V + 1), the blank last."""
        logits = self.joiner.join(heard, expected)
        return logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)
