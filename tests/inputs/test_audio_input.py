from __future__ import annotations

from fractions import Fraction

import torch

from speechunits.frontends.log_mel import LogMel
from speechunits.inputs.audio_input import AudioInput
from speechunits.seq import pad


def test_frames_are_those_of_the_frontend_and_counted_before() -> None:
    audio = pad([torch.randn(16000), torch.randn(9000)], Fraction(1, 16000))
    made = AudioInput(LogMel(bands=20), field="sound")
    heard = made({"sound": audio})
    torch.testing.assert_close(heard.data, LogMel(bands=20)(audio).data)
    assert heard.lengths.tolist() == made.lengths({"sound": audio}).tolist() and made.labels == {}
