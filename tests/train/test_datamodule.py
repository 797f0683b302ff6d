from __future__ import annotations

import json
import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import soundfile
import torch
from lhotse import CutSet, Recording
from lightning.pytorch.callbacks import ModelCheckpoint

from speechunits.config import build, check, load
from speechunits.data.cuts import open_cuts
from speechunits.data.fields import AudioField, UnitsField
from speechunits.data.transforms import Crop
from speechunits.data.unit_writer import UnitWriter
from speechunits.errors import UserError
from speechunits.stream import Stream
from speechunits.train.datamodule import SpeechDataModule

HOP = Fraction(1, 50)


def corpus(folder: Path, name: str, seconds: list[float], fingerprint: str = "fp") -> str:
    """A manifest with units 0, 1, 2 ..."""
    cuts = []
    for i, s in enumerate(seconds):
        path = folder / f"{name}{i}.wav"
        soundfile.write(path, np.random.default_rng(i).normal(0, 0.1, round(s * 16000)), 16000)
        cuts.append(Recording.from_file(path).to_cut())
    CutSet.from_cuts(cuts).to_file(folder / f"{name}.plain.jsonl.gz")
    with UnitWriter(folder / f"{name}.jsonl.gz", HOP, [100], fingerprint) as writer:
        for cut in cuts:
            writer.write(cut, np.arange(int(cut.duration * 50 + 1e-6)))
    return str(folder / f"{name}.jsonl.gz")


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, str]:
    return {
        "train": corpus(tmp_path, "t", [0.2 + 0.02 * i for i in range(24)]),
        "valid": corpus(tmp_path, "v", [0.3, 0.5, 0.9]),
    }


def module(paths: dict[str, str], **how: Any) -> SpeechDataModule:
    how = {"max_seconds": 1.5, "accumulate": 2, "num_workers": 0, "transforms": [Crop(0.5)]} | how
    return SpeechDataModule(**paths, fields={"audio": AudioField(), "units": UnitsField()}, **how)


class Recorder(lightning.LightningModule):
    """Notes what it was given; tells the data module of each completed update, as the house's training module does."""

    def __init__(self, house: bool = True) -> None:
        super().__init__()
        self.automatic_optimization, self.house = False, house
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.train_ids: list[list[list[str]]] = []
        self.valid_ids: list[list[str]] = []

    def training_step(self, window: list[dict[str, Any]], batch_idx: int) -> None:
        for batch in window:
            torch.testing.assert_close(batch["units"].valid, batch["units"].data >= 0)
            assert batch["draws"].epoch == self.trainer.datamodule.position.epoch
        self.train_ids.append([batch["ids"] for batch in window])
        self.optimizers().step()  # counts Lightning's steps
        self.trainer.datamodule.advance()

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        assert batch["draws"].epoch == -1
        self.valid_ids.append(batch["ids"])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.house:
            checkpoint.pop("loops", None)


def fit(
    data: SpeechDataModule, folder: Path, steps: int, start: Path | None = None, house: bool = True, every: int = 3
) -> Recorder:
    recorder = Recorder(house)
    trainer = lightning.Trainer(
        max_steps=-1 if start and house else steps,
        max_epochs=-1,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        callbacks=[ModelCheckpoint(folder, "{step}", every_n_train_steps=every, save_top_k=-1), Stop(steps)],
    )
    trainer.fit(recorder, data, ckpt_path=start)
    return recorder


class Stop(lightning.Callback):
    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_batch_end(self, trainer: lightning.Trainer, recorder: Recorder, *_: Any) -> None:
        if len(recorder.train_ids) >= self.steps:
            trainer.should_stop = True


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


def test_another_plan_goes_on_at_the_same_share_of_the_epoch(paths: dict[str, str], caplog: pytest.LogCaptureFixture):
    first = module(paths)
    half = len(first.train_dataloader()) // 2
    first.position.window = half
    state = first.state_dict()
    same = module(paths, accumulate=2)
    same.load_state_dict(state)
    same.train_dataloader()
    assert same.position.window == half and not caplog.records
    other = module(paths, max_seconds=0.6, accumulate=1)
    other.load_state_dict(state)
    with caplog.at_level(logging.WARNING):
        windows = len(other.train_dataloader())
    assert windows > len(first.train_dataloader())
    assert other.position.window == int(np.ceil(half / len(first.train_dataloader()) * windows))
    assert "of another batch plan" in caplog.text


def restored(data: SpeechDataModule, state: dict[str, Any]) -> SpeechDataModule:
    data.load_state_dict(json.loads(json.dumps(state)))
    data.train_dataloader()
    return data


def halfway(paths: dict[str, str], **how: Any) -> dict[str, Any]:
    first = module(paths, **how)
    first.position.window = len(first.train_dataloader()) // 2
    return first.state_dict()


