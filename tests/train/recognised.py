"""A tiny recogniser for the data of tiny.py: text of four letters from samples, with masks of frames and channels."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from speechunits.heads.ctc import CTC
from speechunits.tasks.recogniser import Recogniser
from speechunits.text.characters import Characters
from tests.train.distilled import encoder


def recognised(dropout: float = 0.0, **more: Any) -> Recogniser:
    hears = encoder(dropout, channel_share=0.5, channel_length=2)
    return Recogniser(hears, Characters("abcd"), {"ctc": partial(CTC, dropout)}, **more)


def exact(**more: Any) -> Recogniser:
    return recognised(**more).to(torch.float64)
