"""Seconds of speech that a second of training takes in, by what the recogniser hears, with one encoder.

    python -m tools.bench.inputs units=A.yaml fbank=B.yaml --common data.train=cuts.jsonl.gz ... --rounds 3 --updates 5

Every training is built from its YAML file (a whole one, as egs/demo/asr/units.yaml, or several joined by commas, as
conf/asr/joint.yaml,conf/input/fbank.yaml; key=value may stand there too) and the key=value of --common. The same windows of the
batch plan are loaded first; then forward and backward passes and optimizer steps of all trainings take turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from itertools import islice
from typing import Any

import torch

from speechunits.config import build, load
from speechunits.term import loss


class Training:
    """One recogniser, its optimizer and the windows that it learns from."""

    def __init__(self, sources: list[str], updates: int) -> None:
        tree = load(*sources)
        data = build(tree["data"], at="data")
        torch.manual_seed(0)
        self.model = build(tree["model"], at="model", streams=data.streams).train()
        self.optimizer = build(tree["optimizer"])(list(self.model.named_parameters()))
        begin = time.perf_counter()
        self.windows: list[list[Any]] = list(islice(iter(data.train_dataloader()), updates))
        self.seconds = sum(float(batch["seconds"].sum()) for window in self.windows for batch in window)
        self.loading = self.seconds / (time.perf_counter() - begin)
        self.frames = sum(int(self.model.lengths(batch).sum()) for window in self.windows for batch in window)

    def speed(self) -> float:
        """Seconds of speech a second of processor time, without loading."""
        begin = time.process_time()
        for window in self.windows:
            for batch in window:
                loss(self.model.terms(batch)).backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
        return self.seconds / (time.process_time() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "trainings",
        nargs="+",
        help="NAME=FILE.yaml[,FILE.yaml,key=value ...]; the last one is what others are compared to",
    )
    parser.add_argument("--common", nargs="*", default=[], help="key=value for all of them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--updates", type=int, default=5, help="in a round")
    args = parser.parse_args()
    torch.set_num_threads(1)
    pairs = [each.split("=", 1) for each in args.trainings]
    made = {name: Training([*files.split(","), *args.common], args.updates) for name, files in pairs}
    if len({round(training.seconds, 3) for training in made.values()}) > 1:
        raise SystemExit("the trainings have different windows: give all of them the same cuts and limits")
    found: dict[str, list[float]] = {name: [] for name in made}
    for training in made.values():  # does not count: memory is asked for
        training.speed()
    for _ in range(args.rounds):
        for name, training in made.items():
            found[name].append(training.speed())
    last = found[pairs[-1][0]]
    print(
        f"| input | frames/s | speech s per processor s, median (min to max) | against {pairs[-1][0]} | loading alone |"
    )
    print("|---|---|---|---|---|")
    for name, speeds in found.items():
        ratio = statistics.median(a / b for a, b in zip(speeds, last, strict=True))
        rate = f"{statistics.median(speeds):.0f} ({min(speeds):.0f} to {max(speeds):.0f})"
        training = made[name]
        print(f"| {name} | {training.frames / training.seconds:.1f} | {rate} | {ratio:.2f} | {training.loading:.0f} |")


if __name__ == "__main__":
    main()