def test_the_same_cuts_elsewhere_go_on_silently(
    paths: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    state = halfway(paths)
    (tmp_path / "moved").mkdir()
    moved = corpus(tmp_path / "moved", "t", [0.2 + 0.02 * i for i in range(24)])
    with caplog.at_level(logging.WARNING):
        data = restored(module({**paths, "train": moved}), state)
    assert data.position.window == state["window"] and not caplog.records


@pytest.mark.parametrize("window", ["start", "middle"])
def test_other_cuts_are_refused_until_accepted(
    paths: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture, window: str
):
    state = halfway(paths)
    state["window"] *= window == "middle"
    corpus(tmp_path, "t", [0.2 + 0.02 * i for i in range(30)])
    says = (
        r"t.jsonl.gz: the checkpoint saw 24 cuts of 0.00 h \(\w{12}\), now there are 30 of 0.00 h \((\w{12})\): other ids or "
        r"durations; put the manifest of before back, or give data.accept_manifest=\1 to go on with this one$"
    )
    with pytest.raises(UserError, match=says) as refused:
        restored(module(paths), state)
    name = str(refused.value).split("accept_manifest=")[1].split()[0]
    with caplog.at_level(logging.WARNING):
        data = restored(module(paths, accept_manifest=name), state)
    assert "other ids or durations; accepted" in caplog.text
    assert (data.position.window > 0) == (window == "middle") == ("of another batch plan" in caplog.text)
    corpus(tmp_path, "t", [0.2 + 0.02 * i for i in range(24)] + [0.7])
    with pytest.raises(UserError, match="now there are 25"):  # one acceptance is not one for all
        restored(module(paths, accept_manifest=name), state)


@pytest.mark.parametrize(
    ("accumulate", "says"), [(4, None), (1, "4 batches (ranks x accumulate), and now they are of 1: data.accumulate=4")]
)
def test_another_number_of_batches_per_update_is_said(
    paths: dict[str, str], caplog: pytest.LogCaptureFixture, accumulate: int, says: str | None
):
    state = halfway(paths, accumulate=4)
    with caplog.at_level(logging.WARNING):
        data = restored(module(paths, accumulate=accumulate), state)
    assert says in caplog.text if says else not caplog.records
    assert says is not None or data.position.window == state["window"]


class Ranks:
    """The place of a process among ``world_size``, as a Trainer tells it."""

    def __init__(self, world_size: int, global_rank: int) -> None:
        self.world_size, self.global_rank = world_size, global_rank


def windows_of(paths: dict[str, str], state: dict[str, Any] | None, ranks: int, accumulate: int) -> list[list[str]]:
    """The ids of each update, batch after batch, over all ranks."""
    updates: list[list[list[str]]] = []
    for rank in range(ranks):
        data = module(paths, accumulate=accumulate)
        data.trainer = Ranks(ranks, rank)  # type: ignore[assignment]
        if state:
            data.load_state_dict(state)
        updates.append([[" ".join(batch["ids"]) for batch in window] for window in data.train_dataloader()])
    return [[w[m] for m in range(accumulate) for w in several] for several in zip(*updates, strict=True)]


def test_ranks_times_accumulate_is_what_counts_also_when_resuming(
    paths: dict[str, str], caplog: pytest.LogCaptureFixture
):
    """4 ranks, 2 ranks that accumulate 2 and 1 that accumulates 4 see the same updates; 3 ranks cannot, and are told."""
    one = windows_of(paths, None, 1, 4)
    state = halfway(paths, accumulate=4)
    with caplog.at_level(logging.WARNING):
        for ranks, accumulate in ((1, 4), (2, 2), (4, 1)):
            assert windows_of(paths, None, ranks, accumulate) == one
            assert windows_of(paths, state, ranks, accumulate) == one[state["window"] :]
        assert not caplog.records
        windows_of(paths, state, 3, 1)
    assert "were of 4 batches (ranks x accumulate), and now they are of 3: 3 ranks cannot keep it" in caplog.text


def test_labels_of_another_tokenizer_are_refused_when_resuming(paths: dict[str, str], tmp_path: Path):
    """The same cuts, extracted again with another tokenizer: the checkpoint names both, before anything is trained."""
    fit(module(paths), tmp_path / "run", 3)
    saved = tmp_path / "run" / "step=3.ckpt"
    assert len(fit(module(paths), tmp_path / "again", 2, saved).train_ids) == 2
    corpus(tmp_path, "t", [0.2 + 0.02 * i for i in range(24)], "stranger")
    corpus(tmp_path, "v", [0.3, 0.5, 0.9], "stranger")
    says = (
        r"trained on units of the tokenizer fp, and .*t\.jsonl\.gz holds those of stranger; extract them with fp again"
    )
    with pytest.raises(UserError, match=says):
        fit(module(paths), tmp_path / "other", 2, saved)


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
