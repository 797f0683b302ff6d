"""One HuBERT Base pre-training step, ours against torchaudio's, side by side in one process.

    python -m tools.bench.step --batch 2 --seconds 10 --rounds 5 --threads 1

Both sides get the same audio, labels, mask, weights, dropout 0.1 and no layerdrop, and take forward, loss, backward,
clipping and AdamW. First the losses and the norms of the gradients are shown to be equal with dropout off; only then
are steps timed, alternating, after one step of each that is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import torch
import torch.nn.functional as F
import torchaudio
from torch import Tensor, nn

from speechunits.config import build, load
from speechunits.draws import draws
from speechunits.exchange.names import in_model, to_ours
from speechunits.pretraining import SSLModel
from speechunits.seq import Seq
from speechunits.stream import Stream
from speechunits.term import loss

TOLERANCE = 1e-4  # relative, float32, dropout off


class GivenMask(nn.Module):
    """In the place of torchaudio's MaskGenerator: hides what it is told to (drawing costs it nothing here)."""

    def __init__(self, mask_embedding: nn.Parameter, masked: Tensor) -> None:
        super().__init__()
        self.mask_embedding, self.masked = mask_embedding, masked

    def forward(self, x: Tensor, padding_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        x[self.masked] = self.mask_embedding.to(x.dtype)
        return x, self.masked


def make_batch(model: SSLModel, size: int, seconds: float, classes: int) -> dict[str, Any]:
    samples = torch.full((size,), round(seconds * 16000))
    frames = model.encoder.frontend.frames(samples)
    return {
        "audio": Seq(torch.randn(size, int(samples[0])), samples, Fraction(1, 16000)),
        "units": Seq(torch.randint(classes, (size, int(frames[0]))), frames, Fraction(1, 50)),
        "draws": draws([f"cut-{i}" for i in range(size)]),
    }


def our_loss(model: SSLModel, batch: dict[str, Any]) -> Tensor:
    batch = {**batch, "draws": draws(batch["draws"].ids)}  # drawn anew: nothing is remembered from the step before
    counts = model.counts(batch)
    return loss(model.terms(batch), counts)


def their_loss(model: nn.Module, batch: dict[str, Any]) -> Tensor:
    """examples/hubert/loss/hubert_loss.py over the count of masked frames; the penalty times that count, as fairseq."""
    audio = batch["audio"]
    logit_m, logit_u, penalty = model(audio.data, batch["units"].data, audio.lengths)
    total = penalty * 10.0 * len(logit_m)
    total = total + F.cross_entropy(logit_m, logit_m.new_zeros(len(logit_m), dtype=torch.int64), reduction="sum")
    if logit_u is not None:
        total = total + 0.0 * F.cross_entropy(
            logit_u, logit_u.new_zeros(len(logit_u), dtype=torch.int64), reduction="sum"
        )
    return total / len(logit_m)


def make_models(args: argparse.Namespace) -> tuple[SSLModel, nn.Module, dict[str, Any], Any]:
    tree = load("system/hubert_base.yaml", "model.encoder.encoder.layerdrop=0")
    ours = build(tree["model"], streams={"units": Stream(Fraction(1, 50), (args.classes,), "random")})
    theirs = torchaudio.models.hubert_pretrain_base(num_classes=args.classes, encoder_layer_drop=0.0)
    theirs.logit_generator.skip_nomask = args.skip_unmasked
    ours.load_state_dict(in_model(to_ours(theirs.state_dict())[0]), strict=True)
    batch = make_batch(ours, args.batch, args.seconds, args.classes)
    masked = ours.encoder.frames(batch["audio"], batch["draws"], "mask:0").masked
    theirs.mask_generator = GivenMask(theirs.mask_generator.mask_embedding, masked)
    return ours, theirs, batch, build(tree["optimizer"])


def prove_equal(ours: SSLModel, theirs: nn.Module, batch: dict[str, Any]) -> dict[str, float]:
    """Loss and norm of the gradient of both in float32 without dropout; SystemExit where they differ."""
    found = []
    for model, compute in ((ours.eval(), our_loss), (theirs.eval(), their_loss)):
        value = compute(model, batch)  # type: ignore[operator]
        value.backward()
        norm = torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
        found.append((float(value.detach()), float(norm)))
        model.train().zero_grad()
    for what, mine, other in zip(("loss", "norm of the gradient"), *found, strict=True):
        if abs(mine - other) > TOLERANCE * abs(other):
            raise SystemExit(f"the {what} is {mine} here and {other} in torchaudio: no timing of unequal work")
    return {"loss": found[0][0], "torchaudio_loss": found[1][0], "norm": found[0][1], "torchaudio_norm": found[1][1]}


def stepper(
    model: nn.Module,
    compute: Callable[..., Tensor],
    optimizer: torch.optim.Optimizer,
    batch: dict[str, Any],
    bf16: bool,
) -> Callable[[], dict[str, float]]:
    """A function that takes one step and says what it cost, in seconds."""

    def step() -> dict[str, float]:
        wall, cpu = time.perf_counter(), os.times()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            value = compute(model, batch)
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        optimizer.zero_grad()
        done = os.times()
        return {"wall": time.perf_counter() - wall, "user": done.user - cpu.user, "system": done.system - cpu.system}

    return step


def processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def table(times: dict[str, list[dict[str, float]]], audio_seconds: float) -> str:
    """Markdown; a ratio is the median over rounds of (torchaudio / ours), so above 1 ours is faster."""
    rows = [
        "| | wall s/step, median (min to max) | user CPU s/step | system s/step | audio-s per s |",
        "|---|---|---|---|---|",
    ]
    for name, taken in times.items():
        cells = []
        for key in ("wall", "user", "system"):
            values = [t[key] for t in taken]
            cells.append(f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})")
        rows.append(
            f"| {name} | {' | '.join(cells)} | {audio_seconds / statistics.median(t['wall'] for t in taken):.2f} |"
        )
    for key, quotients in ratios(times).items():
        rows.append(
            f"\ntorchaudio / speechunits, {key}: {statistics.median(quotients):.2f} "
            f"({min(quotients):.2f} to {max(quotients):.2f})"
        )
    return "\n".join(rows)


