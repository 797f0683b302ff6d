"""Time and memory of starting and restoring on a large manifest: python -m tools.bench.data --cuts 1000000

Writes a manifest of so many cuts (10.8 s on average: 20 million are 60,000 h) that share one file of noise, indexes it,
and takes the first batch of training: at the beginning of epoch 0, and restored in the middle of it. Every figure comes
from a process of its own. Reads and writes below ``--folder``, about 330 bytes per cut; delete it afterwards.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

LONGEST = 20.0


def write_manifest(folder: Path, cuts: int) -> dict[str, Any]:
    import soundfile

    noise = folder / "noise.wav"
    soundfile.write(noise, np.random.default_rng(0).normal(0, 0.1, int(LONGEST * 16000)), 16000)
    source = {"type": "file", "channels": [0], "source": str(noise)}
    recording = {"id": "noise", "sources": [source], "sampling_rate": 16000, "num_samples": int(LONGEST * 16000)}
    rest = {"channel": 0, "supervisions": [], "recording": {**recording, "duration": LONGEST, "channel_ids": [0]}}
    tail = json.dumps({**rest, "type": "MonoCut"})[1:].encode() + b"\n"
    random = np.random.default_rng(1)
    with open(folder / "cuts.jsonl", "wb") as f:
        for first in range(0, cuts, 100_000):
            milliseconds = random.integers(1600, 20_000, 100_000)
            f.writelines(
                b'{"id": "book-%08d", "start": 0.0, "duration": %d.%03d, ' % (i, x // 1000, x % 1000) + tail
                for i, x in enumerate(milliseconds[: cuts - first].tolist(), first)
            )
    return {}


def build_index(folder: Path, cuts: int) -> dict[str, Any]:
    from speechunits.data.cuts import open_cuts

    assert len(open_cuts(folder / "cuts.jsonl")) == cuts
    return {}


def first_batch(folder: Path, window: int, workers: int) -> dict[str, Any]:
    """The first batch from ``window`` of epoch 0 on, as one rank of a training gets it."""
    from speechunits.data.fields import AudioField
    from speechunits.data.transforms import Crop
    from speechunits.train.datamodule import SpeechDataModule

    clock, busy = [time.monotonic()], time.process_time()
    data = SpeechDataModule(
        str(folder / "cuts.jsonl"), {"audio": AudioField()}, 87.5, transforms=[Crop(15.6)], num_workers=workers
    )
    state = folder / "state.json"
    if window:
        data.load_state_dict(json.loads(state.read_text()))
    _ = data.train_set
    clock.append(time.monotonic())
    loader = data.train_dataloader()
    clock.append(time.monotonic())
    batches = iter(loader)
    ((batch,),) = [next(batches)]
    clock.append(time.monotonic())
    if not window:
        data.position.window = 100_000 if len(loader) > 100_000 else len(loader) // 2
        state.write_text(json.dumps(data.state_dict()))
    index, plan, first = np.diff(clock).round(2).tolist()
    private = [_private(process.pid) for process in getattr(loader.batches._loader._iterator, "_workers", [])]
    return {
        "open_s": index, "plan_s": plan, "epoch_and_batch_s": first, "total_s": round(clock[-1] - clock[0], 2),
        "cpu_s": round(time.process_time() - busy, 2),
        "windows": len(loader), "worker_private_mb": max(private, default=0), "ids": batch["ids"],
    }  # fmt: skip


def _private(pid: int) -> int:
    """MB that a process shares with no other."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private")) // 1024


def child(*arguments: str) -> dict[str, Any]:
    """One stage in a fresh process."""
    command = [sys.executable, "-m", "tools.bench.data", *arguments]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path("exp/bench"))
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2])
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    parser.add_argument("--window", type=int, default=0, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    common = ["--folder", str(asked.folder), "--cuts", str(asked.cuts)]
    if asked.stage is None:
        asked.folder.mkdir(parents=True, exist_ok=True)
        for stage in ("manifest", "index"):
            print(stage, json.dumps(child(*common, "--stage", stage)), flush=True)
        for window, name in ((0, "start"), (1, "restore")):
            seen = set()
            for workers in asked.workers:
                row = child(*common, "--stage", "batch", "--window", str(window), "--workers", str(workers))
                seen.add(tuple(row.pop("ids")))
                print(name, f"workers={workers}", json.dumps(row), flush=True)
            assert len(seen) == 1, "another number of workers, another batch"
        return
    begin = time.monotonic()
    if asked.stage == "manifest":
        row = write_manifest(asked.folder, asked.cuts)
    elif asked.stage == "index":
        row = build_index(asked.folder, asked.cuts)
    else:
        row = first_batch(asked.folder, asked.window, asked.workers[0])
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu, wall = used.ru_utime + used.ru_stime, time.monotonic() - begin
    row |= {
        "peak_rss_mb": used.ru_maxrss // 1024,
        "with_imports_s": round(wall, 1),
        "with_imports_cpu_s": round(cpu, 1),
    }
    print(json.dumps(row))


if __name__ == "__main__":
    main()
