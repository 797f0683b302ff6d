"""A transducer's loss and its gradient: the ways to sum over alignments, alternating in one process.

Head alone (prediction network, joiner, sum, backward pass), the same weights and frames for all; the full sums must agree to
1e-4 before anything is timed. User time of the process, because machines are shared; compare on one thread. k2 takes part where
it is installed. On a GPU (--device cuda) the wall time and the peak of memory are given too.

    OMP_NUM_THREADS=1 python -m tools.bench.transducer                       # 4 texts of 40 symbols of 500, 8 s each
    python -m tools.bench.transducer --device cuda --batch 32 --dim 512 --rounds 20
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from functools import partial
from resource import RUSAGE_SELF, getrusage

import torch

from speechunits.heads.full_sum import FullSum
from speechunits.heads.pruned_sum import PrunedSum
from speechunits.heads.stateless_predictor import StatelessPredictor
from speechunits.heads.transducer import Transducer
from speechunits.nn import k2
from speechunits.seq import Seq, pad
from speechunits.term import loss

WAYS = {f"full, {by}": partial(FullSum, by) for by in ("torchaudio", "torch", "k2")}
WAYS |= {f"pruned, {by}": partial(PrunedSum, warm=0, by=by) for by in ("torch", "k2")}


def lap(head: Transducer, x: Seq, text: Seq) -> tuple[float, float, float]:
    """User seconds, wall seconds and peak MB on the GPU of one forward and backward pass."""
    cuda = x.data.is_cuda
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    user, wall = getrusage(RUSAGE_SELF).ru_utime, time.perf_counter()
    loss(head(x, text)).backward()
    if cuda:
        torch.cuda.synchronize()
    user, wall = getrusage(RUSAGE_SELF).ru_utime - user, time.perf_counter() - wall
    return user, wall, torch.cuda.max_memory_allocated() / 1e6 if cuda else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = {"batch": 4, "frames": 200, "symbols": 40, "vocab": 500, "dim": 128, "rounds": 5}
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.manual_seed(0)
    lengths = torch.linspace(0.8, 1, args.batch)
    x = pad([torch.randn(int(s * args.frames), args.dim) for s in lengths], None).to(args.device)
    text = pad([torch.randint(args.vocab, (int(s * args.symbols),)) for s in lengths], None).to(args.device)
    heads: dict[str, Transducer] = {}
    for name, way in WAYS.items():
        if "k2" not in name or k2.installed():
            torch.manual_seed(0)
            said = partial(StatelessPredictor, args.dim)
            heads[name] = Transducer(said, args.dim, way, dim=args.dim, vocab=(args.vocab,)).to(args.device)
    first = {name: float(head(x, text)["loss"].value.detach()) for name, head in heads.items()}
    full = [value for name, value in first.items() if name.startswith("full")]
    if max(full) - min(full) > 1e-4 * max(full):
        raise SystemExit(f"the full sums do not agree: {first}")
    laps: dict[str, list[tuple[float, float, float]]] = {name: [] for name in heads}
    for _ in range(args.rounds + 1):
        for name, head in heads.items():
            laps[name].append(lap(head, x, text))
    for name, each in laps.items():
        user, wall, peak = (statistics.median(column) for column in zip(*each[1:], strict=True))
        row = {"way": name, "user_s": round(user, 4), "wall_s": round(wall, 4), "peak_mb": round(peak)}
        print(json.dumps({**row, "nats": round(first[name], 3)}))


if __name__ == "__main__":
    main()
