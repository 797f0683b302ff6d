"""FeaturePass: one global order of batches, shared out, resumed, and honest about what it leaves out."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from lhotse import CutSet

from speechunits.data.cuts import open_cuts
from speechunits.data.fields.audio_field import AudioField
from speechunits.data.fields.speaker_field import SpeakerField
from speechunits.errors import UserError
from speechunits.frontends.mfcc import MFCC
from speechunits.units.feature_pass import FeaturePass
from speechunits.units.features import Features
from tests.recipes.toy import Corpus, save


def make(path: Path, max_seconds: float = 1.9, **more: Any) -> FeaturePass:
    return FeaturePass(open_cuts(path), {"audio": AudioField(), "who": SpeakerField()}, max_seconds, **more)


def ids(batches: FeaturePass, start: int = 0) -> list[tuple[int, list[str]]]:
    return [(index, batch["ids"]) for index, batch in batches(start)]


def test_every_cut_once_within_the_limit(corpus: Corpus):
    batches, cuts = make(corpus.train), {c.id: c for c in CutSet.from_file(corpus.train)}
    seen = ids(batches)
    assert [i for i, _ in seen] == list(range(len(batches.batches))) and len(seen) > 3
    assert sorted(k for _, row in seen for k in row) == sorted(cuts)
    for _, row in seen:
        assert len(row) == 1 or len(row) * max(cuts[k].duration for k in row) <= 1.9
    assert batches.seconds == pytest.approx(sum(c.duration for c in cuts.values())) and batches.bad == {}


def test_the_batch_holds_all_fields(corpus: Corpus):
    _, batch = next(iter(make(corpus.train)()))
    cuts = {c.id: c for c in CutSet.from_file(corpus.train)}
    assert batch["who"] == [cuts[k].supervisions[0].speaker for k in batch["ids"]]
    for k, samples, n in zip(batch["ids"], batch["audio"].data, batch["audio"].lengths.tolist(), strict=True):
        assert torch.equal(samples[:n], torch.from_numpy(cuts[k].load_audio()[0]))


@pytest.mark.parametrize("ranks", [2, 3, 20])
def test_ranks_share_the_batches_of_one(corpus: Corpus, ranks: int):
    whole = ids(make(corpus.train))
    parts = [ids(make(corpus.train, rank=r, ranks=ranks)) for r in range(ranks)]
    assert sorted((item for part in parts for item in part), key=lambda item: item[0]) == whole
    for r, part in enumerate(parts):
        assert all(i % ranks == r for i, _ in part)


def test_the_launchers_variables_name_the_rank(corpus: Corpus, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert (
        ids(make(corpus.train)) == ids(make(corpus.train, rank=1, ranks=2)) != ids(make(corpus.train, ranks=1, rank=0))
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_a_pass_goes_on_from_any_batch(corpus: Corpus, workers: int):
    whole = ids(make(corpus.train))
    assert ids(make(corpus.train, num_workers=workers), 2) == whole[2:]
    assert ids(make(corpus.train, rank=1, ranks=2), 2) == [item for item in whole[2:] if item[0] % 2]


def test_the_name_is_that_of_the_batches(corpus: Corpus):
    name = make(corpus.train).name
    assert name == make(corpus.train, rank=1, ranks=2).name
    others = [make(corpus.train, 1.2).name, make(corpus.train, share=0.5).name, make(corpus.valid).name]
    assert len({name, *others}) == 4


@pytest.mark.parametrize("share", [0, -1, 1.5])
def test_a_share_that_is_none_is_refused(corpus: Corpus, share: float):
    with pytest.raises(UserError, match=f"share={share:g}: of the cuts, above 0 and at most 1"):
        make(corpus.train, share=share)


def test_a_share_is_spread_over_the_corpus(corpus: Corpus):
    all_ids = open_cuts(corpus.train).ids
    assert sorted(k for _, row in ids(make(corpus.train, share=1 / 3)) for k in row) == sorted(
        [all_ids[0], all_ids[4], all_ids[8]]
    )


def broken(corpus: Corpus, folder: Path) -> Path:
    """The training cuts with the audio of the second replaced by text, that of the fourth missing."""
    cuts = list(CutSet.from_file(corpus.train))
    (folder / "text.wav").write_text("this is no audio\n")
    cuts[1].recording.sources[0].source = str(folder / "text.wav")
    cuts[3].recording.sources[0].source = str(folder / "missing.wav")
    return save(cuts, folder / "broken.jsonl.gz")


@pytest.mark.parametrize("workers", [0, 2])
def test_what_cannot_be_read_is_listed_and_the_rest_is_there(corpus: Corpus, tmp_path: Path, workers: int):
    batches, cuts = make(broken(corpus, tmp_path), num_workers=workers), list(CutSet.from_file(corpus.train))
    seen = [k for _, row in ids(batches) for k in row]
    assert set(batches.bad) == {cuts[1].id, cuts[3].id} and len(seen) == len(cuts) - 2
    assert "missing.wav" in batches.bad[cuts[3].id]


def test_who_stops_early_knows_of_what_was_met(corpus: Corpus, tmp_path: Path):
    batches = make(broken(corpus, tmp_path), max_seconds=100.0)
    run = batches()
    next(run)
    run.close()
    assert len(batches.bad) == 2


def test_short_cuts_are_left_out_and_counted(corpus: Corpus, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    cuts = list(CutSet.from_file(corpus.train))
    short = [c.truncate(duration=0.02) for c in cuts[:2]]
    path = save([*short, *cuts[2:]], tmp_path / "short.jsonl.gz")
    with caplog.at_level(logging.WARNING):
        batches = make(path)
    assert "2 of 9 cuts are shorter than 0.05 s" in caplog.text
    assert sum(len(row) for _, row in ids(batches)) == 7
    with pytest.raises(UserError, match=r"short\.jsonl\.gz: no cut of at least 0\.05 s"):
        make(save(short, tmp_path / "none_short.jsonl.gz"))


def test_a_feature_stream_is_the_features_of_the_batches(corpus: Corpus):
    features, batches = Features(MFCC()), make(corpus.train)
    for (i, names, vectors), (j, batch) in zip(batches.features(features)(1), batches(1), strict=True):
        assert (i, names) == (j, batch["ids"])
        assert torch.equal(vectors.data, features(batch["audio"]).data)
