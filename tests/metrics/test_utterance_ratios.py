"""Ratios of sums over utterances: results, merging, intervals, and what is refused."""

from __future__ import annotations

from math import isnan

import pytest

from speechunits.errors import UserError
from speechunits.metrics.utterance_ratios import NONE, UtteranceRatios, mean
from tests.metrics.sounds import merge

VOICES = ["ann", "ann", "bob", "bob"]


def fed(speakers: list[str] | None = None) -> UtteranceRatios:
    out = UtteranceRatios()
    batch = {"ids": list("wxyz"), **({} if speakers is None else {"speaker": speakers})}
    for i, (part, whole) in enumerate([(1, 2), (3, 4), (0, 6), (5, 8)]):
        out.keep(batch, i, share=(part, whole), average=mean(float(i)), rare=mean(7.0) if i == 3 else NONE, never=NONE)
    return out


def test_sums_over_sums_and_means() -> None:
    found = fed().compute()
    assert found["share"] == pytest.approx(9 / 20) and found["average"] == 1.5 and found["rare"] == 7
    assert isnan(found["never"]) and mean(float("nan")) == NONE
    joined = UtteranceRatios()
    joined.load(merge([fed().state(), fed().state()]))
    again = joined.compute()
    assert {k: v for k, v in again.items() if k != "never"} == {k: v for k, v in found.items() if k != "never"}


def test_intervals() -> None:
    measure = fed(VOICES)
    for over in ("utterances", "speakers"):
        sure = measure.intervals(over, draws=400)
        assert sure["share"][0] < 9 / 20 < sure["share"][1] and sure == measure.intervals(over, draws=400)
        assert isnan(sure["never"][0]) and sure["rare"] == (7, 7)
    # of two speakers drawn with replacement: both of one, both of the other, or one of each
    assert measure.intervals("speakers", draws=400, level=1.0)["share"] == pytest.approx((4 / 6, 5 / 14)[::-1])
    with pytest.raises(UserError, match="intervals over speakers need the speaker of every utterance"):
        fed().intervals("speakers")


def test_errors() -> None:
    with pytest.raises(UserError, match="UtteranceRatios has seen no utterance"):
        UtteranceRatios().compute()
    with pytest.raises(UserError, match="a: share is not finite"):
        UtteranceRatios().keep({"ids": ["a"]}, 0, share=(float("inf"), 1))
