"""MelDistance: how far two waveforms are apart, by their mel spectra."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from speechunits.part import Part, fill
from speechunits.vocoders.mel import Mel


class MelDistance(nn.Module):
    """Mean absolute difference of log-mel spectra, summed over scales.

    One scale is HiFi-GAN's loss (Kong et al. 2020, https://arxiv.org/abs/2010.05646, equation 3), several are that of the
    Descript codec (Kumar et al. 2023, https://arxiv.org/abs/2306.06546, section 3.5).

    Args:
        scales: ``Mel`` of one or several sizes, filled with ``rate``.
        rate: Hz, supplied by the vocoder.
    """

    def __init__(self, scales: Sequence[Part[nn.Module]] = (Mel,), *, rate: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(fill(scale, rate=rate) for scale in scales)

    def forward(self, made: Tensor, real: Tensor) -> Tensor:
        """(B, S) twice -> (B,)."""
        return sum((mel(made) - mel(real)).abs().mean((1, 2)) for mel in self.scales)
