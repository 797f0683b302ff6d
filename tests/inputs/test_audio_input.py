from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import torch

from speechunits.config import build
from speechunits.frontends.log_mel import LogMel
from speechunits.inputs.audio_input import AudioInput
from speechunits.seq import pad
from tests.inputs.toy import AUGMENT, CONV2D, MEL, check_input, check_saved

TREE = {
    "_target_": "speechunits.inputs.audio_input.AudioInput",
    "frontend": MEL,
    "norm": {"_target_": "speechunits.nn.global_norm.GlobalNorm"},
    "augment": AUGMENT,
    "subsampling": CONV2D,
}


def test_frames_are_those_of_the_frontend_and_counted_before() -> None:
    audio = pad([torch.randn(16000), torch.randn(9000)], Fraction(1, 16000))
    made = AudioInput(LogMel(bands=20), field="sound")
    heard = made({"sound": audio})
    torch.testing.assert_close(heard.data, LogMel(bands=20)(audio).data)
    assert heard.lengths.tolist() == made.lengths({"sound": audio}).tolist() and made.labels == {}


def test_with_all_slots_it_keeps_to_the_contract() -> None:
    made = build(TREE)
    check_input(made)
    assert (made.dim, made.hop) == (8, Fraction(1, 25))


def test_its_folder_gives_it_back(tmp_path: Path) -> None:
    check_saved(TREE, tmp_path / "input")
