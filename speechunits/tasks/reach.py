"""Reach: how many frames on both sides a generator hears for one frame of its waveform."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from speechunits.seq import Seq

MOST = 256  # frames on each side that are looked at
PLACES = 2


def reach(generator: Callable[[Seq], Seq], frames: Tensor, hop: object) -> int | None:
    """Measured on ``frames`` (T, D), a few hundred that the generator is to say: the farthest frame with a gradient on the
    samples of another one, plus one; None where ``MOST`` are not enough.

    Where every sample has a gradient on all that it is made of, as with smooth and leaky activations, this is exact, and
    what lies beyond changes no digit. Asked at ``PLACES`` places, since a sample at full scale may have none.
    """
    radius, found = 32, None
    while found is None and radius <= min(MOST, (len(frames) - 1) // 2):
        last = len(frames) - 2 * radius - 1
        starts = {last * i // (PLACES - 1) for i in range(PLACES)}
        found = max(_felt(generator, frames[s : s + 2 * radius + 1], radius, hop) for s in starts) + 1
        if found >= radius:
            radius, found = 2 * radius, None
    return found


@torch.enable_grad()
def _felt(generator: Callable[[Seq], Seq], frames: Tensor, centre: int, hop: object) -> int:
    """How far from ``centre`` frames are on which its samples have a gradient."""
    with torch.inference_mode(False):
        x = frames[None].clone().requires_grad_()
        wave = generator(Seq(x, torch.tensor([len(frames)], device=x.device), hop)).data[0]  # type: ignore[arg-type]
        factor = len(wave) // len(frames)
        said = wave[centre * factor : (centre + 1) * factor]
        weights = 1 + torch.arange(factor, device=x.device) / factor  # no sample takes back what another one gives
        (gradient,) = torch.autograd.grad((said * weights).sum(), x)
    felt = gradient[0].abs().amax(-1).nonzero()[:, 0]
    return int((felt - centre).abs().max()) if len(felt) else 0
