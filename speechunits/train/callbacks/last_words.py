"""LastWords: a rank whose training fails says who and where it is, and which other ranks failed or fell silent."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import torch.distributed as dist
from lightning.pytorch import Callback, LightningModule, Trainer

from speechunits import ranks
from speechunits.errors import UserError
from speechunits.train.module import empty

log = logging.getLogger(__name__)

ADVICE = "the same command goes on from the newest checkpoint"


class LastWords(Callback):
    """One sentence in the log, and below the traceback, about an exception that ends training.

    It names rank, host, update and the utterances at hand. What a rank failed of, it leaves in the store through which the
    ranks met; those whose collective then broke or timed out wait a moment, read it, and name the rank that is to blame:
    by its own words, or because it has none, being killed, stopped or cut off. Processes that this one started are ended.

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
        self._ids = [name for part in batch if not empty(part) for name in part["ids"]]
        self._doing = "training on"

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        self._doing = "after training on"  # a checkpoint, a validation, the loader

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self._ids = [] if empty(batch) else list(batch["ids"])
        self._doing = "validating"

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if isinstance(exception, (SystemExit, KeyboardInterrupt)):
            return
        lost = peer_is_gone(exception)
        reason = (str(exception).strip().splitlines() or [""])[-1]
        what = f"{type(exception).__name__}: {reason}"
        place = f"after update {int(pl_module.step)}, {self._doing}{shown(self._ids)}"  # type: ignore[arg-type]
        if ranks.world() > 1:
            found = self._others("" if lost else f"{what} ({place})")
            blame = f"; {found}; {ADVICE}" if lost else ""
            said = f"{ranks.who()}, {place}: {what}{blame}"
            launcher = trainer.strategy.launcher
            if hasattr(launcher, "kill"):  # those that this process started, hanging perhaps; they have spoken by now
                launcher.kill(signal.SIGKILL)
        elif isinstance(exception, UserError):
            return
        else:
            said = f"{place}: {what}"
        log.error("%s", said)
        if not isinstance(exception, UserError):
            exception.add_note(said)

    def _others(self, own: str) -> str:
        """Speak, let the others speak, and say who failed; within ``wait`` and a second, also if the store is gone."""
        found: list[str] = []
        thread = threading.Thread(target=self._exchange, args=(own, found), daemon=True)
        thread.start()
        thread.join(self.wait + 1)
        return found[0] if found else f"rank 0 on {self._hosts[0]}, through which the ranks met, is gone or hangs"

    def _exchange(self, own: str, found: list[str]) -> None:
        store = dist.distributed_c10d._get_default_store().clone()
        store.set_timeout(timedelta(seconds=self.wait))
        store.set(f"last words of {ranks.rank()}", own or "a collective failed")
        if own:  # the others will hear of it when this process is gone
            return found.append(own)
        others = [r for r in range(ranks.world()) if r != ranks.rank()]
        end = time.monotonic() + self.wait
        silent = others
        while silent and time.monotonic() < end:
            time.sleep(0.1)
            silent = [r for r in silent if not store.check([f"last words of {r}"])]
        spoken = {r: store.get(f"last words of {r}").decode() for r in others if r not in silent}
        failed = [f"{self._name(r)} failed: {words}" for r, words in spoken.items() if words != "a collective failed"]
        missing = [f"{self._name(r)} is gone or hangs" for r in silent]
        found.append(
            "; ".join([*failed, *missing][:4]) or "every rank can still speak: the network between them failed"
        )

    def _name(self, rank: int) -> str:
        return f"rank {rank} on {self._hosts[rank]}"


def peer_is_gone(exception: BaseException) -> bool:
    """Whether it came of a collective in which another rank did not take part."""
    text = str(exception).lower()  # gloo gives its source file, in a plain RuntimeError
    return isinstance(exception, dist.DistError) or (isinstance(exception, RuntimeError) and "/gloo/" in text)


def shown(ids: Sequence[str], most: int = 8) -> str:
    """ " a, b and 3 more"."""
    return "" if not ids else f" {', '.join(ids[:most])}{f' and {len(ids) - most} more' if len(ids) > most else ''}"
