"""Parts that take their time, so that a process can be killed while it works."""

from __future__ import annotations

import time

from lhotse.cut import Cut
from torch import Tensor

from speechunits.data.fields.audio_field import AudioField
from speechunits.seq import Seq
from speechunits.units.features import Features


class SlowFeatures(Features):
    """The same vectors, a tenth of a second later."""

    def forward(self, audio: Seq) -> Seq:
        time.sleep(0.1)
        return super().forward(audio)


class SlowAudio(AudioField):
    """The same samples, a twentieth of a second later."""

    def load(self, cut: Cut) -> Tensor:
        time.sleep(0.05)
        return super().load(cut)
