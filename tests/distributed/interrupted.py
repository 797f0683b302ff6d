"""A training of two ranks that takes long enough to be struck in its midst, and what it has left so far."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from tests.recipes.toy import train_arguments

STEPS = 12
INTERVAL = 4  # of checkpoints, as train_arguments has it


def line(units: Path, out: Path, *more: str) -> list[str]:
    """The end of the command on each of two machines: the recipe and its arguments."""
    slow = ["data.fields.audio._target_=tests.recipes.slow_parts.SlowAudio", "data.num_workers=1"]
    options = [f"trainer.max_steps={STEPS}", "trainer.nodes=2", *slow, *more]
    return ["-m", "recipes.train", *train_arguments(units, out, *options)]


def steps(out: Path) -> list[int]:
    """The updates in the table of figures."""
    table = out / "metrics.csv"
    return [int(row.split(",")[0]) for row in table.read_text().splitlines()[1:]] if table.is_file() else []


def saved(out: Path) -> list[int]:
    """The updates of which there is a checkpoint."""
    return sorted(int(path.name[5:14]) for path in (out / "checkpoints").glob("step-*.ckpt"))


def said(*logs: Path) -> str:
    return "\n".join(f"--- {log.name}\n{log.read_text()}" for log in logs if log.is_file())


def same(a: Path, b: Path) -> bool:
    """Whether two trainings left the same weights, bit for bit."""
    x, y = (load_file(out / "encoder" / "weights.safetensors") for out in (a, b))
    return x.keys() == y.keys() and all(torch.equal(x[name], y[name]) for name in x)
