from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from speechunits.inputs.voice_input import VoiceInput
from speechunits.seq import pad
from speechunits.stream import Stream

STREAMS = {"voice": Stream(None, (), "spk", (4,))}


def test_a_linear_map_beside_each_frame() -> None:
    made, voice = VoiceInput(4, 3, streams=STREAMS), torch.randn(2, 4)
    beside = made({"voice": voice}, pad([torch.zeros(5, 2), torch.zeros(1, 2)], Fraction(1, 50)))
    expected = voice @ made.linear.weight.T + made.linear.bias
    torch.testing.assert_close(beside, expected[:, None].expand(-1, 5, -1))
    assert made.labels == {"voice": "spk"} and VoiceInput(4, 3, streams={}).labels == {}


def test_vectors_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"dim_in = 5, but the data's voice has the shape \[4\]"):
        VoiceInput(5, 3, streams=STREAMS)
