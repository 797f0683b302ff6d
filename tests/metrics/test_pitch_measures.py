"""Errors of pitch and voicing: a table by hand, alignment, ranks, and what is refused."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from speechunits.errors import UserError
from speechunits.metrics.pitch_measures import PitchErrors, in_step, pitch_errors
from speechunits.seq import pad
from tests.metrics.sounds import batch_of, check_ranks, vowel

HOP = Fraction(1, 50)


def track(*hertz: float) -> torch.Tensor:
    """(T, 3): 0 Hz = unvoiced."""
    return torch.tensor([[math.log(f) if f else 0.0, float(f > 0), -2.0] for f in hertz])


def linear(made: torch.Tensor, original: torch.Tensor) -> dict[str, float]:
    measure = PitchErrors(align="linear")
    measure.update({"prosody": pad([made], HOP)}, {"prosody": pad([original], HOP), "ids": ["a"]})
    return measure.compute()


def test_by_hand() -> None:
    """Of 6 frames 4 are voiced in both: exact, an octave too high, 10 % off, exact; one is voiced in one alone."""
    found = linear(track(100, 200, 110, 150, 0, 0), track(100, 100, 100, 150, 120, 0))
    off = np.log([1, 2, 1.1, 1])
    rmse = math.sqrt(np.mean(off**2))
    assert found["log_f0_rmse"] == pytest.approx(rmse, rel=1e-6)
    assert found["f0_rmse_cents"] == pytest.approx(1200 * math.sqrt(np.mean((off / math.log(2)) ** 2)), rel=1e-6)
    want = np.corrcoef(np.log([100, 200, 110, 150]), np.log([100, 100, 100, 150]))[0, 1]
    assert found["log_f0_correlation"] == pytest.approx(want, rel=1e-6)
    assert found["gross_pitch_error"] == pytest.approx(100 / 4)
    assert found["voicing_decision_error"] == pytest.approx(100 / 6)
    assert found["f0_frame_error"] == pytest.approx(200 / 6)


def test_a_gross_error_is_one_beyond_a_fifth() -> None:
    for hertz, gross in ((119.9, 0), (120.1, 100), (80.1, 0), (79.9, 100)):
        assert linear(track(hertz), track(100))["gross_pitch_error"] == gross


def test_what_is_alike_and_what_is_not_there() -> None:
    same = linear(track(100, 0, 120), track(100, 0, 120))
    assert [round(v, 9) for v in same.values()] == [0, 0, 1, 0, 0, 0]
    higher = linear(track(200, 0, 240), track(100, 0, 120))  # an octave: as many cents, the melody is the same
    assert higher["f0_rmse_cents"] == pytest.approx(1200, rel=1e-6)
    assert higher["log_f0_correlation"] == pytest.approx(1, rel=1e-6)
    silent = linear(track(0, 0), track(100, 100))
    assert silent["voicing_decision_error"] == silent["f0_frame_error"] == 100
    undefined = ["log_f0_rmse", "f0_rmse_cents", "log_f0_correlation", "gross_pitch_error"]
    assert all(math.isnan(silent[name]) for name in undefined)
    assert math.isnan(linear(track(100, 100), track(100, 120))["log_f0_correlation"])  # a straight line has none


def test_an_even_path() -> None:
    assert [x.tolist() for x in in_step(3, 3)] == [[0, 1, 2], [0, 1, 2]]
    assert [x.tolist() for x in in_step(2, 4)] == [[0, 0, 1, 1], [0, 1, 2, 3]]
    slow = linear(track(100, 100, 120, 120, 0, 0), track(100, 120, 0))
    assert slow["f0_frame_error"] == 0 and slow["log_f0_correlation"] == pytest.approx(1)


def test_aligned_by_sound() -> None:
    """The second half is spoken at half the speed: evenly stretched, the melody would be wrong."""
    sounds = [vowel(0.2, formants=f, seed=i) for i, f in enumerate([(700, 1100), (300, 2200), (450, 800), (500, 1900)])]
    hertz = [100, 140, 180, 110]
    slow = [0, 1, 2, 2, 3, 3]
    original, made = torch.cat(sounds), torch.cat([sounds[i] for i in slow])
    frames = [torch.cat([track(*[hertz[i]] * 10) for i in order]) for order in (slow, range(4))]
    outputs, batch = batch_of([made], [original], ["a"])
    outputs, batch = {**outputs, "prosody": pad([frames[0]], HOP)}, {**batch, "prosody": pad([frames[1]], HOP)}
    measure = PitchErrors()
    measure.update(outputs, batch)
    assert measure.compute()["f0_frame_error"] < 15 and measure.compute()["log_f0_correlation"] > 0.8
    evenly = PitchErrors(align="linear")
    evenly.update(outputs, batch)
    assert evenly.compute()["f0_frame_error"] > 30


def test_a_batch_and_ranks() -> None:
    made, original = [vowel(0.5), vowel(0.3)], [vowel(0.4, formants=(300, 2200)), vowel(0.3, 150)]
    outputs, batch = batch_of(made, original, ["x", "y"])
    outputs["prosody"] = pad([track(*[100] * 25), track(*[0] * 5, *[110, 121] * 5)], HOP)
    batch["prosody"] = pad([track(*[100, 0] * 10), track(*[110] * 15)], HOP)
    for align in ("dtw", "linear"):
        assert check_ranks(lambda: PitchErrors(align), outputs, batch)["voicing_decision_error"] > 0  # noqa: B023


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (track(), "a: no frame of prosody"),
        (track(100, 100) * torch.nan, "a: its prosody is not finite"),
    ],
)
def test_what_cannot_be_measured(made: torch.Tensor, says: str) -> None:
    with pytest.raises(UserError, match=says):
        linear(made.reshape(-1, 3), track(100, 100))


def test_mistakes() -> None:
    prosody = {"prosody": pad([track(100)], HOP)}
    with pytest.raises(UserError, match="PitchErrors needs 'audio'"):
        PitchErrors().update(prosody, {**prosody, "ids": ["a"]})
    other: dict[str, Any] = {"prosody": pad([track(100)], HOP / 2)}
    with pytest.raises(ValueError, match="has a hop of 1/50 s where it was made and 1/100 s where not"):
        PitchErrors("linear").update(prosody, {**other, "ids": ["a"]})
    assert pitch_errors(track(100), track(100))["gross_pitch_error"] == (0, 1)
