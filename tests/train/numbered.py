"""Small manifests of numbered cuts with units, their data module, and a training that notes which of them it was given."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import soundfile
import torch
from lhotse import CutSet, Recording
from lightning.pytorch.callbacks import ModelCheckpoint

from speechunits.data.fields import AudioField, UnitsField
from speechunits.data.transforms import Crop
from speechunits.data.unit_writer import UnitWriter
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
