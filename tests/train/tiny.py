"""A tiny real Trainable and its data: unequal counts, dropout, a layer that draws may skip, batch-independent truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from csv import DictReader
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from speechunits.draws import draws
from speechunits.seq import Seq, pad
from speechunits.term import Term
from speechunits.train.loggers import csv
from speechunits.train.module import TrainModule
from speechunits.train.optim import adamw
from speechunits.train.schedules import polynomial_decay
from speechunits.train.trainer import build_trainer

HOP = Fraction(1, 16000)


class Tiny(nn.Module):
    """Masked means of squares and of absolute values, each over its own frames; draws may skip a layer."""

    def __init__(self, dropout: float = 0.0, skip: float = 0.0) -> None:
        super().__init__()
        self.first, self.second, self.out = nn.Linear(1, 4), nn.Linear(4, 4), nn.Linear(4, 1)
        self.dropout, self.skip = nn.Dropout(dropout), skip
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def _skipped(self, batch: Any) -> bool:
        return bool(batch["draws"].generator(0, "layer").random() < self.skip)

    def _masked(self, batch: Any) -> Tensor:
        audio: Seq = batch["audio"]
        mask = torch.stack([torch.from_numpy(g.random(64) < 0.5) for g in batch["draws"].generators("mask")])
        return mask[:, : audio.data.size(1)].to(audio.data.device) & audio.valid

    def counts(self, batch: Any) -> dict[str, Tensor]:
        return {"square/all": batch["audio"].lengths.sum(), "absolute/masked": self._masked(batch).sum()}

    def forward(self, x: Tensor, skipped: bool) -> Tensor:
        h = torch.tanh(self.first(x[..., None]))
        if not skipped:
            h = h + torch.tanh(self.second(self.dropout(h)))
        return self.out(h)[..., 0]

    def terms(self, batch: Any) -> dict[str, Term]:
        audio: Seq = batch["audio"]
        y = self(audio.data, self._skipped(batch))
        error, count = y - 2 * audio.data, self.counts(batch)
        return {
            "square/all": Term((error.square() * audio.valid).sum(), count["square/all"]),
            "absolute/masked": Term((error.abs() * self._masked(batch)).sum(), count["absolute/masked"], 0.3),
            "shown/accuracy": Term(torch.zeros((), device=y.device), count["square/all"], 0.0),
        }

    def predict(self, batch: Any) -> dict[str, Any]:
        return {"y": self(batch["audio"].data, False)}

    def on_step(self, step: int, root: nn.Module) -> None:
        self.seen.fill_(step)


def batch(index: int, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    """Micro-batch ``index``: one to three utterances of unequal lengths, a pure function of the index."""
    g = torch.Generator().manual_seed(1000 + index)
    lengths = torch.randint(5, 40, (1 + index % 3,), generator=g).tolist()
    rows = [torch.randn(n, generator=g, dtype=torch.float64) for n in lengths]
    ids = [f"{index}-{i}" for i in range(len(rows))]
    audio = pad(rows, HOP)
    said = [torch.randint(4, (n if index % 4 == 1 else n // 4,), generator=g) for n in lengths]  # some too long for CTC
    out = {"audio": audio.with_data(audio.data.to(dtype)), "draws": draws(ids), "ids": ids, "text": pad(said, None)}
    return out | {"transcript": ["".join("abcd"[i] for i in x.tolist()) for x in said]}


class Windows(Dataset[list[Any]]):
    """``len`` windows of ``accumulate`` micro-batches for one rank; global micro-batch order is that of one rank."""

    def __init__(self, accumulate: int, ranks: int = 1, rank: int = 0, dtype: torch.dtype = torch.float32) -> None:
        self.accumulate, self.ranks, self.rank, self.dtype = accumulate, ranks, rank, dtype

    def __getitem__(self, window: int) -> list[Any]:
        first = (window * self.ranks + self.rank) * self.accumulate
        return [batch(first + i, self.dtype) for i in range(self.accumulate)]


class FromNext(Sampler[int]):
    """Windows in an order shuffled anew each epoch, from the data module's position on."""

    def __init__(self, data: TinyData) -> None:
        self.data = data

    def __len__(self) -> int:
        if self.data.sized:
            return self.data.windows  # of a whole epoch, also from its middle on: what SpeechDataModule says
        raise TypeError("a stream without a length")

    def __iter__(self) -> Iterator[int]:
        order = torch.randperm(self.data.windows, generator=torch.Generator().manual_seed(self.data.epoch)).tolist()
        return iter([self.data.windows * self.data.epoch + i for i in order[self.data.next :]])


class TinyData(lightning.LightningDataModule):
    """Position = (epoch, next window), moved by ``advance`` after each update; a map-style set read by n workers."""

    def __init__(
        self,
        windows: int = 5,
        accumulate: int = 2,
        workers: int = 0,
        valid: int = 3,
        dtype: torch.dtype = torch.float32,
        sized: bool = True,
    ) -> None:
        super().__init__()
        self.windows, self.accumulate, self.workers, self.valid, self.dtype = windows, accumulate, workers, valid, dtype
        self.sized = sized
        self.epoch = self.next = 0

    def advance(self) -> None:
        self.next += 1
        if self.next == self.windows:
            self.epoch, self.next = self.epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "next": self.next}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.epoch, self.next = state_dict["epoch"], state_dict["next"]

    def train_dataloader(self) -> DataLoader[Any]:
        ranks, rank = self.trainer.world_size, self.trainer.global_rank
        windows = Windows(self.accumulate, ranks, rank, self.dtype)
        return DataLoader(windows, batch_size=None, sampler=FromNext(self), num_workers=self.workers)

    def val_dataloader(self) -> DataLoader[Any]:
        ranks, rank = self.trainer.world_size, self.trainer.global_rank
        mine = [batch(500 + i, self.dtype) for i in range(rank, self.valid, ranks)]
        return DataLoader(mine, batch_size=None)


class Each(lightning.Callback):
    """Call ``do(step)`` after each window."""

    def __init__(self, do: Callable[[int], Any]) -> None:
        self.do = do

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        self.do(pl_module.step)


def train(
    folder: Path,
    steps: int | None,
    data: TinyData | None = None,
    model: Callable[[], Tiny] = Tiny,
    resume: Path | None = None,
    callbacks: Sequence[lightning.Callback] = (),
    options: dict[str, Any] | None = None,
    drive: Callable[..., Any] = TrainModule,
    **trainer: Any,
) -> TrainModule:
    """One real run; ``options`` go to ``drive``, the rest to ``build_trainer``."""
    lightning.seed_everything(3, verbose=False)
    settings: dict[str, Any] = {"optimizer": partial(adamw, lr=1e-2), "log_every": 1, **(options or {})}
    settings.setdefault("schedule", partial(polynomial_decay, warmup=2, total=20))
    module: TrainModule = drive(model(), **settings)
    trainer = {"accelerator": "cpu", "validate_every": 1000, "checkpoint_every": 1000, **trainer}
    runner = build_trainer(steps, folder=folder, loggers=[csv(folder=folder)], callbacks=callbacks, **trainer)
    runner.fit(module, datamodule=data or TinyData(), ckpt_path=resume)
    return module


def rows(folder: Path) -> list[dict[str, float]]:
    """The figures of a run without those of the clock; empty cells are left out."""
    clock = ("train/audio_seconds_per_second", "train/loader_wait", "system/")
    with (folder / "metrics.csv").open(newline="") as file:
        return [{k: float(v) for k, v in row.items() if v and not k.startswith(clock)} for row in DictReader(file)]
