"""A recogniser with every head that writes text in a real training: resumed as uninterrupted, weights that move included."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from speechunits.heads.attention_decoder import AttentionDecoder
from speechunits.heads.ctc import CTC
from speechunits.heads.pruned_sum import PrunedSum
from speechunits.heads.stateless_predictor import StatelessPredictor
from speechunits.heads.transducer import Transducer
from speechunits.protocols import Stepped, Trainable
from speechunits.tasks.recogniser import Recogniser
from speechunits.text.characters import Characters
from tests.train.distilled import encoder
from tests.train.test_resume import EVERY, checkpoint, same
from tests.train.tiny import TinyData, rows, train


def recogniser() -> Recogniser:
    pruned = partial(Transducer, partial(StatelessPredictor, 4), 4, partial(PrunedSum, 3, warm=6))
    heads = {"ctc": partial(CTC), "attention": partial(AttentionDecoder, 1, 8, 2), "transducer": pruned}
    return Recogniser(encoder(0.3, channel_share=0.5, channel_length=2), Characters("abcd"), heads)


@pytest.mark.slow
def test_resumed_is_uninterrupted(tmp_path: Path) -> None:
    assert isinstance(recogniser(), Trainable) and isinstance(recogniser().heads["transducer"].loss, Stepped)
    whole = train(tmp_path / "whole", 7, TinyData(), recogniser, **EVERY)  # type: ignore[arg-type]
    train(tmp_path / "parts", 3, TinyData(), recogniser, **EVERY)  # type: ignore[arg-type]
    resume = checkpoint(tmp_path / "parts", 3)
    rest = train(tmp_path / "parts", 7, TinyData(), recogniser, resume=resume, **EVERY)  # type: ignore[arg-type]
    same(whole, rest)
    assert rest.model.heads["transducer"].loss.weights == {"loss": 1.0, "simple": 0.5}
    last = rows(tmp_path / "parts")[-1]
    names = {"ctc/loss", "ctc/impossible", "attention/loss", "attention/accuracy", "attention/impossible"}
    names |= {"transducer/loss", "transducer/simple", "transducer/impossible"}
    assert {f"valid/{name}" for name in names} <= last.keys() | rows(tmp_path / "parts")[-2].keys()
