"""ValidateEvery: validation by the house step."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

NEVER = 2**62


class ValidateEvery(Callback):
    """Validate after every n-th completed update, and at the end of training.

    Lightning counts windows since its own start, which a resumed run or a rejected update would shift; so its interval
    is set to "now" or "never" after each window. The Trainer needs ``check_val_every_n_epoch=None``.

    A checkpoint of the same update is written before, so that what a validation breaks costs no training. A run that was
    killed in between, or in the validation, makes it up when it is resumed: its figures, and the best checkpoint, are
    those of a run that nobody killed.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self._last = self._validated = -1
        self._owed = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._last = step = int(pl_module.step)  # type: ignore[arg-type]
        self._owed = step > 0 and step % self.every == 0 and self._validated != step
        trainer.val_check_batch = NEVER

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._owed:
            trainer.validating = True
            trainer.fit_loop.epoch_loop.val_loop.run()
            trainer.training = True
        self._owed = False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit":
            self._validated = int(pl_module.step)  # type: ignore[arg-type]

    def state_dict(self) -> dict[str, Any]:
        return {"validated": self._validated}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._validated = state_dict["validated"]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = int(pl_module.step)  # type: ignore[arg-type]
        due = step % self.every == 0 and step != self._last  # a rejected update does not validate again
        self._last = step
        trainer.val_check_batch = 1 if due else NEVER
