"""Searches: seconds of processor and of wall time for a batch of utterances, and their real-time factor.

Frames are noise of 25 Hz, and heads are untrained but for a blank that is mostly right, as it is in trained ones; what heads
cost themselves is part of the figure. On a GPU read the wall time.

    OMP_NUM_THREADS=1 python -m tools.bench.search                        # 16 utterances of 20 s, 32 and 2000 symbols
    python -m tools.bench.search --device cuda --utterances 64 --vocab 2000
"""

from __future__ import annotations

import argparse
import time
from fractions import Fraction

import torch
from torch import nn

from speechunits.config import build, conf_root, load
from speechunits.heads.attention_decoder import AttentionDecoder
from speechunits.heads.ctc import CTC
from speechunits.heads.transducer import Transducer
from speechunits.seq import Seq

DIM, RATE = 256, 25
SEARCHES = {
    "greedy": [],
    "ctc_beam": [],
    "joint_beam": ["model.search.longest=0.15"],  # an untrained decoder would never end
    "transducer_greedy": [],
    "transducer_beam": [],
}


def heads(vocab: int, device: str) -> dict[str, nn.Module]:
    torch.manual_seed(0)
    made = {
        "ctc": CTC(dim=DIM, vocab=(vocab,)),
        "attention": AttentionDecoder(depth=6, ffn=1024, heads=4, dim=DIM, vocab=(vocab,)),
        "transducer": Transducer(dim=DIM, vocab=(vocab,)),
    }
    made["ctc"].linear.weight.data *= 4  # xavier's logits are nearly even
    with torch.no_grad():
        x = torch.randn(4000, DIM)
        for name, bias in (("ctc", made["ctc"].linear.bias), ("transducer", made["transducer"].joiner.out.bias)):
            for _ in range(30):  # until the blank is the likeliest in 88 of 100 frames
                bias[-1] += 1.0 if share_of_blanks(made[name], x) < 0.88 else -0.3
    return {name: head.to(device).eval() for name, head in made.items()}


def share_of_blanks(head: nn.Module, x: torch.Tensor) -> float:
    if isinstance(head, CTC):
        scores = head.scores(Seq(x[None], torch.tensor([len(x)]), None)).data[0]
    else:
        out, _ = head.advance(head.begin(len(x), x.device), torch.full((len(x),), head.blank))
        scores = head.join(head.listen(x), out)
    return float((scores.argmax(-1) == head.vocab[0]).float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--utterances", type=int, default=16)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--vocab", type=int, nargs="+", default=[32, 2000])
    parser.add_argument("--only", nargs="+", choices=SEARCHES, default=list(SEARCHES))
    args = parser.parse_args()
    speech, frames = args.utterances * args.seconds, args.seconds * RATE
    print(f"{'symbols':>7} {'search':20} {'cpu s':>7} {'wall s':>7} {'cpu s / s':>9} {'symbols / s':>11}")
    for vocab in args.vocab:
        made = heads(vocab, args.device)
        data = torch.randn(args.utterances, frames, DIM, generator=torch.Generator().manual_seed(1)).to(args.device)
        x = Seq(data, torch.full((args.utterances,), frames, device=args.device), Fraction(1, RATE))
        for name in args.only:
            file = str(conf_root() / "search" / f"{name}.yaml")
            search = build(load(file, *SEARCHES[name])["model"]["search"])
            if args.device != "cpu":
                search(made, dict.fromkeys(made, x))  # warm up
            cpu, wall = time.process_time(), time.perf_counter()
            found = search(made, dict.fromkeys(made, x))
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            said = sum(len(each[0].ids) for each in found)
            print(f"{vocab:7} {name:20} {cpu:7.2f} {wall:7.2f} {cpu / speech:9.4f} {said / speech:11.2f}", flush=True)


if __name__ == "__main__":
    main()
