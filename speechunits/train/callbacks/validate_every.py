"""ValidateEvery: validation by the house step."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

NEVER = 2**62


class ValidateEvery(Callback):
    """Validate after every n-th completed update, and at the end of training.

    Lightning counts windows since its own start, which a resumed run or a rejected update would shift; so its interval
    is set to "now" or "never" after each window. The Trainer needs ``check_val_every_n_epoch=None``.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self._last = -1

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._last = int(pl_module.step)  # type: ignore[arg-type]
        trainer.val_check_batch = NEVER

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = int(pl_module.step)  # type: ignore[arg-type]
        due = step % self.every == 0 and step != self._last  # a rejected update does not validate again
        self._last = step
        trainer.val_check_batch = 1 if due else NEVER
