"""Synthesis: text of any length to a waveform, sentence by sentence, and a sentence for what cannot be said."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch

from speechunits.config import build
from speechunits.errors import UserError
from speechunits.stream import Stream
from speechunits.tasks.synthesis import Synthesis
from speechunits.tasks.unit_vocoder import UnitVocoder
from speechunits.tasks.vocoding import Vocoding
from tests.tasks.alphabet import (
    BLOCKS,
    HEADS,
    HOP,
    SEARCHES,
    STREAMS,
    VOCAB,
    batch,
    knows_lengths,
    make,
    speaker_table,
    units_of,
)
from tests.tasks.voiced import DURATIONS, voiced


def vocoder(fingerprint: str = "abc", **more: Any) -> UnitVocoder:
    return voiced({"units": Stream(HOP, (VOCAB,), fingerprint)}, durations=DURATIONS, **more)


def synthesis(kind: str = "units", told: bool = False, **more: int) -> Synthesis:
    conditions = speaker_table() if told else {}
    model = knows_lengths(make(kind, conditions=conditions).double(), kind)
    return Synthesis(model, Vocoding(vocoder(conditions=conditions).double()), **more)


@pytest.mark.parametrize("kind", ["units", "frames"])
def test_sentences_are_said_as_alone_with_a_pause_between(kind: str) -> None:
    say = synthesis(kind, together=2)
    alone = [say(text) for text in ("Abc, dad.", "ee!", "bad cab")]
    assert say.rate == 16000 and all(len(wave) and len(wave) % 320 == 0 for wave in alone)
    whole = say("Abc, dad. ee! bad cab")
    rest = torch.zeros(4000, dtype=torch.float64)
    torch.testing.assert_close(whole, torch.cat([alone[0], rest, alone[1], rest, alone[2]]))


def test_speech_is_that_of_the_units_which_are_written() -> None:
    say = synthesis("frames")
    found = say.writer.predict(batch(["abc"], "frames"))
    torch.testing.assert_close(say("abc"), say.vocoding(found["units"]).data[0])
    assert len(say("abc", speed=0.5)) > len(say("abc"))


def test_a_search_that_draws_is_seeded() -> None:
    say = synthesis()
    say.writer.replace_search(build({"_target_": "speechunits.decode.unit_sampling.UnitSampling"}))
    first, again, other = say("abc dad", seed=1), say("abc dad", seed=1), say("abc dad", seed=2)
    assert first.equal(again) and not first.equal(other)


def test_speakers_sound_apart() -> None:
    say = synthesis("frames", told=True)
    assert not say("abc", speaker="ann").equal(say("abc", speaker="bob"))
    with pytest.raises(UserError, match=r"no speaker 'eve'; the known ones are: ann, bob"):
        say("abc", speaker="eve")
    with pytest.raises(UserError, match="the vocoder is told a speaker in training; give one"):
        say("abc")
    with pytest.raises(UserError, match="neither text_to_units nor the vocoder is told a voice; leave it out"):
        say("abc", speaker="ann", voice=torch.randn(4))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "there is no text to say"),
        ("?! ...", "there is no text to say"),
        ("abc. fée", r"'f', 'é' of 'fée' not among the 6 symbols"),
    ],
)
def test_text_that_cannot_be_said(text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        synthesis()(text)


def test_a_vocoder_of_other_units_is_refused_with_both_fingerprints() -> None:
    with pytest.raises(UserError, match=r"xyz.*abc"):
        Synthesis(knows_lengths(make("units"), "units"), Vocoding(vocoder("xyz")))("abc")


def test_a_model_that_reads_no_text_is_refused() -> None:
    node = {
        "_target_": "speechunits.tasks.sequence_to_units.SequenceToUnits",
        "input": {"_target_": "speechunits.inputs.unit_input.UnitInput", "dim": 32},
        **{"encoder": BLOCKS, "head": HEADS["frames"], "search": SEARCHES["frames"]},
    }
    with pytest.raises(UserError, match="hears by UnitInput and reads no text"):
        Synthesis(build(node, streams=STREAMS["frames"]), Vocoding(vocoder()))


def test_lengths_that_no_training_had_are_named(caplog: pytest.LogCaptureFixture) -> None:
    say = synthesis("frames")
    say.writer.range.sums.zero_()
    say.writer.range.gather(torch.tensor([1, 1]), batch(["aaaaaaaaaaaa"] * 2, "frames")["units"])
    say.writer.range.on_step(1, say.writer)
    with caplog.at_level(logging.WARNING):
        say("abc")
    assert "'abc' has unusually few or many units" in caplog.text
    assert len(units_of("a", "frames")) == 3
