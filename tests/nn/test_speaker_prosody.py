"""SpeakerProsody: each speaker's own frames and nobody else's, whatever the batches; who is unknown is named."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from speechunits import store
from speechunits.errors import UserError
from speechunits.nn.prosody_scale import own_scale
from speechunits.nn.speaker_prosody import SpeakerProsody, fit_speaker_prosody
from speechunits.seq import pad
from tests.nn.test_prosody_scale import rows

HOP = Fraction(1, 50)
NAMES = ["bo", "al", "bo", "cy"]


def spoken() -> list[torch.Tensor]:
    made = rows(50, 31, 20, 9)
    made[3][:, :2] = 0  # whispered
    return made


def fitted() -> SpeakerProsody:
    first, *rest = spoken()
    return fit_speaker_prosody([(NAMES[:1], pad([first], HOP)), (NAMES[1:], pad(rest, HOP))], "fp")


def test_statistics_are_numpys_over_all_utterances() -> None:
    made, each = fitted(), spoken()
    assert made.names == ("al", "bo") and made.source == "fp", "a whisperer has no pitch"
    for i, mine in enumerate([each[1], torch.cat([each[0], each[2]])]):
        voiced = mine[mine[:, 1] > 0.5, 0].numpy()
        np.testing.assert_allclose(made.mean[i], [voiced.mean(), mine[:, 2].mean()], rtol=1e-6)
        np.testing.assert_allclose(made.deviation[i], [voiced.std(), mine[:, 2].numpy().std()], rtol=1e-5)


def test_it_is_an_artefact_and_unknown_speakers_get_their_utterances_scale_when_asked(tmp_path: Path) -> None:
    made, prosody = fitted(), pad(spoken()[:2], HOP)
    store.save(made, tmp_path / "speakers", kind="speaker_prosody")
    back = store.restore(tmp_path / "speakers", expect=SpeakerProsody)
    assert back(["bo", "al"]).mean.equal(made.mean[[1, 0]])
    with pytest.raises(UserError, match=r"the prosody of di was not measured, only that of al, bo; run fit_prosody"):
        back(["bo", "di"], prosody)
    lenient = store.restore(tmp_path / "speakers", changes={"unknown": "utterance"})
    found, own = lenient(["bo", "di"], prosody), own_scale(prosody)
    assert found.mean[0].equal(made.mean[1]) and found.mean[1].equal(own.mean[1])
    assert found.deviation[0].equal(made.deviation[1]) and found.deviation[1].equal(own.deviation[1])
    with pytest.raises(UserError, match="the prosody of di was not measured"):
        lenient(["bo", "di"])


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(UserError, match="no frame of this prosody is voiced"):
        fit_speaker_prosody([(["cy"], pad(spoken()[3:], HOP))])
    for names in ([], ["a", "a"]):
        with pytest.raises(ValueError, match="different names"):
            SpeakerProsody(names)
