from __future__ import annotations

import logging
from pathlib import Path

import pytest
from lhotse import CutSet

from speechunits.config import build, check, load
from speechunits.data.cuts import open_cuts
from speechunits.data.fields import AudioField
from speechunits.errors import UserError
from speechunits.stream import Stream
from speechunits.train.datamodule import SpeechDataModule
from tests.train.numbered import HOP, corpus, fit, module


def test_streams_are_those_of_the_manifests(paths: dict[str, str]):
    assert module(paths).streams == {"units": Stream(HOP, (100,), "fp")}


def test_train_and_valid_labels_of_two_tokenizers_are_refused(paths: dict[str, str], tmp_path: Path):
    other = corpus(tmp_path, "o", [0.3, 0.5], "other")
    with pytest.raises(UserError, match=r"the field units of .*o.jsonl.gz .*other.* differs from that of .*t.jsonl.gz"):
        module({"train": paths["train"], "valid": other}).setup()


def test_construction_reads_nothing_and_setup_finds_mistakes():
    data = module({"train": "no/such/train.jsonl.gz"})
    with pytest.raises(UserError, match=r"no/such/train.jsonl.gz does not exist"):
        data.setup()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_trainer_sees_every_cut_in_every_epoch(paths: dict[str, str], tmp_path: Path, num_workers: int):
    data = module(paths, num_workers=num_workers)
    windows = len(data.train_dataloader())
    recorder = fit(data, tmp_path / "c", 2 * windows)
    assert len(recorder.train_ids) == 2 * windows
    for epoch in (recorder.train_ids[:windows], recorder.train_ids[windows:]):
        assert {i for window in epoch for batch in window for i in batch} == {f"t{i}" for i in range(24)}
    assert recorder.train_ids == fit(module(paths), tmp_path / "d", 2 * windows).train_ids
    assert [sorted(i for b in recorder.valid_ids for i in b)[:2], len(recorder.valid_ids) % 2] == [["v0", "v0"], 0]
    assert data.position.epoch == 2 and data.position.window == 0


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("house", [True, False])
def test_resumed_is_uninterrupted(paths: dict[str, str], tmp_path: Path, num_workers: int, house: bool):
    """From a checkpoint in the middle of an epoch, at its end and in the next one."""
    windows = len(module(paths).train_dataloader())
    steps = 2 * windows + 2
    whole = fit(module(paths), tmp_path / "whole", steps, every=1, house=house)
    assert len(whole.train_ids) == steps
    for done in (2, windows, windows + 1):
        data = module(paths, num_workers=num_workers)
        left = steps if not house else steps - done
        resumed = fit(data, tmp_path / f"resumed{done}", left, tmp_path / "whole" / f"step={done}.ckpt", house)
        assert resumed.train_ids[: steps - done] == whole.train_ids[done:]


def test_short_and_long_cuts_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    train = corpus(tmp_path, "t", [0.05, 0.3, 0.4, 2.0, 0.09])
    data = SpeechDataModule(train, {"audio": AudioField()}, 1.0, max_duration=1.0, num_workers=0)
    with caplog.at_level(logging.WARNING):
        ids = {i for window in data.train_dataloader() for batch in window for i in batch["ids"]}
    assert ids == {"t1", "t2"}
    assert "left out 2 of 5 cuts shorter than 0.1 s, e.g. t0" in caplog.text
    assert "left out 1 of 5 cuts longer than 1.0 s, e.g. t3" in caplog.text
    with pytest.raises(UserError, match=r"t.jsonl.gz: all 5 cuts are outside the limits"):
        SpeechDataModule(train, {"audio": AudioField()}, 1.0, min_duration=3).train_dataloader()
    with pytest.raises(UserError, match="1 cuts are longer than max_seconds = 1"):
        SpeechDataModule(train, {"audio": AudioField()}, 1.0).train_dataloader()


def test_zero_length_cuts_are_left_out(tmp_path: Path):
    cuts = list(open_cuts(corpus(tmp_path, "t", [0.3, 0.4])))
    cuts[0].duration = 0.0
    CutSet.from_cuts(cuts).to_file(tmp_path / "zero.jsonl.gz")
    data = SpeechDataModule(
        str(tmp_path / "zero.jsonl.gz"), {"audio": AudioField()}, 1.0, min_duration=0, num_workers=0
    )
    assert [batch["ids"] for window in data.train_dataloader() for batch in window] == [["t1"]]


def test_shipped_configuration(paths: dict[str, str]):
    data = [
        f"data.train={paths['train']}",
        f"data.valid={paths['valid']}",
        "data.num_workers=0",
        "data.min_duration=0.1",
    ]
    tree = load("system/hubert_base.yaml", *data)["data"]
    assert check(tree) == []
    data = build(tree)
    (window,) = data.train_dataloader()
    assert window[0]["audio"].lengths.max() <= 250000 and len(window[0]["ids"]) == 24
