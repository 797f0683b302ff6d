"""ScaleDiscriminator: real or made, told from the waveform and from smoother versions of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from speechunits.nn.spectral_conv import SpectralConv1d
from speechunits.vocoders.conv_stack import ConvStack, Judged

KERNELS, STRIDES, GROUPS = (15, 41, 41, 41, 41, 41, 5, 3), (1, 2, 2, 4, 4, 1, 1, 1), (1, 4, 16, 16, 16, 16, 1, 1)


class ScaleDiscriminator(nn.Module):
    """The multi-scale discriminator of MelGAN (Kumar et al. 2019, https://arxiv.org/abs/1910.06711, section 2.2) with the
    sizes of HiFi-GAN (Kong et al. 2020, https://arxiv.org/abs/2010.05646, section 2.3).

    Each scale hears the mean of four samples, at every second one, of what the scale before heard. The first one has spectral
    norm (see ``SpectralConv1d``), the others weight norm; 29 618 821 parameters, as in the authors' code.

    Args:
        scales: how many.
        channels: of the seven layers; 4 divides the first, 16 the five that follow.
        weight: of each scale in the losses.

    Raises:
        ValueError: the channels are not seven or do not divide into groups.
    """

    def __init__(
        self,
        scales: int = 3,
        channels: Sequence[int] = (128, 128, 256, 512, 1024, 1024, 1024),
        weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.weights = (weight,) * scales
        if len(channels) != 7:
            raise ValueError(f"channels={list(channels)}: a scale has seven layers; give seven numbers")
        shapes = list(zip([1, *channels], [*channels, 1], KERNELS, STRIDES, GROUPS, strict=True))

        def stack(scale: int) -> ConvStack:
            if scale == 0:
                return ConvStack([SpectralConv1d(i, o, k, s, k // 2, g) for i, o, k, s, g in shapes])
            return ConvStack([weight_norm(nn.Conv1d(i, o, k, s, k // 2, groups=g)) for i, o, k, s, g in shapes])

        self.stacks = nn.ModuleList(stack(scale) for scale in range(scales))

    def forward(self, wave: Tensor) -> list[Judged]:
        """(B, S) -> of each scale its scores (B, N) and features."""
        x, out = wave[:, None], []
        for scale, stack in enumerate(self.stacks):
            x = F.avg_pool1d(x, 4, 2, padding=2) if scale else x
            out.append(stack(x))
        return out
