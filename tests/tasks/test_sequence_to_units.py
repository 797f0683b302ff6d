"""SequenceToUnits: both kinds learn a toy language and say what they never saw; terms, batches, folders, mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from speechunits import store
from speechunits.config import build, check_build
from speechunits.errors import UserError
from speechunits.protocols import Finishes, Predicts, Trainable
from speechunits.seq import unpad
from speechunits.tasks.sequence_to_units import SequenceToUnits
from speechunits.term import add, loss
from tests.tasks.alphabet import (
    SEARCHES,
    STREAMS,
    VOCAB,
    batch,
    error_rate,
    learn,
    make,
    speaker_table,
    texts,
    tree,
    units_of,
)

KINDS = ["units", "frames"]
UPDATES = {"units": 400, "frames": 200}


@pytest.fixture(scope="module", params=KINDS)
def learned(request: pytest.FixtureRequest) -> tuple[str, SequenceToUnits]:
    model = make(request.param)
    learn(model, request.param, UPDATES[request.param])
    return request.param, model


@pytest.mark.slow
def test_unseen_texts_are_said(learned: tuple[str, SequenceToUnits]) -> None:
    kind, model = learned
    seen = {text for step in range(UPDATES[kind]) for text in texts(32, step)}
    unseen = [text for text in texts(200, 10_000) if text not in seen][:40]
    assert len(unseen) == 40
    assert error_rate(make(kind).eval(), kind, unseen)["uer"] > 60
    found = error_rate(model, kind, unseen)
    assert found["uer"] < 2 and found["exact"] > 90
    given = batch(unseen, kind)
    predicted = model.predict(given)
    assert predicted["units"].vocab == (VOCAB,) and predicted["units"].fingerprint == "abc"
    assert predicted["units"].ids.hop == STREAMS[kind]["units"].hop and not any(predicted["doubtful"])


@pytest.mark.slow
def test_frames_last_as_long_as_they_should(learned: tuple[str, SequenceToUnits]) -> None:
    kind, model = learned
    if kind == "units":
        return
    said = texts(40, 20_000)
    written = model.predict(batch(said, kind))["units"].lists()
    right = sum(row == units_of(text, kind).tolist() for text, row in zip(said, written, strict=True))
    assert right > 36


@pytest.mark.slow
def test_an_utterance_is_written_as_alone(learned: tuple[str, SequenceToUnits]) -> None:
    kind, model = learned
    said = ["abcdeabc", "e", "dada", "aaaaaa"]
    together = model.predict(batch(said, kind))
    for i, text in enumerate(said):
        alone = model.predict(batch([text], kind))
        assert together["units"].lists()[i] == alone["units"].lists()[0]
        assert together["hypotheses"][i][0].score == pytest.approx(alone["hypotheses"][0][0].score, abs=1e-3)


@pytest.mark.slow
def test_the_limits_of_length_are_learned(learned: tuple[str, SequenceToUnits]) -> None:
    kind, model = learned
    fewest, most = model.range(torch.tensor([10]))[0].tolist()
    assert (10 < fewest <= 20 <= most < 30) if kind == "units" else (12 < fewest < most < 80)


@pytest.mark.parametrize("kind", KINDS)
def test_terms_of_a_batch_are_those_of_its_utterances(kind: str) -> None:
    model, said = make(kind, conditions=speaker_table()).double(), ["abcde", "ab", "eee"]
    assert isinstance(model, Trainable) and isinstance(model, Predicts) and isinstance(model, Finishes)
    together, apart = model.terms(batch(said, kind)), add(model.terms(batch([text], kind)) for text in said)
    counts = model.counts(batch(said, kind))
    for name, term in together.items():
        torch.testing.assert_close(term.num, apart[name].num)
        torch.testing.assert_close(term.den, apart[name].den)
        assert (name in counts) == bool(term.weight) and (name not in counts or counts[name] == term.den)
    loss(together).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    assert model.possible(batch(said, kind))["units"].tolist() == [True] * 3


@pytest.mark.parametrize("kind", KINDS)
def test_speakers_differ_and_strangers_are_refused(kind: str) -> None:
    model = make(kind, conditions=speaker_table()).eval()
    heard = [model.hear(batch(["abc"], kind, speaker)).data for speaker in ("ann", "bob")]
    assert not torch.allclose(*heard)
    with pytest.raises(UserError, match=r"no speaker 'eve'; the known ones are: ann, bob"):
        model.hear(batch(["abc"], kind, "eve"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_one_needs_nothing_but_its_folder(kind: str, tmp_path: Path) -> None:
    model = make(kind, conditions=speaker_table())
    model.terms(batch(["abc", "ab"], kind))
    model.range.on_step(1, model)
    assert list(model.artefacts()) == ["text_to_units"]
    store.save(model, tmp_path / "text_to_units", kind="text_to_units")
    back = store.restore(tmp_path / "text_to_units", expect=SequenceToUnits)
    assert back.labels == {"text": model.input.text.fingerprint, "units": STREAMS[kind]["units"].fingerprint}
    given = batch(["abcd", "a"], kind)
    model.eval()
    assert back.predict(given)["units"].lists() == model.predict(given)["units"].lists()
    ids = back.input.read(["abc"])
    assert unpad(ids)[0].tolist() == batch(["abc"], kind)["text"].data[0].tolist()


@pytest.mark.slow
def test_samples_of_a_trained_model_are_near_its_best(learned: tuple[str, SequenceToUnits]) -> None:
    kind, model = learned
    if kind == "frames":
        with pytest.raises(ValueError, match="a UnitSampling does not search a ParallelDecoder"):
            model.replace_search(build({"_target_": "speechunits.decode.unit_sampling.UnitSampling"}))
        return
    best = model.search
    model.replace_search(
        build({"_target_": "speechunits.decode.unit_sampling.UnitSampling", "nbest": 3, "temperature": 0.3})
    )
    found = model.predict(batch(["abcde", "dad"], kind))
    assert [len(each) for each in found["hypotheses"]] == [3, 3]
    assert found["units"].lists()[1] == units_of("dad", kind).tolist()
    model.replace_search(best)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"field": "codes"}, "the data has no 'codes' of one codebook; it has: units, text"),
        ({"search": SEARCHES["frames"]}, "a AllAtOnce does not search a AttentionDecoder"),
        ({"read": "layer:7"}, "'layer:7': the encoder has layers 0 to 1"),
    ],
)
def test_mistakes_are_named_before_anything_is_built(more: dict[str, Any], says: str) -> None:
    (found,) = check_build(tree("units", **more), at="model", streams=STREAMS["units"])
    assert says in found
