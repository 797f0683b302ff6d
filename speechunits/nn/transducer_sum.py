"""Sums over the alignments of a transducer, in plain torch of any floating type: what faster ones are compared with.

An alignment is a way through a lattice of frames t < T and symbols said so far u <= U: a symbol goes from (t, u) to (t, u + 1),
a blank from (t, u) to (t + 1, u), and the blank of (T - 1, U) ends it. In all functions the blank is the last class and results
are nats (B,), of at least one frame; of utterances without any they mean nothing.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from speechunits.seq import Seq

FAR = -1e30  # stands for minus infinity: sums and differences of it are no NaN


class Alignments(torch.autograd.Function):
    """Log-probability (B,) of all alignments together (Graves 2012, arXiv:1211.3711, eq. 16-20), and the probability that an
    alignment takes each step, which is its gradient: ways there and ways on are found side by side, so that the backward pass
    has nothing left to do.

    Takes the log-probabilities ``say`` (B, T, U) of saying symbol u at frame t and ``blank`` (B, T, U + 1) of going on to the
    next frame where u are said; ``frames`` (B,), 1 .. T, and ``symbols`` (B,), 0 .. U. Gives the sum (B,), and probabilities
    of the shapes of ``say`` and ``blank``.
    """

    @staticmethod
    def forward(ctx: Any, say: Tensor, blank: Tensor, frames: Tensor, symbols: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (b, t, w), row = blank.shape, torch.arange(len(frames), device=frames.device)
        from_end = frames[:, None] - 1 - torch.arange(t, device=row.device)
        unsaid = symbols[:, None] - torch.arange(w, device=row.device)
        say = F.pad(say, (0, 1), value=FAR)
        # The same lattice from its end, where the last blank is no step.
        say_back, blank_back = _at(say, from_end, unsaid - 1), _at(blank, from_end - 1, unsaid)
        both = _reached(torch.cat([say, say_back]), torch.cat([blank, blank_back]))
        last = blank[row, frames - 1, symbols]
        there, on = both[:b], _at(both[b:], from_end, unsaid) + last[:, None, None]
        total = there[row, frames - 1, symbols] + last
        after = F.pad(on[:, 1:], (0, 0, 0, 1), value=FAR)
        after[row, frames - 1, symbols] = 0.0
        rest = there - total[:, None, None]
        said, ended = (rest + say)[..., :-1] + on[..., 1:], rest + blank + after
        said, ended = (x.clamp(max=0).exp() for x in (said, ended))  # beyond 1 only where there is no alignment at all
        ctx.save_for_backward(said, ended)
        ctx.mark_non_differentiable(said, ended)
        return total, said, ended

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, None, None]:
        said, ended = (x * grad[:, None, None] for x in ctx.saved_tensors)
        return said, ended, None, None


def _reached(say: Tensor, blank: Tensor) -> Tensor:
    """Steps (N, T, U + 1) each -> (N, T, U + 1) log-probability of all ways from (0, 0) to (t, u), diagonal by diagonal."""
    (n, t, w), device = blank.shape, blank.device
    stay, go = _skewed(blank), _skewed(say)
    ways = [F.pad(blank.new_zeros(n, 1), (0, w - 1), value=FAR)]  # [d][:, u] is (d - u, u)
    for d in range(t + w - 2):
        said = F.pad((ways[-1] + go[:, :, d])[:, :-1], (1, 0), value=FAR)
        ways.append(torch.logaddexp(ways[-1] + stay[:, :, d], said))
    symbols = torch.arange(w, device=device)
    return torch.stack(ways)[torch.arange(t, device=device)[:, None] + symbols, :, symbols].permute(2, 0, 1)


def _at(x: Tensor, frames: Tensor, symbols: Tensor) -> Tensor:
    """(B, T, U + 1) -> what stands at frame ``frames`` (B, T) and ``symbols`` (B, U + 1), and FAR below 0."""
    row = torch.arange(len(x), device=x.device)[:, None, None]
    found = x[row, frames.clamp(min=0)[..., None], symbols.clamp(min=0)[:, None]]
    return found.masked_fill((frames < 0)[..., None] | (symbols < 0)[:, None], FAR)


def _skewed(x: Tensor) -> Tensor:
    """(B, T, W) -> (B, W, T + W - 1), where [u, n] is what was at (n - u, u), and FAR where nothing was."""
    b, t, w = x.shape
    return F.pad(x.transpose(1, 2), (0, w), value=FAR).flatten(1)[:, :-w].view(b, w, t + w - 1)


def full(logits: Tensor, text: Seq, frames: Tensor) -> Tensor:
    """Logits (B, T, U + 1, V + 1) -> nats (B,) of all alignments."""
    scores = logits.log_softmax(-1)
    symbols = text.data.clamp(min=0)[:, None, :, None].expand(-1, scores.size(1), -1, 1)
    say = scores[:, :, :-1].gather(3, symbols)[..., 0]
    return -Alignments.apply(say, scores[..., -1], frames, text.lengths)[0]


def smoothed(
    heard: Tensor, said: Tensor, text: Seq, frames: Tensor, heard_share: float, said_share: float
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Nats (B,) of all alignments where the joiner is but the sum of ``heard`` (B, T, V + 1) and ``said`` (B, U + 1, V + 1),
    and how likely each step is (Kuang et al. 2022, arXiv:2206.13236, section 3).

    That is cheap: no tensor has frames, symbols and classes. Each log-probability is a mean, by shares, of three: that of the
    sum, that of ``said`` alone, and that of ``heard`` with the mean of ``said`` over the text (in k2 over the batch and its
    padding, so that there batch-mates enter).

    Returns:
        nats, and the probabilities that an alignment says symbol u at frame t (B, T, U) and ends frame t there (B, T, U + 1).
    """
    symbols = text.data.clamp(min=0)
    tiny = torch.finfo(heard.dtype).tiny
    top, top_said = heard.amax(-1, keepdim=True), said.amax(-1, keepdim=True)
    products = (heard - top).exp() @ (said - top_said).exp().transpose(1, 2)
    norm = (products + tiny).log() + top + top_said.transpose(1, 2)  # (B, T, U + 1)
    alone = said.log_softmax(-1)
    real = torch.arange(said.size(1), device=said.device) <= text.lengths[:, None]
    mean = (alone.exp() * real[..., None]).sum(1, keepdim=True) / (text.lengths + 1)[:, None, None]
    unaided = (heard + (mean + tiny).log()).log_softmax(-1)

    def of(x: Tensor) -> Tensor:
        """(B, T, V + 1) -> the symbols of the text, (B, T, U)."""
        return x.gather(2, symbols[:, None].expand(-1, x.size(1), -1))

    def then(x: Tensor) -> Tensor:
        """(B, U + 1, V + 1) -> the symbol of the text that comes next, (B, 1, U)."""
        return x[:, :-1].gather(2, symbols[..., None]).transpose(1, 2)

    both = 1 - heard_share - said_share
    say = both * (of(heard) + then(said) - norm[..., :-1]) + heard_share * of(unaided) + said_share * then(alone)
    blank = both * (heard[..., -1:] + said[:, None, :, -1] - norm)
    blank = blank + heard_share * unaided[..., -1:] + said_share * alone[:, None, :, -1]
    total, *occupied = Alignments.apply(say, blank, frames, text.lengths)
    return -total, tuple(occupied)


