from __future__ import annotations

import pickle
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet

from speechunits.data.batch_dataset import BatchDataset, Planned, common_grid
from speechunits.data.cuts import open_cuts
from speechunits.data.fields import AudioField, CutField, SpeakerField, TextField, UnitsField
from speechunits.data.transforms import Crop
from speechunits.data.unit_writer import UnitWriter
from speechunits.draws import Draws
from speechunits.errors import UserError

Corpus = Callable[..., Path]


def test_a_batch_has_what_its_fields_say(corpus: Corpus):
    cuts = open_cuts(corpus([0.3, 0.2, 0.4]))
    fields = {"audio": AudioField(), "text": TextField(), "speakers": SpeakerField(), "cuts": CutField()}
    batch, bad, refused = BatchDataset(cuts, fields, seed=3)[Planned(7, (2, 0))]
    assert bad == {} and refused is None
    assert batch["ids"] == ["a2", "a0"] and batch["draws"] == Draws(("a2", "a0"), 3, 7)
    assert batch["audio"].lengths.tolist() == [6400, 4800]
    assert batch["seconds"].tolist() == pytest.approx([0.4, 0.3])
    assert batch["text"] == ["text of a2", "text of a0"] and batch["speakers"] == ["a", "a"]
    assert [c.id for c in batch["cuts"]] == ["a2", "a0"]


def test_all_fields_see_the_same_crop_which_only_seed_epoch_and_id_decide(corpus: Corpus, tmp_path: Path):
    """Label t sounds like t: audio is constant over each label's 20 ms and equal to it."""
    manifest, levels = corpus([1.0] * 3), np.repeat(np.arange(50) / 100, 320)
    for cut in open_cuts(manifest):
        soundfile.write(cut.recording.sources[0].source, levels, 16000, subtype="FLOAT")
    with UnitWriter(tmp_path / "u.jsonl.gz", Fraction(1, 50), [50], "fp") as writer:
        for cut in open_cuts(manifest):
            writer.write(cut, np.arange(50))
    cuts = open_cuts(tmp_path / "u.jsonl.gz")
    dataset = BatchDataset(cuts, {"audio": AudioField(), "units": UnitsField()}, [Crop(0.5)], seed=1)
    starts = {}
    for planned in (Planned(0, (0, 1, 2)), Planned(0, (2, 0)), Planned(1, (0, 1, 2))):
        batch = dataset[planned].batch
        for i, name in enumerate(batch["ids"]):
            labels, wave = batch["units"].data[i], batch["audio"].data[i]
            np.testing.assert_allclose(wave.reshape(25, 320).mean(1), labels / 100, atol=1e-6)
            starts.setdefault((planned.epoch, name), set()).add(int(labels[0]))
    assert all(len(s) == 1 for s in starts.values())  # company and place in the batch change nothing
    assert len({min(s) for s in starts.values()}) > 1


def test_unreadable_audio_is_left_out_and_named(corpus: Corpus):
    manifest = corpus([0.3, 0.2, 0.4, 0.5])
    cuts = open_cuts(manifest)
    for row in (0, 2):
        Path(cuts[row].recording.sources[0].source).write_bytes(b"no audio")
    dataset = BatchDataset(cuts, {"audio": AudioField()})
    batch, bad, _ = dataset[Planned(0, (0, 1, 2))]
    assert batch["ids"] == ["a1"] and batch["draws"].ids == ("a1",) and batch["audio"].data.shape == (1, 3200)
    assert set(bad) == {"a0", "a2"} and "a0.wav" in bad["a0"]
    # all lost: the first spare that can be read stands in
    batch, bad, _ = dataset[Planned(0, (0,), (2, 3, 1))]
    assert batch["ids"] == ["a3"] and set(bad) == {"a0", "a2"}
    assert dataset[Planned(0, (0, 2))].batch == {"ids": []}


def test_wrong_labels_come_back_as_one_sentence(corpus: Corpus, tmp_path: Path):
    manifest = corpus([0.3, 0.2])
    CutSet.from_file(manifest).drop_supervisions().to_file(tmp_path / "silent.jsonl.gz")
    loaded = BatchDataset(open_cuts(tmp_path / "silent.jsonl.gz"), {"text": TextField()})[Planned(0, (1,))]
    assert loaded.refused == "the cut a1 has no text; add it to the manifest or drop this field"
    loaded = BatchDataset(open_cuts(tmp_path / "silent.jsonl.gz"), {"speakers": SpeakerField()})[Planned(0, (1,))]
    assert loaded.refused == "the cut a1 has 0 speakers, not one; trim it to its supervisions"


def test_mistakes(corpus: Corpus):
    cuts = open_cuts(corpus([0.3]))
    with pytest.raises(UserError, match="the field text describes whole utterances"):
        BatchDataset(cuts, {"audio": AudioField(), "text": TextField()}, [Crop(0.5)])
    with pytest.raises(UserError, match="a field cannot be named draws"):
        BatchDataset(cuts, {"draws": AudioField()})


def test_a_spawned_worker_can_have_it(corpus: Corpus):
    dataset = BatchDataset(open_cuts(corpus([0.3])), {"audio": AudioField()}, [Crop(0.1)])
    again = pickle.loads(pickle.dumps(dataset))
    assert again[Planned(0, (0,))].batch["audio"].data.equal(dataset[Planned(0, (0,))].batch["audio"].data)


def test_common_grid():
    assert common_grid([]) is None
    assert common_grid([Fraction(1, 50), Fraction(1, 100)]) == Fraction(1, 50)
    assert common_grid([Fraction(1, 50), Fraction(1, 25), Fraction(3, 50)]) == Fraction(3, 25)
