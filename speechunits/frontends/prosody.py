"""Pitch, voicing and energy of frames, in step with units."""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor, nn

from speechunits.part import Part, fill
from speechunits.seq import Seq

SILENCE = 1e-5  # of full scale: half a step of 16 bits is 1.5e-5


class Prosody(nn.Module):
    """ln F0, voicing and ln energy: three numbers for each frame, made of nothing but its own surroundings.

    Frame t is about the samples from t * hop to t * hop + window, and its centre is t * hop + window / 2. As it stands this
    is the grid of HuBERT's convolutions (N samples of 16 kHz have floor((N - 400) / 320) + 1 frames), so that stored prosody
    and stored units are in step. No frame sees padding: what lies outside of an utterance is silence.

    Columns: 0 = ln F0 in ln Hz, 0 where unvoiced; 1 = voiced, 0 or 1; 2 = ln of the root mean square of the frame's samples,
    at least ln 1e-5.

    Args:
        pitch: ``PitchCorrelation`` (needs nothing) or ``PitchWorld``; filled with ``step``, ``window`` and ``rate``, it maps
            audio to F0 in Hz (B, T), 0 where unvoiced.
        hop: seconds between frames. window: seconds of one.
        sample_rate: Hz.

    Raises:
        ValueError: hop or window are not a whole number of samples.
    """

    dim = 3
    local = False  # whether a frame is silent is asked of its utterance, and its pitch of its neighbours

    def __init__(
        self,
        pitch: Part[nn.Module],
        hop: Fraction | str = "1/50",
        window: Fraction | str = "1/40",
        sample_rate: int = 16000,
    ) -> None:
        super().__init__()
        self.hop, self.rate = Fraction(hop), Fraction(1, sample_rate)
        step, size = self.hop / self.rate, Fraction(window) / self.rate
        if step.denominator != 1 or size.denominator != 1:
            raise ValueError(f"hop {hop} s and window {window} s: not a whole number of samples at {sample_rate} Hz")
        self.step, self.window = int(step), int(size)
        self.pitch = fill(pitch, step=self.step, window=self.window, rate=sample_rate)

    def frames(self, lengths: Tensor) -> Tensor:
        """Samples (B,) -> frames (B,), those that lie wholly inside."""
        return (torch.div(lengths - self.window, self.step, rounding_mode="floor") + 1).clamp(min=0)

    def forward(self, audio: Seq) -> Seq:
        """(B, S) -> (B, T, 3)."""
        if audio.hop != self.rate:
            raise ValueError(
                f"this frontend takes audio at {1 / self.rate} Hz, found {1 / audio.hop if audio.hop else None} Hz"
            )
        f0 = self.pitch(audio).to(audio.data.dtype)
        power = audio.data.unfold(1, self.window, self.step).square().mean(-1)
        energy = power.sqrt().clamp(min=SILENCE).log()
        data = torch.stack([f0.clamp(min=1).log(), (f0 > 0).to(f0.dtype), energy], -1)
        out = Seq(data, self.frames(audio.lengths), self.hop)
        return out.with_data(data * out.valid[..., None])
