"""build_trainer: Lightning's Trainer with the house's clock, strategy, checkpoints and progress."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import Strategy

from speechunits.errors import UserError
from speechunits.train.alarms.standard import standard_alarms
from speechunits.train.callbacks.keep_checkpoints import KeepCheckpoints
from speechunits.train.callbacks.last_words import LastWords
from speechunits.train.callbacks.name_impossible import NameImpossible
from speechunits.train.callbacks.progress_line import ProgressLine
from speechunits.train.callbacks.stop import Stop
from speechunits.train.callbacks.validate_every import ValidateEvery
from speechunits.train.checkpoint import FolderCheckpointIO
from speechunits.train.launch import plugins
from speechunits.train.loader_clock import LoaderClock
from speechunits.train.precision import precision_plugin
from speechunits.train.sharded import WindowFSDP
from speechunits.train.strategy import WindowDDP


def build_trainer(
    max_steps: int | None = None,
    max_seconds: float | None = None,
    accelerator: Literal["auto", "cpu", "gpu"] = "auto",
    devices: int | str = 1,
    nodes: int = 1,
    strategy: Literal["ddp", "fsdp"] = "ddp",
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true",
    validate_every: int = 5000,
    validate_batches: int | None = None,
    checkpoint_every: int = 5000,
    keep_last: int | None = 2,
    best: str | None = None,
    largest_is_best: bool = False,
    deterministic: bool = False,
    backend: str | None = None,
    start: Literal["popen", "spawn", "fork"] = "popen",
    timeout: float = 600.0,
    alarms: Mapping[str, Any] | None = None,
    *,
    folder: str | Path,
    loggers: Sequence[Logger] = (),
    callbacks: Sequence[Callback] = (),
) -> Trainer:
    """A Trainer for a ``WindowModule`` whose limits and intervals are completed updates (``module.step``).

    Args:
        max_steps: updates of the whole run.
        max_seconds: training time of the whole run; one of the two must be given.
        devices: processes on each node; "auto" = every GPU (one process on a CPU).
        nodes: machines, as started by srun or torchrun.
        strategy: of several processes: "ddp" = each has the whole model, "fsdp" = each keeps a share of its blocks
            (``WindowFSDP``); their checkpoints are alike.
        precision: master weights stay float32 with the mixed ones.
        validate_every: updates; there is one validation more at the end.
        validate_batches: at most so many validation batches on each rank, 0 = no validation; None = all.
        checkpoint_every: updates between two ``step-*.ckpt``; the newest ``keep_last`` stay.
        best: a validation figure (``valid/loss``) whose best value is kept as ``best.ckpt``.
        backend: torch.distributed's; None = nccl on GPUs, gloo on CPUs.
        start: how the processes of this node start; "popen" runs the script again for each ("fsdp" has no other).
        timeout: seconds that ranks wait for each other before the run ends: at the start, in an update, for a checkpoint or
            validation of another rank. A rank that dies is noticed at once by gloo; by nccl after this time, unless the
            launcher ends all (torchrun and Lightning on one machine; srun with --kill-on-bad-exit).
        alarms: changes to the alarms that are on by default, see ``train.alarms.standard``: ``{"not_finite": {"after": 5},
            "loader_starvation": False}``.
        folder: of the run; checkpoints go to its ``checkpoints/``.

    Raises:
        UserError: neither limit is given, no such device is there, the strategy does not start so, or other processes were
            started than these.
    """
    if max_steps is None and max_seconds is None:
        raise UserError("trainer: without max_steps and max_seconds training would never end; give one of them")
    if accelerator == "gpu" and not torch.cuda.is_available():
        raise UserError("trainer.accelerator=gpu: this machine has no usable GPU; give trainer.accelerator=cpu")
    cuda = accelerator != "cpu" and torch.cuda.is_available()
    count = (torch.cuda.device_count() if cuda else 1) if devices == "auto" else int(devices)
    several: Strategy | str = "auto"
    sharded = count * nodes > 1 and strategy == "fsdp"
    if sharded and start != "popen":
        raise UserError(
            f"trainer.start={start}: processes of trainer.strategy=fsdp start by popen alone; give trainer.start=popen"
        )
    patience = timedelta(seconds=timeout)
    if sharded:
        several = WindowFSDP(count * nodes, backend, patience)
    elif count * nodes > 1:
        several = WindowDDP(process_group_backend=backend, start_method=start, timeout=patience)
    # by this variable of some shell or library Lightning would seed all ranks alike, after the run has seeded itself
    os.environ.pop("PL_GLOBAL_SEED", None)
    # its greetings (which accelerators there are, which products to try) hide what a run has to say
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", "The `srun` command is available on your system but is not used")
    warnings.filterwarnings("ignore", "You defined a `validation_step` but have no `val_dataloader`")
    warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.* is deprecated")  # lightning's own
    warnings.filterwarnings("ignore", r"Found \d+ module\(s\) in eval mode at the start of training")  # teachers
    stop = Stop(max_steps, max_seconds)
    show, watch = [ProgressLine(max_steps), NameImpossible()], standard_alarms(alarms)
    keep = KeepCheckpoints(Path(folder) / "checkpoints", checkpoint_every, keep_last, best, largest_is_best)
    return Trainer(
        accelerator="gpu" if cuda else "cpu",
        devices=count,
        num_nodes=nodes,
        strategy=several,
        logger=list(loggers) or False,
        callbacks=[stop, ValidateEvery(validate_every), *show, *watch, *callbacks, LastWords(), keep],
        plugins=[
            FolderCheckpointIO(),
            precision_plugin(precision, "cuda" if cuda else "cpu", sharded),
            *plugins(count, nodes),
        ],
        inference_mode=not sharded,  # what a block gathers there could not be trained with later
        profiler=LoaderClock(),
        default_root_dir=folder,
        max_epochs=-1,
        check_val_every_n_epoch=None,
        val_check_interval=2**62,
        log_every_n_steps=1,  # WindowModule.log_every decides
        limit_val_batches=1.0 if validate_batches is None else validate_batches,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        deterministic=deterministic,
    )
