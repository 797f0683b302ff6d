"""A small self-distilled training as processes of their own, which tests kill. Used by test_chaos.py and test_faults.py."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import torch
from lhotse.cut import Cut
from torch import Tensor

from recipes.train import train
from speechunits import recipe
from speechunits.config import dump
from speechunits.data.fields.audio_field import AudioField
from speechunits.train.checkpoint import FolderCheckpointIO, newest_whole
from tests.recipes.toy import ROOT, Corpus

EVERY = 3
DINOSR = {
    "include": ["system/dinosr_base.yaml", "size/toy.yaml"],
    "model": {
        "encoder": {
            "frontend": {"_target_": "speechunits.frontends.log_mel.LogMel", "bands": 20, "hop": "1/50"},
            "encoder": {"dim": 16, "ffn": 32, "positions": {"depth": 2, "kernel": 3}},
        },
        "teacher": {"decay": 0.9, "end_decay": 0.99, "anneal_steps": 50, "freeze_step": 80},
        "objectives": {"units": {"target": {"top": 2, "quantizer": {"size": 6}}}},
    },
    "data": {"max_seconds": 2.0, "min_duration": 0.1, "num_workers": 2, "accumulate": 2},
    "optimizer": {"lr": 1e-2},
    "schedule": {"warmup": 2, "hold": 60, "decay": 60},
    "trainer": {
        "_target_": "speechunits.train.trainer.build_trainer",
        "accelerator": "cpu",
        "validate_every": 10,
        "checkpoint_every": EVERY,
        "best": "valid/loss",
        "alarms": {"loader_starvation": False},  # the only one that looks at a clock
    },
    "loggers": {"csv": {"_target_": "speechunits.train.loggers.csv"}},
    "log_every": 1,
}


def arguments(corpus: Corpus, out: Path, *overrides: str) -> list[str]:
    """Of ``recipes.train``: DinoSR in the shape of DinoSR, with dropout, a thousand times smaller."""
    path = corpus.folder / "dinosr.yaml"
    path.write_text(dump(DINOSR))
    slow = "data.fields.audio._target_=tests.recipes.slow_parts.SlowAudio"
    return [str(path), f"out={out}", f"data.train={corpus.train}", f"data.valid={corpus.valid}", slow, *overrides]


def run(arguments: Sequence[str]) -> dict[str, Any]:
    """In this process."""
    return recipe.run(train, list(arguments))


class BrokenAudio(AudioField):
    """A part with a bug that shows on the second machine alone, after some utterances."""

    def load(self, cut: Cut) -> Tensor:
        if os.environ["NODE_RANK"] == "1" and "train4" in cut.id:
            raise KeyError("a bug")
        return super().load(cut)


def _live(arguments: Sequence[str], said: Path, folder: Path, environment: Mapping[str, str]) -> None:
    os.environ.update(environment)
    os.chdir(folder)
    out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    torch.set_num_threads(1)
    sys.argv = ["recipes.train", *arguments]
    try:
        recipe.main(train)
    finally:
        atexit._run_exitfuncs()  # multiprocessing leaves without them, and W&B writes its last figures there


def start(
    arguments: Sequence[str], said: Path, folder: Path = ROOT, environment: Mapping[str, str] | None = None
) -> ForkServerProcess:
    """``python -m recipes.train arguments`` in ``folder``, in a process of its own; what it says goes to the file ``said``.

    It is forked from a clean process that has done nothing but import: as real as any other, and there in a tenth of
    a second instead of ten.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.distributed.killable"])
    process = context.Process(target=_live, args=(list(arguments), said, folder, environment or {}))
    process.start()
    return process


def start_ranks(
    each: Sequence[Sequence[str]], said: Path, folders: Sequence[Path] = (ROOT, ROOT)
) -> list[ForkServerProcess]:
    """One rank a machine, as somebody starts them by hand: nobody watches them, so each must end by itself."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    ranks = []
    for rank, own in enumerate(each):
        place = {"NODE_RANK": str(rank), "LOCAL_RANK": "0", "WORLD_SIZE": str(len(each)), "MASTER_PORT": port}
        more = ["trainer.devices=1", f"trainer.nodes={len(each)}"]
        where = {**place, "MASTER_ADDR": "127.0.0.1"}
        ranks.append(start([*own, *more], said / f"said-{rank}.txt", folders[rank], where))
    return ranks


def last_row(out: Path) -> int:
    """The last update in the table of figures, 0 before there is any."""
    table = out / "metrics.csv"
    lines = table.read_text().splitlines()[1:] if table.exists() else []
    return int(lines[-1].split(",")[0]) if lines else 0


def saved(out: Path) -> int:
    """The update of the newest whole checkpoint, 0 before there is any."""
    found = newest_whole(out / "checkpoints")
    return FolderCheckpointIO().load_checkpoint(found)["speechunits"]["step"] if found else 0


def everything(out: Path) -> dict[str, Any]:
    """The newest checkpoint: weights, teacher, codebooks, optimizer, schedule, random states, place in the data. Not the
    seconds that it took, nor Lightning's own counters, which begin anew with each process and which nothing reads."""
    found = newest_whole(out / "checkpoints")
    assert found is not None
    tree = FolderCheckpointIO().load_checkpoint(found)
    assert tree["callbacks"].pop("Stop").keys() == {"seconds"}
    del tree["epoch"], tree["global_step"]
    return tree


def hidden(out: Path) -> list[str]:
    """Checkpoints that are being written, or whose writing was ended by force."""
    return [path.name for path in (out / "checkpoints").glob(".*.ckpt.*") if not path.name.endswith(".old")]
