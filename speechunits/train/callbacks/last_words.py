"""LastWords: a rank whose training fails says who and where it is, and which other ranks failed or fell silent."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from subprocess import Popen
from typing import Any

import torch.distributed as dist
from lightning.pytorch import Callback, LightningModule, Trainer

from speechunits import ranks
from speechunits.errors import UserError
from speechunits.train.window import empty

log = logging.getLogger(__name__)

ADVICE = "the same command goes on from the newest checkpoint"
COLLECTIVE = "a collective failed"


class LastWords(Callback):
    """One sentence in the log, and below the traceback, about an exception that ends training.

    It names rank, host, update and the utterances at hand. What a rank failed of, it leaves in the store through which the
    ranks met; those whose collective then broke or timed out wait a moment, read it, and name the rank that is to blame: by
    its own words, or because it has none, being killed, stopped or cut off. Processes that this one started are ended,
    unless it is a ``UserError``, which ranks mostly meet alike.

    Args:
        wait: seconds for others to speak.
    """

    def __init__(self, wait: float = 5.0) -> None:
        self.wait = wait
        self._hosts: list[str] = []
        self._ids: list[str] = []
        self._doing = "before the first update"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._hosts = ranks.gather_objects(socket.gethostname())

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._ids = [name for part in batch if not empty(part) for name in part.get("ids", ())]
        self._doing = "training on"

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        self._doing = "after training on"  # a checkpoint, a validation, the loader

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self._ids = [] if empty(batch) else list(batch.get("ids", ()))
        self._doing = "validating"

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if isinstance(exception, (SystemExit, KeyboardInterrupt)):
            return
        reason = (str(exception).strip().splitlines() or [""])[-1]
        update: Any = pl_module.step
        said = f"after update {update}, {self._doing}{shown(self._ids)}: {type(exception).__name__}: {reason}"
        if ranks.world() > 1:
            said = f"{ranks.who()}, {said}"
            lost, launcher = peer_is_gone(exception), trainer.strategy.launcher
            ended = self._ended(getattr(launcher, "procs", []))
            others = ended or self._exchange_in_time(COLLECTIVE if lost else said)
            said += f"; {others}; {ADVICE}" if lost else ""
            if hasattr(launcher, "kill") and not isinstance(exception, UserError):
                launcher.kill(signal.SIGKILL)  # those that this process started may hang
        elif isinstance(exception, UserError):
            return  # the command line says it
        log.error("%s", said)
        if not isinstance(exception, UserError):
            exception.add_note(said)

    def _ended(self, started: Sequence[Popen[Any]]) -> str:
        """Which of the processes that this one started, as ranks 1, 2 ..., are gone; Lightning soon ends this one for it."""
        codes = {self._name(rank): process.poll() for rank, process in enumerate(started, 1)}
        return "; ".join(f"{name} ended with code {code}" for name, code in codes.items() if code)

    def _exchange_in_time(self, own: str) -> str:
        """What ``_exchange`` finds, or that it came to no end, the store being gone."""
        found: list[str] = []
        thread = threading.Thread(target=self._exchange, args=(own, found), daemon=True)
        thread.start()
        thread.join(self.wait + 1)
        return found[0] if found else f"{self._name(0)}, through which the ranks met, is gone or hangs"

    def _exchange(self, own: str, found: list[str]) -> None:
        """Say ``own`` to the others; where it is that a collective failed, wait for theirs."""
        store = dist.distributed_c10d._get_default_store().clone()
        store.set_timeout(timedelta(seconds=self.wait))
        store.set(f"last words of {ranks.rank()}", own)
        if own != COLLECTIVE:
            return found.append(own)
        others = [rank for rank in range(ranks.world()) if rank != ranks.rank()]
        words: dict[int, str] = {}
        end = time.monotonic() + self.wait
        while len(words) < len(others) and time.monotonic() < end:
            time.sleep(0.1)
            new = [rank for rank in others if rank not in words and store.check([f"last words of {rank}"])]
            words |= {rank: store.get(f"last words of {rank}").decode() for rank in new}
        failed = [said for said in words.values() if said != COLLECTIVE]
        silent = [f"{self._name(rank)} is gone or hangs" for rank in others if rank not in words]
        found.append("; ".join([*failed, *silent][:4]) or "every rank can still speak: the network between them failed")

    def _name(self, rank: int) -> str:
        return f"rank {rank} on {self._hosts[rank]}"


def peer_is_gone(exception: BaseException) -> bool:
    """Whether it came of a collective in which another rank did not take part."""
    text = str(exception).lower()  # gloo gives its source file, in a plain RuntimeError
    return isinstance(exception, dist.DistError) or (isinstance(exception, RuntimeError) and "/gloo/" in text)


def shown(ids: Sequence[str], most: int = 8) -> str:
    """ " a, b and 3 more"."""
    return "" if not ids else f" {', '.join(ids[:most])}{f' and {len(ids) - most} more' if len(ids) > most else ''}"
