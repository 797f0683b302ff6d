"""Forced alignment: which frames of a CTC head say which symbols of a text."""

from __future__ import annotations

import torch
from torch import Tensor

from speechunits.decode.prefixes import NEVER
from speechunits.seq import Seq


def align(scores: Seq, text: Seq, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The likeliest path of each text (Viterbi over symbols with blanks between; Graves et al. 2006, section 4.1).

    Args:
        scores: log-probabilities (B, T, V + 1), the blank last.
        text: (N, L) ids.
        rows: (N,) which utterance each text belongs to.

    Returns:
        Spans (N, L, 2), first frame of each symbol and the frame after its last; the mean probability (N, L) of a symbol
        in its frames; whether there is a path (N,). Without one, and on padding, the others mean nothing.
    """
    x, lengths, device = scores.data, scores.lengths[rows], scores.data.device
    n, longest, frames, blank = *text.data.shape, x.size(1), x.size(2) - 1
    states = torch.full((n, 2 * longest + 1), blank, device=device)
    states[:, 1::2] = text.data.clamp(min=0)
    leaps = torch.zeros_like(states, dtype=torch.bool)  # over a blank, between different symbols
    leaps[:, 3::2] = text.data[:, 1:] != text.data[:, :-1]
    last, time = 2 * text.lengths, torch.arange(frames, device=device)
    said = x[rows[:, None, None], time[None, :, None], states[:, None]].double()  # (N, T, 2 L + 1)

    best = torch.full((n, 2 * longest + 1), NEVER, dtype=said.dtype, device=device)
    best[:, 0] = 0.0  # before the first frame; from here to state 1 is a step
    steps = []
    for t in range(frames):
        step, came = torch.zeros_like(states, dtype=torch.int8), best
        for by in (1, 2):
            moved = torch.nn.functional.pad(best, (by, 0), value=NEVER)[:, : best.size(1)]
            better = moved > came if by == 1 else (moved > came) & leaps
            came, step = torch.where(better, moved, came), step.masked_fill(better, by)
        best = torch.where((t < lengths)[:, None], came + said[:, t], best)
        steps.append(step)
    ends = torch.stack([last, (last - 1).clamp(min=0)], 1)
    reached = best.gather(1, ends)
    at = torch.where(reached[:, 1] > reached[:, 0], ends[:, 1], ends[:, 0])
    path = torch.zeros(n, frames, dtype=torch.int64, device=device)
    for t in reversed(range(frames)):
        real = t < lengths
        path[:, t] = torch.where(real, at, 0)
        at = torch.where(real, at - steps[t].gather(1, at[:, None])[:, 0], at)

    of = torch.where(path % 2 == 1, path // 2, longest)  # symbol of each frame, L where none
    first = torch.full((n, longest + 1), frames, device=device).scatter_reduce(1, of, time.expand(n, -1), "amin")
    after = torch.zeros(n, longest + 1, dtype=torch.int64, device=device)
    after = after.scatter_reduce(1, of, time.expand(n, -1) + 1, "amax")
    spans = torch.stack([first, after], -1)[:, :longest]
    sure = torch.nn.functional.pad(said.gather(2, path[..., None])[..., 0].exp().cumsum(1), (1, 0))
    within = spans.clamp(max=frames).flatten(1)
    summed = sure.gather(1, within).view(spans.shape)
    confidence = (summed[..., 1] - summed[..., 0]) / (spans[..., 1] - spans[..., 0]).clamp(min=1)
    return spans, confidence.clamp(0, 1), reached.amax(1) > NEVER
