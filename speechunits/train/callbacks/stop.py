"""Stop: the end of training by updates, by the clock, or by a signal; always after a whole update."""

from __future__ import annotations

import logging
import signal
import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from speechunits import ranks

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class Stop(Callback):
    """Ask Lightning to stop once an update passes a limit; all ranks stop after the same one.

    A stop by steps or by time is the normal end of ``fit``. SIGTERM or SIGUSR1, to any rank, ends every process after the
    update and its checkpoint with exit code 143 or 138, which says "not finished": there is no last validation, since
    whoever sends it will soon send SIGKILL, and nothing after ``fit`` takes the run for a finished one.

    The two differ in what should come next. SIGTERM is a scheduler that ends the job; SIGUSR1 is what ``sbatch --signal``
    sends ahead of the time limit, and whoever started the processes puts the job back into the queue when they end with
    138 (``tools/slurm``), also from outside a container. Outside of ``fit`` a process dies of SIGUSR1, which gives the
    same code.

    Args:
        max_steps: completed updates of the whole run; None = no limit.
        max_seconds: training time of the whole run, earlier parts of a resumed run included; None = no limit.
    """

    def __init__(self, max_steps: int | None = None, max_seconds: float | None = None) -> None:
        self.max_steps, self.max_seconds = max_steps, max_seconds
        self.reason: str | None = None
        self._before = 0.0
        self._start = 0.0
        self._received = self._agreed = 0
        self._handlers: dict[int, Any] = {}

    @property
    def seconds(self) -> float:
        """Training time so far, earlier parts included."""
        return self._before + (time.monotonic() - self._start if self._start else 0.0)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start = time.monotonic()
        self.reason, self._received, self._agreed = None, 0, 0
        self._handlers = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        self._decide(trainer, pl_module)  # a finished run that is resumed makes no further update

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._decide(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._restore()
        if self.reason == "signal":
            raise SystemExit(128 + self._agreed)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._restore()

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._before = state_dict["seconds"]

    def _on_signal(self, number: int, frame: Any) -> None:
        self._received = max(self._received, number)  # SIGTERM prevails: a cancelled job is not to come back

    def _restore(self) -> None:
        while self._handlers:
            signal.signal(*self._handlers.popitem())

    def _decide(self, trainer: Trainer, pl_module: LightningModule) -> None:
        step = int(pl_module.step)  # type: ignore[arg-type]
        if self.max_steps is not None and step >= self.max_steps:
            self.reason = "steps"
        elif self._agree_on_signal(pl_module):
            self.reason = "signal"
            trainer.limit_val_batches = 0
        elif self.max_seconds is not None and self._any(trainer, self.seconds >= self.max_seconds):
            self.reason = "seconds"
        if self.reason is not None and not trainer.should_stop:
            trainer.should_stop = True
            log.info("training stops after update %d (%s, %.0f s)", step, self.reason, self.seconds)

    def _agree_on_signal(self, module: LightningModule) -> int:
        """The signal that any rank has had, 0 for none; the same on every rank, so that all end with one exit code."""
        self._agreed = max(number for (number,) in ranks.gather_numbers([self._received], module.device))
        return self._agreed

    def _any(self, trainer: Trainer, here: bool) -> bool:
        """Whether any rank says so: clocks and signals differ from rank to rank, and one that goes on alone hangs."""
        return here if trainer.world_size == 1 else trainer.strategy.reduce_boolean_decision(here, all=False)
