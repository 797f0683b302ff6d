"""F0 by WORLD. The only door to pyworld, which is optional and imported inside a function."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from speechunits.errors import UserError
from speechunits.seq import Seq


def _pyworld() -> Any:
    try:
        with warnings.catch_warnings():  # it asks setuptools for its own version, which setuptools does not like
            warnings.simplefilter("ignore")
            import pyworld
    except ModuleNotFoundError as error:
        raise UserError(
            f"{error.name} is not installed and needed for F0 by WORLD: pip install 'speechunits[prosody]', or choose "
            "PitchCorrelation"
        ) from error
    return pyworld


class PitchWorld(nn.Module):
    """DIO refined by StoneMask, or Harvest (WORLD: Morise et al. 2016, doi:10.1587/transinf.2015EDP7457), on the CPU.

    Both join frames to contours, so they are asked every 5 ms or less, as they are meant to be, and what is kept lies at the
    middle of the frames of ``Prosody``.

    Args:
        method: "dio", which is ten times as fast, or "harvest", which loses less of weak voices.
        low, high: Hz between which F0 is looked for.
        step, window, rate: of the frames, in samples, and Hz; supplied by ``Prosody``.

    Raises:
        UserError: pyworld is not installed.
    """

    def __init__(
        self,
        method: Literal["dio", "harvest"] = "dio",
        low: float = 60.0,
        high: float = 500.0,
        *,
        step: int,
        window: int,
        rate: int,
    ) -> None:
        super().__init__()
        _pyworld()
        if not 0 < low < high:
            raise ValueError(f"low {low:g}, high {high:g}: give a range of Hz")
        self.method, self.range = method, {"f0_floor": low, "f0_ceil": high}
        self.step, self.window, self.rate = step, window, rate
        self.grain = max(n for n in range(1, rate // 200 + 1) if step % n == 0)  # samples between what is asked

    def forward(self, audio: Seq) -> Tensor:
        """(B, S) -> F0 in Hz (B, T), 0 where unvoiced, T of the padded length."""
        count = max(0, (audio.data.size(1) - self.window) // self.step + 1)
        found = np.zeros((len(audio.data), count))
        for row, samples, n in zip(found, audio.data, audio.lengths.tolist(), strict=True):
            frames = max(0, (n - self.window) // self.step + 1)
            if frames:
                row[:frames] = self._alone(samples[:n].double().cpu().numpy())[:frames]
        return torch.from_numpy(found).to(audio.data.device)

    def _alone(self, samples: np.ndarray) -> np.ndarray:
        """(S,) -> F0 at window / 2, window / 2 + step, ..."""
        world, middle = _pyworld(), self.window // 2
        lead = -middle % self.grain  # zeros in front, so that the middle of the first frame is asked
        x = np.concatenate([np.zeros(lead), samples])
        ask = {**self.range, "frame_period": 1000 * self.grain / self.rate}
        f0, times = getattr(world, self.method)(x, self.rate, **ask)
        if self.method == "dio":
            f0 = world.stonemask(x, f0, times, self.rate)
        kept: np.ndarray = f0[(lead + middle) // self.grain :: self.step // self.grain]
        return kept
