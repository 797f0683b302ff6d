"""Trackers of several ranks, killed and resumed: rank 0 alone speaks to them, and the run stays one run."""

from __future__ import annotations

import signal
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.distributed.killable import arguments, last_row, start_ranks
from tests.recipes.test_train import figures
from tests.recipes.toy import write_corpus

pytestmark = pytest.mark.slow
BLOCK = 2**15  # bytes


def records(file: Path) -> Iterator[bytes]:
    """What an offline run holds and `wandb sync` sends: LevelDB's log format behind a header of 7 bytes."""
    data, at, part = file.read_bytes(), 7, b""
    assert data.startswith(b":W&B")
    while at + 7 <= len(data):
        left = BLOCK - at % BLOCK
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        part += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last of several parts
            yield part
            part = b""


def test_two_ranks_are_one_run_also_after_resuming(tmp_path: Path) -> None:
    from wandb.proto.wandb_internal_pb2 import Record

    corpus, out = write_corpus(tmp_path / "corpus"), tmp_path / "run"
    more = ["data.accumulate=1", "data.num_workers=1", "loggers.wandb._target_=speechunits.train.loggers.wandb"]
    more.append("loggers.tensorboard._target_=speechunits.train.loggers.tensorboard")
    for life, steps in enumerate((400, 12)):
        own = arguments(corpus, out, *more, f"trainer.max_steps={steps}")
        ranks = start_ranks([own, own], tmp_path)
        while life == 0 and last_row(out) < 5:
            assert all(rank.is_alive() for rank in ranks), (tmp_path / "said-0.txt").read_text()[-3000:]
            time.sleep(0.05)
        if life == 0:
            ranks[0].terminate()  # SIGTERM: saves and ends
        for rank in ranks:
            rank.join(200)
        wanted = 0 if life else 128 + signal.SIGTERM
        assert [rank.exitcode for rank in ranks] == [wanted] * 2, (tmp_path / "said-0.txt").read_text()[-3000:]
    name = (out / "wandb.id").read_text().strip()
    runs = sorted((out / "wandb").glob("offline-run-*"))
    assert len(runs) == 2 and all(run.name.endswith(name) for run in runs), "a folder each time, all of one run"
    steps = []
    for run in runs:
        for data in records(next(run.glob("*.wandb"))):
            record = Record.FromString(data)
            assert not record.HasField("run") or record.run.run_id == name
            for item in record.history.item:
                if [item.key, *item.nested_key][-1] == "trainer/global_step":
                    steps.append(int(float(item.value_json)))
    assert set(steps) == set(range(1, 13)), "what `wandb sync` sends"
    assert len(list((out / "tensorboard").glob("events.*"))) == 2, "rank 0 alone, once in each part"
    assert [row["step"] for row in figures(out)] == [str(step) for step in range(1, 13)]
    table = (out / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"system/ram_gb", "system/checkpoint_seconds", "train/loader_wait"} <= set(table)
