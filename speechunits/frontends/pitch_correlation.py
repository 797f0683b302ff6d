"""F0 by normalised cross-correlation, in plain torch."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchaudio.functional import fftconvolve

from speechunits.seq import Seq

BAND = (50.0, 900.0)  # Hz that are listened to: hum and rumble lie below, what is not periodic mostly above
OCTAVE = 0.03  # what a lag pays for each octave below the highest F0: twice a period is as periodic
JUMP = 0.5  # what it pays for each octave between it and its neighbourhood
NEIGHBOURS = 9  # frames that are a neighbourhood


class PitchCorrelation(nn.Module):
    """The lag at which a frame is most like what lies before and behind it: no weights, no package, any device.

    The correlation is that of ``torchaudio.functional.detect_pitch_frequency``, with both windows' norms in the denominator
    where torchaudio has their squares, and taken to both sides at once, so that the period found is that of the middle of
    the frame. As in RAPT (Talkin 1995, "A robust algorithm for pitch tracking", in Speech Coding and Synthesis, section
    3), the best of its maxima is taken, lags of high F0 first, and placed between samples by a parabola. What torchaudio
    smooths by a median, which would flatten vibrato, is asked twice: a second choice among the same maxima prefers those
    near the median of the first choices around.

    A frame is voiced where that correlation is high and the frame, in its band, is not much softer than the loudest one of
    its utterance. Double precision inside, so that batching changes no decision.

    Args:
        low, high: Hz between which F0 is looked for.
        voicing: correlation from which a frame is voiced.
        silence: amplitude below which it is not, as a share of the loudest frame's.
        step, window, rate: of the frames, in samples, and Hz; supplied by ``Prosody``.

    Raises:
        ValueError: ``low`` and ``high`` are no range, or shares are none.
    """

    band: Tensor

    def __init__(
        self,
        low: float = 60.0,
        high: float = 500.0,
        voicing: float = 0.55,
        silence: float = 0.03,
        *,
        step: int,
        window: int,
        rate: int,
    ) -> None:
        super().__init__()
        if not BAND[0] <= low < high <= BAND[1]:
            raise ValueError(f"low {low:g}, high {high:g}: give a range of Hz between {BAND[0]:g} and {BAND[1]:g}")
        if not (0 < voicing < 1 and 0 <= silence < 1):
            raise ValueError(f"voicing {voicing:g}, silence {silence:g}: give shares of 1")
        self.voicing, self.silence = voicing, silence
        self.step, self.window, self.rate = step, window, rate
        self.shortest, self.longest = math.ceil(rate / high), math.floor(rate / low)
        with torch.device("cpu"):
            self.register_buffer("band", _band_pass(*BAND, rate), persistent=False)

    def forward(self, audio: Seq) -> Tensor:
        """(B, S) -> F0 in Hz (B, T), 0 where unvoiced, T of the padded length."""
        x = audio.data.masked_fill(~audio.valid, 0).double()
        x = fftconvolve(x, self.band[None], mode="same") * audio.valid
        alike, power = self.correlation(x)
        inside = alike[..., 1:-1]
        peaks = (inside > alike[..., :-2]) & (inside >= alike[..., 2:])
        lags = torch.arange(self.shortest, self.longest + 1, device=x.device)
        octaves = (lags / self.shortest).log2()
        score = torch.where(peaks, inside - OCTAVE * octaves, -torch.inf)

        loud = power > self.silence**2 * power.amax(1, keepdim=True)
        best, first = score.max(-1)
        voiced = loud & (best + OCTAVE * octaves[first] >= self.voicing)
        around = _median(octaves[first].masked_fill(~voiced, torch.nan))[..., None]
        chosen = (score - JUMP * (octaves - around).abs().nan_to_num(0)).argmax(-1)

        left, middle, right = alike.gather(2, chosen[..., None] + torch.arange(3, device=x.device)).unbind(-1)
        bend = left - 2 * middle + right  # < 0 at a maximum
        aside = torch.where(bend < 0, (left - right) / (2 * bend).clamp(max=-1e-12), 0.0)
        height = middle - (left - right) * aside / 4
        voiced = loud & peaks.gather(2, chosen[..., None])[..., 0] & (height >= self.voicing)
        return torch.where(voiced, self.rate / (lags[chosen] + aside), 0.0)

    def correlation(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, S) -> correlations (B, T, lags) from one below ``shortest`` to one above ``longest``, and power (B, T)."""
        far = self.longest + 1
        wide = F.pad(x, (far, far)).unfold(1, self.window + 2 * far, self.step)
        frame = wide[..., far:-far]
        size = 2 ** math.ceil(math.log2(wide.size(-1)))
        product = torch.fft.rfft(frame, size).conj() * torch.fft.rfft(wide, size)
        both = torch.fft.irfft(product, size)[..., : 2 * far + 1]  # at lags from -far to far
        sums = F.pad(wide.square().cumsum(-1), (1, 0))
        norms = (sums[..., self.window :] - sums[..., : -self.window]).clamp(min=0).sqrt()
        own = norms[..., far]

        def sides(y: Tensor) -> Tensor:
            return (y[..., far:] + y[..., : far + 1].flip(-1))[..., self.shortest - 1 :]

        alike = sides(both) / (own[..., None] * sides(norms)).clamp(min=1e-12)
        return alike, own.square()


def _band_pass(low: float, high: float, rate: int) -> Tensor:
    """An ideal band pass under a Hann window of 40 ms, float64: symmetric, so that it moves nothing."""
    half = rate // 50
    t = torch.arange(-half, half + 1, dtype=torch.float64) / rate
    ideal = 2 * high * torch.sinc(2 * high * t) - 2 * low * torch.sinc(2 * low * t)
    return ideal / rate * torch.hann_window(2 * half + 1, periodic=False, dtype=torch.float64)


def _median(x: Tensor) -> Tensor:
    """(B, T) -> of the neighbourhood of each frame, without NaN; NaN where it is all there is."""
    half = NEIGHBOURS // 2
    return F.pad(x, (half, half), value=torch.nan).unfold(1, NEIGHBOURS, 1).nanmedian(-1).values
