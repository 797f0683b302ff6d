"""Attention decoder: each symbol from those before it and from all frames."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechunits.heads.decoder_state import DecoderState
from speechunits.nn.decoder_layer import DecoderLayer
from speechunits.nn.sinusoidal_positions import SinusoidalPositions
from speechunits.part import Part, fill
from speechunits.seq import Seq
from speechunits.term import Term


class AttentionDecoder(nn.Module):
    """Transformer decoder (Vaswani et al. 2017, arXiv:1706.03762, section 3; for speech Karita et al. 2019, arXiv:1909.06317),
    norm first, trained on the smoothed cross entropy (Szegedy et al. 2016, arXiv:1512.00567, section 7) of the next symbol.

    Symbols are 0 .. V-1 as they are stored; V belongs to this head: it is what a text begins with, before anything is said,
    and what ends it. Log-probabilities are float32 or better. An utterance without frames is left out of the loss and of its
    count, and shown as ``impossible``, its share of the utterances.

    A search takes hypotheses through ``begin`` and ``step``, which give what ``log_probs`` gives for whole texts.

    Args:
        depth: layers.
        ffn: inner features of the feed-forward parts.
        heads: of attention.
        dropout: of each part and of what enters the first layer.
        attention_dropout: on attention weights.
        positions: module of (B, T, D) and ``start`` -> what is added to the embeddings of symbols, filled with ``dim``;
            default ``SinusoidalPositions``.
        smoothing: share of the truth that is spread over all V + 1 symbols.
        per_utterance: the loss is nats per utterance, as that of CTC, so that published weights of joint training hold;
            otherwise per symbol.
        weight: in the loss.
        dim, vocab: supplied by the model; one codebook.

    Raises:
        ValueError: the text has several codebooks, or ``smoothing`` is no share.
    """

    def __init__(
        self,
        depth: int = 6,
        ffn: int = 2048,
        heads: int = 4,
        dropout: float = 0.1,
        attention_dropout: float = 0.0,
        positions: Part[nn.Module] = SinusoidalPositions,
        smoothing: float = 0.1,
        per_utterance: bool = False,
        weight: float = 1.0,
        *,
        dim: int,
        vocab: tuple[int, ...],
    ) -> None:
        super().__init__()
        if len(vocab) != 1:
            raise ValueError(f"AttentionDecoder writes one stream of symbols, and the text has {len(vocab)} codebooks")
        if not 0 <= smoothing < 1:
            raise ValueError(f"smoothing is {smoothing}: it is a share of the truth, so give 0 or more and less than 1")
        self.vocab, self.end, self.smoothing = tuple(vocab), vocab[0], smoothing
        self.per_utterance, self.weight = per_utterance, weight
        self.embedding, self.scale = nn.Embedding(self.end + 1, dim), dim**0.5
        self.positions, self.dropout = fill(positions, dim=dim), nn.Dropout(dropout)
        self.layers = nn.ModuleList(DecoderLayer(dim, ffn, heads, dropout, attention_dropout) for _ in range(depth))
        self.norm, self.linear = nn.LayerNorm(dim), nn.Linear(dim, self.end + 1)
        nn.init.normal_(self.embedding.weight, std=dim**-0.5)
        for part in self.modules():
            if isinstance(part, nn.Linear):
                nn.init.xavier_uniform_(part.weight)
                nn.init.zeros_(part.bias)

    @staticmethod
    def possible(frames: Tensor, text: Seq) -> Tensor:
        """(B,) bool: whether there is any frame."""
        return frames > 0

    def counts(self, frames: Tensor, text: Seq) -> dict[str, Tensor]:
        """Utterances, or symbols and ends, in the loss: from lengths (B,) alone."""
        possible = self.possible(frames, text)
        return {"loss": possible.sum() if self.per_utterance else ((text.lengths + 1) * possible).sum()}

    def _enter(self, symbols: Tensor, start: int = 0) -> Tensor:
        """(N, L) symbols, of which the first is number ``start`` -> (N, L, D)."""
        x = self.embedding(symbols) * self.scale
        return self.dropout(x + self.positions(x, start=start))

    def _leave(self, x: Tensor) -> Tensor:
        """(N, L, D) -> log-probabilities (N, L, V + 1)."""
        logits = self.linear(self.norm(x))
        return logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)

    def log_probs(self, x: Seq, text: Seq) -> Tensor:
        """(B, T, dim) and text (B, L) -> (B, L + 1, V + 1): of each symbol, and of what follows the last one, given those
        before it."""
        y = self._enter(F.pad(text.data.clamp(min=0), (1, 0), value=self.end))
        keys = x.valid[:, None, None]
        for layer in self.layers:
            y, _ = layer(y, layer.heard.remember(x.data), keys)
        return self._leave(y)

    def _truth(self, text: Seq) -> tuple[Tensor, Tensor]:
        """(B, L + 1) int64 symbols with their end, 0 on padding, and (B, L + 1) bool where they are real."""
        symbols = F.pad(text.data.clamp(min=0), (0, 1)).scatter(1, text.lengths[:, None], self.end)
        return symbols, torch.arange(symbols.size(1), device=symbols.device) <= text.lengths[:, None]

    def score(self, x: Seq, ids: Seq) -> Tensor:
        """(B, T, dim) and texts (B, L) -> (B,) log-probability of each text with its end, for rescoring."""
        symbols, real = self._truth(ids)
        return (self.log_probs(x, ids).gather(2, symbols[..., None])[..., 0] * real).sum(1)

    def forward(self, x: Seq, text: Seq) -> dict[str, Term]:
        """(B, T, dim) and ``text`` (B, L) -> ``loss``, ``accuracy``, the share of symbols and ends that are the likeliest after
        the true ones before them, and ``impossible``."""
        log_probs, (symbols, real) = self.log_probs(x, text), self._truth(text)
        possible = self.possible(x.lengths, text)
        real = real & possible[:, None]
        truth = log_probs.gather(2, symbols[..., None])[..., 0]
        nats = (self.smoothing - 1) * truth - self.smoothing * log_probs.mean(-1)
        right = (log_probs.argmax(-1) == symbols) & real
        return {
            "loss": Term((nats * real).sum(), self.counts(x.lengths, text)["loss"], self.weight),
            "accuracy": Term(right.sum(), real.sum(), 0.0),
            "impossible": Term((~possible).sum(), torch.full_like(right.sum(), len(possible)), 0.0),
        }

    # ------------------------------------------------------------------------------------------ one symbol at a time

    def begin(self, x: Seq) -> DecoderState:
        """(B, T, dim) -> one hypothesis for each utterance, of which nothing is said."""
        heard = tuple(layer.heard.remember(x.data) for layer in self.layers)
        return DecoderState(heard, x.valid[:, None, None], tuple(each[:, :, :, :0] for each in heard))

    def step(self, state: DecoderState, last: Tensor) -> tuple[Tensor, DecoderState]:
        """``last`` (N,) symbol of each hypothesis, V at the beginning -> log-probabilities (N, V + 1) of the next one, V being
        the end, and the state in which ``last`` is said."""
        y, said = self._enter(last[:, None], state.said[0].size(3)), []
        for layer, heard, before in zip(self.layers, state.heard, state.said, strict=True):
            y, memory = layer(y, heard, state.keys, before)
            said.append(memory)
        return self._leave(y)[:, 0], replace(state, said=tuple(said))