def bounds(occupied: tuple[Tensor, Tensor], text: Seq, frames: Tensor, width: int) -> Tensor:
    """At each frame the ``width`` numbers of symbols where most alignments are (Kuang et al. 2022, section 3.2).

    The first of them starts at 0, never falls, rises by less than ``width`` from frame to frame, and ends where the last number
    is that of all symbols: some alignment stays within. (For utterances of at most (width - 1) T symbols.)

    Returns:
        (B, T, width) int64, consecutive, 0 .. U; ``width`` is at most U + 1.
    """
    say, blank = occupied
    within = blank.unfold(2, width, 1).sum(-1)  # (B, T, U + 2 - width): frames that end there ...
    within[..., 1:] -= say[..., : within.size(2) - 1]  # ... but did not come from below at that frame
    last = (text.lengths + 1 - width).clamp(min=0)[:, None]
    t = torch.arange(within.size(1), device=frames.device)
    begin = torch.where(t < frames[:, None] - 1, within.argmax(-1), last)
    rising = _later_least(begin)
    slow = t * (width - 1) - _later_least(t * (width - 1) - rising).clamp(min=0)
    return slow[..., None] + torch.arange(width, device=frames.device)


def _later_least(x: Tensor) -> Tensor:
    """(B, T) -> the least of each and all later ones."""
    return x.flip(1).cummin(1).values.flip(1)


def pruned(logits: Tensor, text: Seq, frames: Tensor, band: Tensor) -> Tensor:
    """Logits (B, T, W, V + 1) at the numbers of symbols in ``band`` (B, T, W) -> nats (B,) of the alignments within."""
    scores = logits.log_softmax(-1)
    u = text.data.size(1)
    symbols = F.pad(text.data.clamp(min=0), (0, 1))[:, None].expand(-1, band.size(1), -1).gather(2, band)
    nowhere = scores.new_full((*band.shape[:2], u + 1), FAR)
    say = nowhere.scatter(2, band, scores.gather(3, symbols[..., None])[..., 0])[..., :u]
    return -Alignments.apply(say, nowhere.scatter(2, band, scores[..., -1]), frames, text.lengths)[0]
