"""What it costs that a training can be resumed exactly, as shares of its time.

    python -m tools.bench.resume conf/system/hubert_base.yaml --step-seconds 0.5 --folder DIR

Per update: random generators put back and read, the place in the data moved. Per interval: one checkpoint of the model
with its optimizer's state, random generators and place, copied, written, summed, flushed and renamed. Both must stay
below 2 % of training. No step is taken here: how long one is depends on the device, so it is given.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

from speechunits.config import build, load
from speechunits.data.batch_plan import BatchPlan
from speechunits.data.window_loader import Position
from speechunits.stream import Stream
from speechunits.train.checkpoint import FolderCheckpointIO
from speechunits.train.checkpoint_tree import split
from speechunits.train.random_state import RandomState

LIMIT = 0.02


def timed(do: Callable[[], Any], times: int) -> float:
    """Median seconds of one call, after one that does not count."""
    do()
    found = []
    for _ in range(times):
        start = time.perf_counter()
        do()
        found.append(time.perf_counter() - start)
    return statistics.median(found)


def trained(tree: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint holds of the model and its optimizer after one update."""
    model = build(tree["model"], streams={"units": Stream(Fraction(1, 50), (500,), "random")})
    optimizer = build(tree["optimizer"])(list(model.named_parameters()))
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 1e-3)
    optimizer.step()
    return {"state_dict": model.state_dict(), "optimizer_states": [optimizer.state_dict()]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("system", nargs="+", help="YAML files and key=value, as for recipes.train")
    parser.add_argument("--step-seconds", type=float, required=True, help="of one update")
    parser.add_argument("--interval", type=int, default=5000, help="updates between checkpoints")
    parser.add_argument("--cuts", type=int, default=1_000_000, help="in the simulated manifest")
    parser.add_argument("--folder", help="where checkpoints go; the system's temporary folder by default")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    generators = timed(lambda: RandomState.now(device).apply(device), 200)
    lengths = np.random.default_rng(0).uniform(2, 16, args.cuts)
    plan, position = BatchPlan(lengths, 87.5), Position()
    restore = timed(lambda: plan.epoch(3).batch(plan.windows // 2, 0, 0), 3)
    place = timed(lambda: setattr(position, "window", position.window + 1), 200)

    checkpoint = trained(load(*args.system))
    checkpoint["random"] = RandomState.now(device).tensors()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        path = Path(folder) / "step-000005000.ckpt"
        copied = timed(lambda: split(checkpoint), args.rounds)
        saved = timed(lambda: FolderCheckpointIO().save_checkpoint(checkpoint, path), args.rounds)
        loaded = timed(lambda: FolderCheckpointIO().load_checkpoint(path), args.rounds)
        size = sum(file.stat().st_size for file in path.iterdir())
    shares = {
        "exact resume": (generators + place) / args.step_seconds,
        "checkpoints": saved / (args.interval * args.step_seconds),
    }
    figures = {
        "generators_ms": 1e3 * generators,
        "place_ms": 1e3 * place,
        "checkpoint_gb": size / 1e9,
        "copy_s": copied,
        "save_s": saved,
        "load_s": loaded,
        "plan_of_an_epoch_s": restore,
        **{f"share of {name}": value for name, value in shares.items()},
    }
    print(json.dumps({name: round(value, 6) for name, value in figures.items()}, indent=1))
    if any(value > LIMIT for value in shares.values()):
        raise SystemExit(f"more than {LIMIT:.0%} of training")


if __name__ == "__main__":
    main()
