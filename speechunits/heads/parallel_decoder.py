"""Parallel decoder: the units of all frames at once, each symbol lasting as long as it is predicted to."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from speechunits.heads.length_regulator import regulate
from speechunits.heads.monotonic_alignment import best_durations, diagonal_prior, forward_sum
from speechunits.part import Part, fill
from speechunits.seq import Seq
from speechunits.term import Term


class ParallelDecoder(nn.Module):
    """Encoded symbols, durations, length regulator, decoder (Ren et al. 2021, arXiv:2006.04558, figure 1), with units in place
    of mels and without somebody else's aligner: symbol j says unit u with a probability p(u | j), which is learned from the
    sum over all monotonic paths (Badlani et al. 2021, arXiv:2108.10447, section 3.1); the likeliest path gives the durations
    from which the rest learns.

    An utterance with fewer units than symbols has no path: it is left out of the loss and of its counts, and shown as
    ``impossible``, its share of the utterances.

    Args:
        decoder: frames to Hidden, as ``BlockEncoder``, filled with ``dim_in``; a linear map stands before one of another dim.
        durations: of symbols, as ``heads.duration.DurationPredictor``, filled with ``dim``.
        prior: sharpness of the diagonal that the alignment starts from (``diagonal_prior``); 0 = none.
        weight, alignment_weight, duration_weight: in the loss, of units, of the sum over paths, of durations.
        dim, vocab: supplied by the model; one codebook.

    Raises:
        ValueError: the units have several codebooks, or ``prior`` is negative.
    """

    def __init__(
        self,
        decoder: Part[nn.Module],
        durations: Part[nn.Module],
        prior: float = 1.0,
        weight: float = 1.0,
        alignment_weight: float = 1.0,
        duration_weight: float = 1.0,
        *,
        dim: int,
        vocab: tuple[int, ...],
    ) -> None:
        super().__init__()
        if len(vocab) != 1:
            raise ValueError(f"ParallelDecoder writes one stream of units, and these have {len(vocab)} codebooks")
        if prior < 0:
            raise ValueError(f"prior is {prior}: it is a sharpness, so give 0 or more")
        self.vocab, self.prior = tuple(vocab), prior
        self.weight, self.alignment_weight, self.duration_weight = weight, alignment_weight, duration_weight
        self.decoder = fill(decoder, dim_in=dim)
        dim_in = int(self.decoder.dim_in)
        self.entry = nn.Identity() if dim_in == dim else nn.Linear(dim, dim_in)
        self.place, self.durations = nn.Linear(2, dim_in), fill(durations, dim=dim)
        self.says, self.units = nn.Linear(dim, vocab[0]), nn.Linear(int(self.decoder.dim), vocab[0])

    @staticmethod
    def possible(frames: Tensor, units: Seq) -> Tensor:
        """(B,) bool: whether each of ``frames`` (B,) symbols can have a unit."""
        return (frames > 0) & (units.lengths >= frames)

    def counts(self, frames: Tensor, units: Seq) -> dict[str, Tensor]:
        """Units, and symbols, in the loss: from lengths (B,) alone."""
        possible = self.possible(frames, units)
        said = (units.lengths * possible).sum()
        return {"loss": said, "alignment": said, "duration": (frames * possible).sum()}

    def align(self, x: Seq, units: Seq) -> tuple[Tensor, Tensor]:
        """(B, L, dim) and units (B, T) -> (B,) log-probability over all paths, and (B, L) durations of the likeliest."""
        said = self.says(x.data)
        said = said.to(torch.promote_types(said.dtype, torch.float32)).log_softmax(-1)
        truth = units.data.clamp(min=0)[..., None].expand(-1, -1, x.data.size(1))
        scores = said.transpose(1, 2).gather(1, truth)  # (B, V, L) -> (B, T, L)
        if self.prior:
            shape = (scores.size(1), scores.size(2))
            scores = scores + diagonal_prior(units.lengths, x.lengths, shape, self.prior).to(scores)
        return forward_sum(scores, units.lengths, x.lengths), best_durations(scores, units.lengths, x.lengths)

    def log_probs(self, x: Seq, durations: Tensor) -> Seq:
        """(B, L, dim) and (B, L) int64 frames of each -> (B, T, V)."""
        frames, places = regulate(x, durations)
        frames = frames.with_data(self.entry(frames.data) + self.place(places))
        logits = self.units(self.decoder(frames).final.data)
        return frames.with_data(logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1))

    def forward(self, x: Seq, units: Seq) -> dict[str, Term]:
        """(B, L, dim) and ``units`` (B, T) -> ``loss`` of each unit, ``alignment``, nats of a unit over all paths,
        ``duration``, the squared error of log(frames + 1) of a symbol, ``accuracy`` of units where durations are those of the
        path, and ``impossible``."""
        possible, counts = self.possible(x.lengths, units), self.counts(x.lengths, units)
        summed, durations = self.align(x, units)
        log_probs = self.log_probs(x, durations.masked_fill(~possible[:, None], 0))
        truth, real = units.data[:, : log_probs.data.size(1)].clamp(min=0), log_probs.valid
        nats = -log_probs.data.gather(2, truth[..., None])[..., 0]
        lasting = self.durations.term(x, Seq(durations, x.lengths * possible, None))
        right = (log_probs.data.argmax(-1) == truth) & real
        return {
            "loss": Term((nats * real).sum(), counts["loss"], self.weight),
            "alignment": Term(-torch.where(possible, summed, 0.0).sum(), counts["alignment"], self.alignment_weight),
            "duration": replace(lasting, weight=self.duration_weight),
            "accuracy": Term(right.sum(), counts["loss"], 0.0),
            "impossible": Term((~possible).sum(), torch.full_like(counts["loss"], len(possible)), 0.0),
        }

    def write(self, x: Seq, speed: float = 1.0) -> Seq:
        """(B, L, dim) -> (B, T, V) log-probabilities of each frame's unit, for as many frames as durations are predicted, one a
        symbol at least."""
        frames = (self.durations(x).float().expm1() / speed).round().clamp(min=1).long()
        return self.log_probs(x, frames * x.valid)
