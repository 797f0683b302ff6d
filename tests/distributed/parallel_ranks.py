"""Trainings of two gloo processes under each strategy; every rank writes how it ended. Started by test_parallelism.py."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from speechunits import ranks, store
from speechunits.train.module import TrainModule
from speechunits.train.precision import SharedScaler
from tests.distributed import systems
from tests.distributed.systems import SYSTEMS, TWO_RANKS, Given, batches, outcome, pretrained, recogniser, speech, train

NOISY = ("model.encoder.encoder.layerdrop=0.5", "model.encoder.encoder.recompute=true")
Run = Callable[[Path, str], TrainModule]


def exact(system: str, folder: Path, strategy: str) -> TrainModule:
    """Unequal micro-batches, one of them empty; a checkpoint every two updates, and what training leaves."""
    settings = {"devices": 2, "strategy": strategy, "checkpoint_every": 2}
    module = train(folder, SYSTEMS[system], batches(TWO_RANKS, 5), 5, **settings)
    finished: Any = module.whole()
    if module.trainer.is_global_zero:
        store.save(finished.encoder, folder / "encoder")
    return module


def moved(folder: Path, strategy: str) -> TrainModule:
    """Go on from the checkpoint that the other strategy saved after two updates."""
    other = {"ddp": "fsdp", "fsdp": "ddp"}[strategy]
    resume = folder.parent / f"dinosr-{other}" / "checkpoints" / "step-000000002.ckpt"
    return train(folder, SYSTEMS["dinosr"], batches(TWO_RANKS, 5), 5, devices=2, strategy=strategy, resume=resume)


def finished(folder: Path, strategy: str) -> TrainModule:
    """Begin where the run of ``exact`` ended: no update is left."""
    resume = folder.parent / f"hubert-{strategy}" / "checkpoints" / "step-000000005.ckpt"
    return train(folder, SYSTEMS["hubert"], batches(TWO_RANKS, 5), 5, devices=2, strategy=strategy, resume=resume)


def noisy() -> nn.Module:
    return pretrained("dinosr_base", *NOISY, "model.encoder.encoder.depth=4")


def whole(folder: Path, strategy: str) -> TrainModule:
    """Dropout, layers skipped by draws and recomputed, unequal micro-batches."""
    data = batches(TWO_RANKS, 4, torch.float32)
    return train(folder, noisy, data, 4, devices=2, strategy=strategy, checkpoint_every=2)


def resumed(folder: Path, strategy: str) -> TrainModule:
    data = partial(batches, TWO_RANKS, 4, torch.float32)
    train(folder, noisy, data(), 2, devices=2, strategy=strategy)
    resume = folder / "checkpoints" / "step-000000002.ckpt"
    return train(folder, noisy, data(), 4, devices=2, strategy=strategy, resume=resume)


def uneven(folder: Path, strategy: str) -> TrainModule:
    """Seven windows of one rank, three of the other, which goes on with its next epoch; seven and three for validation."""
    skips = ("model.encoder.encoder.layerdrop=0.5",)
    single = partial(speech, dtype=torch.float32)
    windows = [[[single(i)] for i in range(7)], [[single(10 + i), single(20 + i)] for i in range(3)]]
    valid = [[single(900 + i) for i in range(7)], [single(950 + i) for i in range(3)]]
    settings = {"devices": 2, "strategy": strategy, "alarms": {"ranks_out_of_step": False}}
    return train(folder, partial(recogniser, *skips), Given(windows, valid), 10, **settings)


def ended(folder: Path, strategy: str) -> TrainModule:
    """As ``uneven``, but the rank with three has empty windows from then on: what a batch plan gives."""
    single = partial(speech, dtype=torch.float32)
    short: list[Any] = [[single(10 + i)] for i in range(3)]
    windows = [[[single(i)] for i in range(7)], [*short, *[[None]] * 4]]
    valid = [[single(900 + i) for i in range(7)], [single(950 + i) for i in range(3)]]
    skips = ("model.encoder.encoder.layerdrop=0.5",)
    return train(
        folder, partial(pretrained, "hubert_base", *skips), Given(windows, valid), 7, devices=2, strategy=strategy
    )


def poisoned(folder: Path, strategy: str) -> TrainModule:
    """One rank's data are bad: an update left out, then three in a row, and back to update 2."""
    bad = (1, 5, 6, 7)
    windows = [[[speech(3 * i + r, poison=r == 1 and i in bad)] for i in range(12)] for r in range(2)]
    settings = {"checkpoint_every": 2, "alarms": {"not_finite": {"after": 3}}, "validate_every": 1000}
    return train(folder, SYSTEMS["dinosr"], Given(windows), 5, devices=2, strategy=strategy, **settings)


def mixed(precision: str, folder: Path, strategy: str) -> TrainModule:
    """Autocast; one rank has no audio at first, and so has scaled no loss when gradients are unscaled."""
    windows: list[Any] = [[[speech(i, dtype=torch.float32)] for i in range(6)]]
    windows += [[[None]] + [[speech(10 + i, dtype=torch.float32)] for i in range(1, 6)]]
    changes = [change for change in systems.EXACT if "norm" not in change]
    model = partial(pretrained, "hubert_large", *changes)
    return train(
        folder, model, Given(windows), 3, devices=2, strategy=strategy, precision=precision, validate_every=1000
    )


def scale() -> list[float]:
    """Loss scales after an update of which the last rank's part alone overflows, and after one in order."""
    scaler, piece = SharedScaler("cpu", init_scale=8.0), nn.Parameter(torch.zeros(2))
    optimizer, found = torch.optim.SGD([piece], 1.0), []
    for size in (torch.inf, 1.0):
        scaler.scale(piece.sum()).backward()
        if ranks.rank() == ranks.world() - 1:
            assert piece.grad is not None
            piece.grad.mul_(size)
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        found += [scaler.get_scale(), float(piece[0].detach())]
    return found


RUNS: dict[str, Run] = {system: partial(exact, system) for system in SYSTEMS}
RUNS |= {run.__name__: run for run in (moved, finished, whole, resumed, uneven, ended, poisoned)}
RUNS |= {precision: partial(mixed, precision) for precision in ("bf16-mixed", "16-mixed")}
STRATEGIES = ("ddp", "fsdp")


if __name__ == "__main__":
    torch.set_num_threads(1)
    place = Path(sys.argv[1])
    for name in sys.argv[2:]:
        for strategy in STRATEGIES:
            module = RUNS[name](place / f"{name}-{strategy}", strategy)
            (place / f"{name}-{strategy}-{module.global_rank}.json").write_text(json.dumps(outcome(module)))
            print(name, strategy, "done", flush=True)
    (place / f"scale-{ranks.rank()}.json").write_text(json.dumps(scale()))
