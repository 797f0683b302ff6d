"""One waveform as a file."""

from __future__ import annotations

import os
import wave
from pathlib import Path

from torch import Tensor

from speechunits.store import writing


def write_audio(path: str | Path, samples: Tensor, rate: int) -> None:
    """Write (S,) samples between -1 and 1 as a mono WAV of 16 bits, whole or not at all.

    By the standard library, in which a full disk is an ``OSError`` that ``writing`` puts into a sentence.

    Raises:
        ValueError: a sample is no number or beyond full scale, which would be clipped.
        UserError: the place cannot be written.
    """
    if not bool((samples.abs() <= 1).all()):
        raise ValueError(
            f"{path}: samples are no numbers, or beyond full scale; turn them down before they are written"
        )
    pcm = (samples.detach().cpu().double() * 32767).round().numpy().astype("<i2")
    with writing(path) as aside, open(aside, "wb") as file:
        with wave.open(file, "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(rate)
            out.writeframes(pcm.tobytes())
        file.flush()
        os.fsync(file.fileno())
