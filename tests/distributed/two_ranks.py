"""Real runs with two gloo processes; every rank writes what it ended with. Started by test_training.py."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import nn
from torch.utils.data import DataLoader

from speechunits.errors import UserError
from speechunits.metrics.wer import WER
from speechunits.train.module import TrainModule
from tests.train import contest
from tests.train.distilled import exact as exact_distilled
from tests.train.recognised import exact as exact_recognised
from tests.train.test_validation import Largest
from tests.train.tiny import Tiny, TinyData, batch, train


class ByRank(lightning.LightningDataModule):
    """Windows written out for every rank; with one rank, those of all ranks one after another."""

    def __init__(self, windows: list[list[list[Any]]]) -> None:
        super().__init__()
        self.windows = windows

    def train_dataloader(self) -> DataLoader[Any]:
        if self.trainer.world_size == 1:
            return DataLoader([[b for rank in window for b in rank] for window in self.windows], batch_size=None)  # type: ignore[arg-type]
        return DataLoader([window[self.trainer.global_rank] for window in self.windows], batch_size=None)  # type: ignore[arg-type]


class Kill(lightning.Callback):
    """SIGTERM to one rank alone, after one update."""

    module: TrainModule

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        self.module = pl_module
        if pl_module.step == 3 and trainer.global_rank == trainer.world_size - 1:
            os.kill(os.getpid(), signal.SIGTERM)


def double(**options: Any) -> nn.Module:
    return Tiny(**options).double()


def double_batch(index: int, poison: bool = False) -> Any:
    out = batch(index, torch.float64)
    if poison:
        out["audio"].data[0, 0] = torch.nan
    return out


def exact(folder: Path, **trainer: Any) -> TrainModule:
    """Unequal counts, a layer that most micro-batches skip, clipping, uneven validation, a Measure."""
    ranks = trainer.get("devices", 1)
    data = TinyData(accumulate=4 // ranks, dtype=torch.float64, valid=3)
    options = {"clip": 1.0, "measures": {"top": Largest()}}
    return train(folder, 9, data, partial(double, skip=0.8), options=options, **trainer)  # type: ignore[arg-type]


def empty(folder: Path, **trainer: Any) -> TrainModule:
    """A rank that begins without audio and so knows no names; nobody with audio; the other rank without."""
    windows = [[[double_batch(0)], [None]], [[None], [None]], [[{"ids": []}], [double_batch(1)]]]
    return train(folder, 2, ByRank(windows), double, **trainer)  # type: ignore[arg-type]


def poisoned(folder: Path, **trainer: Any) -> TrainModule:
    """One rank's loss is not finite: no rank takes the step."""
    windows = [[[double_batch(2 * i)], [double_batch(2 * i + 1, poison=i == 1)]] for i in range(3)]
    return train(folder, 2, ByRank(windows), double, **trainer)  # type: ignore[arg-type]


def rolled_back(folder: Path, **settings: Any) -> TrainModule:
    """One rank's data are bad three times in a row: all ranks go back from update 4 to 2, and on."""
    bad = (4, 5, 6)
    windows = [[[double_batch(2 * i)], [double_batch(2 * i + 1, poison=i in bad)]] for i in range(12)]
    settings |= {"checkpoint_every": 2, "keep_last": None, "alarms": {"not_finite": {"after": 3}}}
    return train(folder, 5, ByRank(windows), double, **settings)  # type: ignore[arg-type]


