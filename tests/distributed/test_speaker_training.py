"""A speaker encoder that learns classes from excerpts: accumulation takes the steps of one batch."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from speechunits.config import build
from tests.distributed.systems import ACCUMULATED, WHOLE, batches, outcome, train
from tests.tasks.voices import EXCERPT, classes, training

UPDATES = 3


def learner() -> nn.Module:
    """Every utterance is a class of its own, since the made-up speech has no speakers."""
    names = [f"utterance-{i}" for i in (*range(6 * UPDATES), 900, 901, 902)]
    views = [{**EXCERPT, "seconds": 0.2}] * 2
    made: nn.Module = build(training({"speaker": classes(names)}, field="ids", views=views), streams={})
    return made.double()


@pytest.mark.slow
def test_accumulation_takes_the_steps_of_one_batch(tmp_path: Path) -> None:
    whole = outcome(train(tmp_path / "whole", learner, batches(WHOLE, UPDATES), UPDATES))
    parts = outcome(train(tmp_path / "parts", learner, batches(ACCUMULATED, UPDATES), UPDATES))
    assert whole["step"] == parts["step"] == UPDATES and whole["weights"].keys() == parts["weights"].keys()
    for name, values in whole["weights"].items():
        assert parts["weights"][name] == pytest.approx(values, rel=0, abs=1e-10), name
    assert parts["figures"] == pytest.approx(whole["figures"], rel=1e-10, abs=1e-10)