def ratios(times: dict[str, list[dict[str, float]]]) -> dict[str, list[float]]:
    ours, theirs = times["speechunits"], times["torchaudio"]
    return {key: [b[key] / a[key] for a, b in zip(ours, theirs, strict=True)] for key in ("wall", "user")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=2, help="utterances")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each utterance")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--classes", type=int, default=500)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="bf16: autocast in both")
    parser.add_argument(
        "--skip-unmasked", action="store_true", help="spare torchaudio the logits of unmasked frames, whose weight is 0"
    )
    parser.add_argument("--json", help="also write all times there")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)

    ours, theirs, batch, adamw = make_models(args)
    equal = prove_equal(ours, theirs, batch)
    print(
        f"equal with dropout off: loss {equal['loss']:.5f} and {equal['torchaudio_loss']:.5f}, norm of the gradient "
        f"{equal['norm']:.4f} and {equal['torchaudio_norm']:.4f} (relative tolerance {TOLERANCE})",
        flush=True,
    )
    bf16 = args.precision == "bf16"
    reference = torch.optim.AdamW(theirs.parameters(), lr=5e-4, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.01)
    sides = {
        "speechunits": stepper(ours, our_loss, adamw(ours.named_parameters()), batch, bf16),
        "torchaudio": stepper(theirs, their_loss, reference, batch, bf16),
    }
    for step in sides.values():
        step()
    times: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for i in range(args.rounds):
        for name in sides if i % 2 == 0 else reversed(sides):
            times[name].append(sides[name]())

    setting = (
        f"HuBERT Base step, {args.batch} x {args.seconds:g} s, K={args.classes}, {args.precision}, {args.threads} thread(s), "
        f"{args.rounds} rounds, torchaudio scores {'masked' if args.skip_unmasked else 'all'} frames; torch "
        f"{torch.__version__}, torchaudio {torchaudio.__version__}; {processor()}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f}"
    )
    print(f"\n{setting}\n\n{table(times, args.batch * args.seconds)}")
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"setting": setting, "equal": equal, "times": times, "ratios": ratios(times)}, file, indent=2)


if __name__ == "__main__":
    main()
