"""TextField: strings as they are, ids of a tokenizer, and what is missing is said before training."""

from __future__ import annotations

from pathlib import Path

import pytest
from lhotse import CutSet, MonoCut, SupervisionSegment
from lhotse.testing.dummies import dummy_recording

from speechunits.data.batch_dataset import BatchDataset, Planned
from speechunits.data.cuts import Cuts, open_cuts
from speechunits.data.fields import TextField
from speechunits.draws import draws
from speechunits.errors import UserError
from speechunits.text.by_language import ByLanguage
from speechunits.text.characters import fit_characters
from speechunits.text.normaliser import Normaliser
from speechunits.text.subwords import fit_subwords


def manifest(path: Path, *texts: str | None) -> Cuts:
    cuts = []
    for i, text in enumerate(texts):
        recording = dummy_recording(i, duration=1.0)
        said = SupervisionSegment(f"s{i}", recording.id, 0, 1.0, text=text)
        cuts.append(MonoCut(f"c{i}", 0, 1.0, 0, recording=recording, supervisions=[said]))
    CutSet.from_cuts(cuts).to_file(path)
    return open_cuts(path)


def test_strings_and_ids(tmp_path: Path) -> None:
    cuts, tokenizer = manifest(tmp_path / "a.jsonl.gz", "a cab", "bad"), fit_characters(["ab cd"])
    data = BatchDataset(cuts, {"text": TextField(tokenizer=tokenizer), "transcript": TextField()})
    batch = data[Planned(0, (0, 1))].batch
    assert batch["transcript"] == ["a cab", "bad"]
    assert batch["text"].data.tolist() == [[1, 0, 3, 1, 2], [2, 1, 4, -1, -1]]
    assert batch["text"].lengths.tolist() == [5, 3] and batch["text"].hop is None
    assert data.streams == {"text": tokenizer.stream}


def test_what_is_missing_is_said_at_once(tmp_path: Path) -> None:
    none, strange = manifest(tmp_path / "a.jsonl.gz", "a", None), manifest(tmp_path / "b.jsonl.gz", "a", "b")
    with pytest.raises(UserError, match="the cut c1 has no text"):
        TextField(tokenizer=fit_characters(["a"])).bind(none)
    with pytest.raises(UserError, match="the cut c1: 'b' of 'b' not among the 1 symbols"):
        TextField(tokenizer=fit_characters(["a"])).bind(strange)


def test_those_that_say_nothing_or_what_cannot_be_written_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    field = TextField(tokenizer=fit_characters(["a"]))
    field.bind(manifest(tmp_path / "a.jsonl.gz", "a", "", "  ", "aa"))
    assert "a.jsonl.gz: 2 of 4 transcripts are empty: c1, c2" in caplog.text
    with pytest.raises(
        UserError, match=r"b.jsonl.gz: 2 of 3 transcripts cannot be encoded \(c1, c2\): the cut c1: 'b'"
    ):
        field.bind(manifest(tmp_path / "b.jsonl.gz", "a", "b", "z"))
    with pytest.raises(UserError, match=r"c.jsonl.gz: all of 2 transcripts are empty; give cuts with their text"):
        field.bind(manifest(tmp_path / "c.jsonl.gz", "", " "))


def test_spelled_by_the_language_of_each_supervision(tmp_path: Path) -> None:
    cuts = manifest(tmp_path / "a.jsonl.gz", "L'eau, VITE!")
    cut = cuts[0]
    cut.supervisions[0].language = "fr"
    cut.supervisions.append(SupervisionSegment("more", cut.recording_id, 0.5, 0.5, text="Don't!", language="en"))
    rules = ByLanguage({"fr": Normaliser(inside=""), "en": Normaliser()})
    assert TextField(normaliser=rules).load(cut) == "l eau vite don't"
    assert TextField().load(cut) == "L'eau, VITE! Don't!"
    cut.supervisions[1].language = "fi"
    with pytest.raises(UserError, match="the cut c0: the normaliser has no rules for the language fi"):
        TextField(normaliser=rules).load(cut)


def test_other_pieces_in_each_epoch_of_a_training(tmp_path: Path) -> None:
    cut = manifest(tmp_path / "a.jsonl.gz", "the cat and the hat")[0]
    pieces = fit_subwords(["the cat and the hat", "that hat and the cat"], size=20)
    field = TextField(tokenizer=pieces, sampling=0.5)
    drawn = [field.draw(cut, draws([cut.id], seed=3, epoch=epoch)) for epoch in range(8)]
    assert {pieces.decode(ids) for ids in drawn} == {"the cat and the hat"} and len({len(ids) for ids in drawn}) > 1
    assert field.draw(cut, draws([cut.id], seed=3, epoch=5)).equal(drawn[5])
    data = BatchDataset(open_cuts(tmp_path / "a.jsonl.gz"), {"text": field}, seed=3)
    assert data[Planned(5, (0,))].batch["text"].data[0].equal(drawn[5])
    assert data[Planned(-1, (0,))].batch["text"].data[0].equal(pieces.encode("the cat and the hat"))  # validation
    plain = TextField(tokenizer=pieces)
    assert plain.draw(cut, draws([cut.id])).equal(plain.load(cut)) and field.load(cut).equal(plain.load(cut))
    with pytest.raises(ValueError, match="sampling: a Characters has one way to write a text"):
        TextField(tokenizer=fit_characters(["a"]), sampling=0.1)
