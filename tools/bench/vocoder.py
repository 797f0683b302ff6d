"""Vocoders: real-time factors of conf/vocoder and of a plain PyTorch HiFi-GAN V1 of the same size, side by side.

    python -m tools.bench.vocoder --threads 1                      # batches of 1 and 8, 5 s each, 5 rounds
    python -m tools.bench.vocoder --threads 2 --shortest 0.5       # lengths from half to whole: what masks cost

The real-time factor is seconds of computing for a second of speech: below 1 is faster than speech. Ours and the plain HiFi-GAN
have the same weights, without weight norm, and must agree to 1e-4 of the largest sample before anything is timed. All take
turns; a ratio is the median over rounds of (plain / this one), with the least and the largest: above 1 is faster than plain.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import torch
from torch import nn

from speechunits.config import build, load
from speechunits.seq import Seq
from tools.bench.plain_hifigan import PlainHiFiGAN, copy_weights

DIM, HOP = 128, Fraction(1, 50)
PLAIN, OURS = "plain HiFi-GAN V1", "hifigan_v1"


def lap(run: Callable[[], object]) -> tuple[float, float]:
    """Seconds of processor (all threads) and of wall time."""
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    return time.process_time() - cpu, time.perf_counter() - wall


def spread(values: list[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


@torch.inference_mode()
def compare(plain: nn.Module, made: dict[str, nn.Module], x: Seq, rounds: int) -> dict[str, list[str]]:
    """Of each vocoder: processor and wall seconds for a second of speech, and both as ratios to the plain one."""
    sides: dict[str, Callable[[], Any]] = {PLAIN: lambda: plain(x.data.transpose(1, 2))}
    sides |= {name: partial(generator, x) for name, generator in made.items()}
    first = {name: run() for name, run in sides.items()}
    if OURS in made:
        ours, other = first[OURS].data[0], first[PLAIN][0, 0]  # of the longest utterance
        if float((ours - other).abs().max()) > 1e-4 * float(other.abs().max()):
            raise SystemExit(f"{OURS} and the {PLAIN} do not agree to 1e-4: no timing of unequal work")
    laps: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for i in range(rounds):
        for name in sides if i % 2 == 0 else reversed(sides):
            laps[name].append(lap(sides[name]))
    speech, rows = float(int(x.lengths.sum()) * HOP), {}
    for name, each in laps.items():
        factors = [spread([t[k] / speech for t in each], 4) for k in (0, 1)]
        rows[name] = factors + [
            spread([p[k] / t[k] for p, t in zip(laps[PLAIN], each, strict=True)], 2) for k in (0, 1)
        ]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocoders", nargs="+", default=[OURS, "istft"], help="files of conf/vocoder")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8], help="utterances")
    parser.add_argument("--seconds", type=float, default=5.0, help="of the longest utterance")
    parser.add_argument("--shortest", type=float, default=1.0, help="share of that which the shortest one has")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    plain = PlainHiFiGAN(DIM).eval()
    nodes = {name: load(f"vocoder/{name}.yaml")["model"]["vocoder"]["generator"] for name in args.vocoders}
    made = {name: build(node, dim=DIM, hop=HOP).eval() for name, node in nodes.items()}
    for generator in made.values():
        generator.fold()
    if OURS in made:
        copy_weights(plain, made[OURS])
    sizes = {name: sum(p.numel() for p in model.parameters()) for name, model in {PLAIN: plain, **made}.items()}
    print(", ".join(f"{name} {size / 1e6:.2f} million parameters" for name, size in sizes.items()))
    print(
        f"{args.threads} thread(s) on {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}\n"
    )
    columns = ("batch", "vocoder", "CPU s / s", "wall s / s", "plain / this, CPU", "plain / this, wall")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for batch in args.batch:
        lengths = (torch.linspace(1, args.shortest, batch) * args.seconds * 50).round().long()
        x = Seq(torch.randn(batch, int(lengths.max()), DIM), lengths, HOP)
        for name, each in compare(plain, made, x, args.rounds).items():
            print(f"| {batch} | {name} | {' | '.join(each)} |", flush=True)


if __name__ == "__main__":
    main()
