"""Whose voice it is: by hand, over ranks, and what is refused."""

from __future__ import annotations

from math import isnan, sqrt

import pytest
import torch

from speechunits.errors import UserError
from speechunits.metrics.speaker_similarity import SpeakerSimilarity, enrol
from tests.metrics.sounds import check_ranks

VOICES = {"ann": torch.tensor([2.0, 0.0]), "bob": torch.tensor([0.0, 0.5])}


def test_by_hand_and_over_ranks() -> None:
    """Two of ann's utterances become bob's, of which one does not get there; one of bob's stays his."""
    made = torch.tensor([[0.0, 3.0], [1.0, 0.0], [3.0, 4.0]])
    batch = {"ids": ["a", "b", "c"], "speaker": ["bob", "bob", "bob"], "source": ["ann", "ann", "bob"]}
    batch["voice"] = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])  # type: ignore[assignment]
    found = check_ranks(lambda: SpeakerSimilarity(VOICES), {"voice": made}, batch)
    assert found["similarity_target"] == pytest.approx((1 + 0 + 0.8) / 3)
    assert found["similarity_source"] == pytest.approx((0 + 1) / 2)
    assert found["similarity_original"] == pytest.approx(0.8)
    assert found["nearest_target"] == pytest.approx(200 / 3) and found["nearest_source"] == pytest.approx(50)


def test_recordings_alone() -> None:
    measure = SpeakerSimilarity(VOICES)
    measure.update({"voice": torch.tensor([[5.0, 1.0]])}, {"ids": ["a"], "speaker": ["ann"]})
    found = measure.compute()
    assert found["nearest_target"] == 100 and found["similarity_target"] == pytest.approx(5 / sqrt(26))
    assert isnan(found["similarity_source"]) and isnan(found["similarity_original"]) and isnan(found["nearest_source"])


def test_enrolment_is_a_mean_of_directions() -> None:
    found = enrol(torch.tensor([[9.0, 0.0], [0.0, 1.0], [0.0, -2.0]]), ["b", "b", "a"])
    assert list(found) == ["a", "b"]
    assert found["b"].tolist() == pytest.approx([sqrt(0.5)] * 2) and found["a"].tolist() == [0, -1]


def test_mistakes() -> None:
    measure, batch = SpeakerSimilarity(VOICES), {"ids": ["a"], "speaker": ["ann"]}
    with pytest.raises(UserError, match="a: its speaker vector is null or not finite"):
        measure.update({"voice": torch.zeros(1, 2)}, batch)
    with pytest.raises(UserError, match="a: its speaker vector is null or not finite"):
        measure.update({"voice": torch.full((1, 2), torch.nan)}, batch)
    with pytest.raises(UserError, match="'eve': not among the 2 enrolled speakers"):
        measure.update({"voice": torch.ones(1, 2)}, {**batch, "speaker": ["eve"]})
    with pytest.raises(UserError, match="SpeakerSimilarity needs 'voice'"):
        measure.update({}, batch)
    with pytest.raises(ValueError, match=r"1 speaker\(s\) are enrolled"):
        SpeakerSimilarity({"ann": torch.ones(2)})
