"""Throughput of several ranks on the CPU against one, on the same global batch.

    python -m tools.bench.ranks --ranks 2 --rounds 5 --updates 6 --seconds 10

A round trains one process, then ``ranks`` of them under each strategy, each anew and on the same made-up speech: every
update hears ``batch`` utterances for each rank, which one process takes as so many micro-batches. The first update, in
which memory is allocated, is not counted. Losses must agree, or nothing is reported.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from torch.utils.data import DataLoader

from speechunits.config import build, load
from speechunits.draws import draws
from speechunits.errors import UserError
from speechunits.seq import Seq
from speechunits.stream import Stream
from speechunits.train.module import TrainModule
from speechunits.train.optim import adamw
from speechunits.train.trainer import build_trainer

CODES = 100
RANDOM = ("encoder.dropout", "encoder.attention_dropout", "encoder.layerdrop", "projection.dropout")
STILL = [f"model.encoder.{key}=0" for key in RANDOM]  # each rank draws its own


class MadeUp(lightning.LightningDataModule):
    """The same speech for every number of ranks."""

    def __init__(self, args: argparse.Namespace, frontend: Any) -> None:
        super().__init__()
        self.args, self.frontend = args, frontend

    def batch(self, number: int) -> dict[str, Any]:
        g = torch.Generator().manual_seed(number)
        samples = torch.full((self.args.batch,), round(self.args.seconds * 16000))
        frames = self.frontend.frames(samples)
        return {
            "audio": Seq(torch.randn(self.args.batch, int(samples[0]), generator=g), samples, Fraction(1, 16000)),
            "units": Seq(torch.randint(CODES, (self.args.batch, int(frames[0])), generator=g), frames, Fraction(1, 50)),
            "draws": draws([f"{number}-{i}" for i in range(self.args.batch)]),
        }

    def train_dataloader(self) -> DataLoader[Any]:
        ranks, rank = self.trainer.world_size, self.trainer.global_rank
        mine = range(rank, self.args.ranks, ranks)
        windows = [[self.batch(self.args.ranks * u + i) for i in mine] for u in range(self.args.updates + 1)]
        return DataLoader(windows, batch_size=None)  # type: ignore[arg-type]


class Clock(lightning.Callback):
    """When each update was complete, by the figures that every row has."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.losses: list[float] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        self.times.append(time.perf_counter())
        self.losses.append(pl_module.figures["train/loss"])


def work(args: argparse.Namespace) -> None:
    """One training; rank 0 writes its speed."""
    torch.set_num_threads(args.threads)
    lightning.seed_everything(0, verbose=False)
    tree = load("system/hubert_base.yaml", f"size/{args.size}.yaml", *STILL) if args.size else load(
        "system/hubert_base.yaml", *STILL
    )  # fmt: skip
    model = build(tree["model"], streams={"units": Stream(Fraction(1, 50), (CODES,), "random")})
    module = TrainModule(model, partial(adamw, lr=1e-4), clip=10.0, log_every=1)
    clock = Clock()
    settings = {
        "devices": 1 if args.work == "one" else args.ranks,
        "strategy": "fsdp" if args.work == "fsdp" else "ddp",
    }
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(
            args.updates + 1, accelerator="cpu", checkpoint_every=10**9, folder=folder, callbacks=[clock], **settings
        )
        trainer.fit(module, datamodule=MadeUp(args, model.encoder.frontend))
    if trainer.is_global_zero:
        heard = args.updates * args.ranks * args.batch * args.seconds
        speed = heard / (clock.times[-1] - clock.times[0])
        Path(args.out).write_text(json.dumps({"speed": speed, "losses": clock.losses}))


def measure(how: str) -> dict[str, Any]:
    """The same command line in processes of its own."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        clean = {k: v for k, v in os.environ.items() if k not in ("LOCAL_RANK", "RANK", "WORLD_SIZE", "NODE_RANK")}
        command = [sys.executable, "-m", "tools.bench.ranks", *sys.argv[1:], "--work", how, "--out", str(out)]
        done = subprocess.run(command, env=clean, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(f"the training of {how} failed: {done.stderr[-2000:]}")
        return json.loads(out.read_text())  # type: ignore[no-any-return]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--updates", type=int, default=6, help="counted in each training")
    parser.add_argument("--batch", type=int, default=2, help="utterances of a rank and update")
    parser.add_argument("--seconds", type=float, default=10.0, help="of an utterance")
    parser.add_argument("--size", default="", help="toy or demo (conf/size); none = HuBERT Base")
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--work", choices=["one", "ddp", "fsdp"], help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        return work(args)
    found: dict[str, list[float]] = {"one": [], "ddp": [], "fsdp": []}
    for number in range(args.rounds):
        losses = {}
        for how, speeds in found.items():
            result = measure(how)
            speeds.append(result["speed"])
            losses[how] = result["losses"]
            print(f"round {number + 1}: {how} {result['speed']:.2f} audio-s/s", file=sys.stderr, flush=True)
        for how, values in losses.items():
            worst = max(abs(a - b) / abs(a) for a, b in zip(losses["one"], values, strict=True))
            if worst > 1e-3:
                raise SystemExit(f"the losses of {how} differ from those of one process by {worst:.1e}: unequal work")
    print("| | audio-s per s, median (min to max) | against one process, median over rounds |\n|---|---|---|")
    for how, speeds in found.items():
        name = "1 process" if how == "one" else f"{args.ranks} ranks, {how}"
        ratio = statistics.median(a / b for a, b in zip(speeds, found["one"], strict=True))
        print(f"| {name} | {statistics.median(speeds):.2f} ({min(speeds):.2f} to {max(speeds):.2f}) | {ratio:.2f} |")


if __name__ == "__main__":
    main()