def distilled(folder: Path, **trainer: Any) -> TrainModule:
    """A moving teacher and codebooks that gather over micro-batches and ranks."""
    data = TinyData(accumulate=4 // trainer.get("devices", 1), dtype=torch.float64, valid=3)
    return train(folder, 9, data, exact_distilled, **trainer)  # type: ignore[arg-type]


def recognised(folder: Path, **trainer: Any) -> TrainModule:
    """CTC on an encoder that thaws on the way, some pairs impossible, and WER over uneven validation."""
    data = TinyData(accumulate=4 // trainer.get("devices", 1), dtype=torch.float64, valid=3)
    options = {"clip": 1.0, "measures": {"wer": WER()}}
    return train(folder, 9, data, partial(exact_recognised, freeze_updates=4), options=options, **trainer)  # type: ignore[arg-type]


def contested(folder: Path, **trainer: Any) -> TrainModule:
    """A generator and a discriminator; with two ranks what was made is made again on each, as with one."""
    data = TinyData(accumulate=4 // trainer.get("devices", 1), dtype=torch.float64, valid=3)
    options = {"clip": 0.4, "measures": {"top": Largest()}}
    return contest.train(folder, 9, data, contest.exact, options=options, **trainer)  # type: ignore[no-any-return]


def contested_in_pairs(folder: Path, **trainer: Any) -> TrainModule:
    """Kept where a rank has one micro-batch, made again where one process has both; sometimes a rank has none."""
    windows = [[[double_batch(2 * i)], [double_batch(2 * i + 1)]] for i in range(5)]
    windows[1][0], windows[3][1] = [None], [{"ids": []}]
    return contest.train(folder, 5, ByRank(windows), contest.exact, **trainer)  # type: ignore[no-any-return]


def contested_poisoned(folder: Path, **trainer: Any) -> TrainModule:
    """One rank's data are bad for both sides, then for the generator alone: no rank keeps a half."""
    windows = [[[double_batch(2 * i)], [double_batch(2 * i + 1, poison=i == 1)]] for i in range(6)]
    windows[3][1][0]["spoil"] = torch.nan
    return contest.train(folder, 4, ByRank(windows), contest.exact, **trainer)  # type: ignore[no-any-return]


NOISY = partial(Tiny, dropout=0.4, skip=0.5)


def whole(folder: Path, **trainer: Any) -> TrainModule:
    return train(folder, 6, TinyData(), NOISY, checkpoint_every=3, keep_last=None, validate_every=2, **trainer)


def resumed(folder: Path, **trainer: Any) -> TrainModule:
    settings: dict[str, Any] = {"checkpoint_every": 3, "keep_last": None, "validate_every": 2, **trainer}
    train(folder, 3, TinyData(), NOISY, **settings)
    return train(folder, 6, TinyData(), NOISY, resume=folder / "checkpoints" / "step-000000003.ckpt", **settings)


def contested_whole(folder: Path, **trainer: Any) -> TrainModule:
    model = partial(contest.contest, dropout=0.4)
    settings: dict[str, Any] = {"checkpoint_every": 3, "keep_last": None, "validate_every": 2, **trainer}
    return contest.train(folder, 6, TinyData(), model, **settings)  # type: ignore[no-any-return]


def contested_resumed(folder: Path, **trainer: Any) -> TrainModule:
    model = partial(contest.contest, dropout=0.4)
    settings: dict[str, Any] = {"checkpoint_every": 3, "keep_last": None, "validate_every": 2, **trainer}
    contest.train(folder, 3, TinyData(), model, **settings)
    resume = folder / "checkpoints" / "step-000000003.ckpt"
    return contest.train(folder, 6, TinyData(), model, resume=resume, **settings)  # type: ignore[no-any-return]


def killed(folder: Path, **trainer: Any) -> TrainModule:
    kill = Kill()
    with suppress(SystemExit):
        train(folder, 50, TinyData(), callbacks=[kill], **trainer)
        raise AssertionError("SIGTERM ends the process")
    return kill.module


class Disturb(lightning.Callback):
    """Change the last rank alone, after one update."""

    def __init__(self, how: Callable[[TrainModule], Any]) -> None:
        self.how = how

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        if pl_module.step == 3 and trainer.global_rank == trainer.world_size - 1:
            self.how(pl_module)


def one_bit(module: TrainModule) -> None:
    weight = next(module.model.parameters()).data
    weight.flatten()[0] = weight.flatten()[0].nextafter(torch.ones(()))


def one_update(module: TrainModule) -> None:
    module.step += 1


def one_window(module: TrainModule) -> None:
    module.trainer.datamodule.advance()  # type: ignore[attr-defined]


def no_checkpoints(module: TrainModule) -> None:
    module.trainer.checkpoint_callback.folder = Path("nowhere")  # type: ignore[union-attr]


def stopped(folder: Path, how: Callable[[TrainModule], Any]) -> str:
    """What ends the run."""
    try:
        if how is no_checkpoints:
            rolled_back(folder, devices=2, callbacks=[Disturb(how)])
        else:
            alarms = {"ranks_out_of_step": {"every": 4}}
            train(folder, 50, TinyData(), callbacks=[Disturb(how)], alarms=alarms, devices=2)
    except UserError as error:
        return str(error)
    raise AssertionError("nobody noticed")


def sharded_contest(folder: Path) -> str:
    """What says that a generator and a discriminator are not sharded."""
    try:
        contest.train(folder, 3, TinyData(), devices=2, strategy="fsdp")
    except UserError as error:
        return str(error)
    raise AssertionError("nobody minded")


CONTESTED = (contested, contested_in_pairs, contested_poisoned, contested_whole, contested_resumed)
RUNS = {
    run.__name__: run
    for run in (exact, empty, poisoned, rolled_back, distilled, recognised, *CONTESTED, whole, resumed, killed)
}
DISTURBED = {how.__name__: how for how in (one_bit, one_update, one_window, no_checkpoints)}
SLOW = ("train/audio_seconds_per_second", "train/loader_wait", "system/")


def outcome(module: TrainModule) -> dict[str, Any]:
    """Everything that ranks, and numbers of ranks, are compared by; JSON keeps every bit of a float."""
    weights = {name: tensor.double().flatten().tolist() for name, tensor in module.model.state_dict().items()}
    figures = {k: v for k, v in module.figures.items() if not k.startswith(SLOW)}
    return {"step": module.step, "rejected": module.rejected, "weights": weights, "figures": figures}


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name, run in RUNS.items():
        place = Path(sys.argv[1]) / name
        module = run(place, devices=2)
        (Path(sys.argv[1]) / f"{name}-{module.global_rank}.json").write_text(json.dumps(outcome(module)))
    said = sharded_contest(Path(sys.argv[1]) / "sharded_contest")
    (Path(sys.argv[1]) / f"sharded_contest-{os.environ.get('LOCAL_RANK', 0)}.json").write_text(json.dumps(said))
    for name, how in DISTURBED.items():
        said = stopped(Path(sys.argv[1]) / name, how)
        (Path(sys.argv[1]) / f"{name}-{os.environ.get('LOCAL_RANK', 0)}.json").write_text(json.dumps(said))
