"""STFTDiscriminator: real or made, told from complex spectra at several resolutions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from speechunits.errors import UserError
from speechunits.vocoders.conv_stack import SLOPE, Judged


class _Resolution(nn.Module):
    """Each band of a spectrum through convolutions of its own, then all of them through one more."""

    shape: Tensor

    def __init__(self, window: int, channels: int, edges: Sequence[float]) -> None:
        super().__init__()
        self.window = window
        self.edges = [int(edge * (window // 2 + 1)) for edge in edges]
        layers = [
            (2, 9, 1),
            (channels, 9, 2),
            (channels, 9, 2),
            (channels, 9, 2),
            (channels, 3, 1),
        ]  # in, kernel, stride

        def band() -> nn.ModuleList:
            return nn.ModuleList(weight_norm(nn.Conv2d(i, channels, (3, k), (1, s), (1, k // 2))) for i, k, s in layers)

        self.bands = nn.ModuleList(band() for _ in pairwise(edges))
        self.last = weight_norm(nn.Conv2d(channels, 1, 3, padding=1))
        self.register_buffer("shape", torch.hann_window(window), persistent=False)

    def spectrum(self, wave: Tensor) -> Tensor:
        """(B, S) -> (B, 2, T, F), real and imaginary parts of the wave without its mean and with a peak of 0.8."""
        if wave.size(1) <= self.window // 2:
            raise UserError(
                f"a window of {self.window} samples needs audio of more than {self.window // 2}, found {wave.size(1)}; take "
                "smaller windows, or longer segments (data.transforms) and data.min_duration"
            )
        with torch.autocast(wave.device.type, enabled=False):
            x = wave.to(self.shape.dtype)
            x = x - x.mean(1, keepdim=True)
            x = 0.8 * x / (x.abs().amax(1, keepdim=True) + 1e-9)
            x = torch.stft(x, self.window, self.window // 4, window=self.shape, pad_mode="reflect", return_complex=True)
            return torch.view_as_real(x).permute(0, 3, 2, 1)

    def forward(self, wave: Tensor) -> Judged:
        x, features, ends = self.spectrum(wave), [], []
        for (low, high), convs in zip(pairwise(self.edges), self.bands, strict=True):
            y = x[..., low:high]
            for conv in convs:
                y = F.leaky_relu(conv(y), SLOPE)
                features.append(y)
            ends.append(y)
        scores = self.last(torch.cat(ends, -1))
        return scores.flatten(1), [*features, scores]


class STFTDiscriminator(nn.Module):
    """The complex multi-band multi-resolution discriminator of the Descript codec (Kumar et al. 2023,
    https://arxiv.org/abs/2306.06546, section 3.4), as in the authors' code of Vocos (Siuzdak 2023,
    https://arxiv.org/abs/2306.00814).

    Spectra at every quarter of a window, Hann, centred, reflected at both ends; convolutions of (3 frames, 9 bins).

    Args:
        windows: samples, one for each resolution.
        channels: of every layer.
        edges: of the bands, as shares of the bins; the highest bin is in none.
        weight: of each resolution in the losses.

    Raises:
        UserError: audio is shorter than half of a window.
    """

    def __init__(
        self,
        windows: Sequence[int] = (2048, 1024, 512),
        channels: int = 32,
        edges: Sequence[float] = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0),
        weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.weights = (weight,) * len(windows)
        self.resolutions = nn.ModuleList(_Resolution(window, channels, edges) for window in windows)

    def forward(self, wave: Tensor) -> list[Judged]:
        """(B, S) -> of each resolution its scores (B, N) and features."""
        return [resolution(wave) for resolution in self.resolutions]
