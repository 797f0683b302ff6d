"""Alarms ring for what they name, and not for healthy figures."""

from __future__ import annotations

import logging

import pytest

from speechunits.train.alarms import Alarms


@pytest.mark.parametrize(
    ("figures", "what"),
    [
        ({"train/units/accuracy": 0.995}, "train/units/accuracy is 0.9950 so early"),
    ],
)
def test_constant_labels_ring(figures: dict[str, float], what: str, caplog: pytest.LogCaptureFixture) -> None:
    Alarms()(figures, 100)
    assert what in caplog.text and "after update 100" in caplog.text


def test_an_exploding_penalty_rings(caplog: pytest.LogCaptureFixture) -> None:
    alarms = Alarms()
    for step, value in enumerate([2.0, 5.0, 19.0]):
        alarms({"train/penalty/features": value}, step)
    assert not caplog.records
    alarms({"train/penalty/features": 21.0}, 3)
    assert "train/penalty/features is 21, at first 2" in caplog.text


def test_health_is_silent_and_repetition_is_rare(caplog: pytest.LogCaptureFixture) -> None:
    alarms = Alarms()
    with caplog.at_level(logging.WARNING):
        alarms({"train/units/accuracy": 0.6, "train/loss": 99.0}, 10)
        alarms({"train/units/accuracy": 0.999}, 200_000)
        alarms.loss_scale(1.0, 10)
        assert not caplog.records
        for step in range(9):
            alarms.loss_scale(0.5, step)
    assert alarms.counts["loss scale"] == 9 and len(caplog.records) == 4  # times 1, 2, 4, 8
