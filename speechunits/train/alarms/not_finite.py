"""NotFinite: updates that are left out; after a row of them, back to an older state."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import LightningModule, Trainer

from speechunits import ranks
from speechunits.errors import UserError
from speechunits.train.alarms.alarm import Alarm, log
from speechunits.train.callbacks.keep_checkpoints import KeepCheckpoints
from speechunits.train.checkpoint import step_of
from speechunits.train.roll_back import go_back


class NotFinite(Alarm):
    """Loss or gradient is nan or infinite: ``WindowModule`` leaves such an update out, here it is counted and acted upon.

    A left-out update changes nothing, so a row of them means that the present weights are beyond hope, as they were just before
    it. After ``after`` in a row the run goes back to the newest whole checkpoint that is older than the present state: model,
    teacher, codebooks, optimizers, schedules, loss scales and the count of updates are those of the checkpoint, bit for bit and
    on every rank; data and random generators go on, so that it meets other batches. Later checkpoints are deleted and that one
    is written again with the present position in the data: a run that is resumed takes the same road. It costs nothing while
    all is well, and reading and writing a checkpoint when it happens; up to ``checkpoint_every`` updates are lost.

    fp16: updates left out while the loss scale is being lowered are no alarm (``WindowModule.rejected_in_a_row``).

    Args:
        after: so many left-out updates in a row.
        times: so often in the whole run; the next time, or where there is no older checkpoint, it ends with an error.
    """

    name = "not_finite"
    advice = "Try: a lower learning rate, trainer.precision=bf16-mixed or 32-true, a lower clip, or look at the data"

    def __init__(self, after: int = 10, times: int = 3) -> None:
        super().__init__()
        self.after, self.times = after, times
        self.rolled_back = 0
        self._known = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._known = int(pl_module.rejected)  # type: ignore[arg-type]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        module: Any = pl_module
        if not module.rejected_in_a_row:
            self.since = None
        elif module.rejected > self._known:
            loss, norm = module.left_out
            row = f"{module.rejected_in_a_row} in a row" if module.rejected_in_a_row > 1 else "the first in a row"
            self.ring(trainer, module, f"loss {loss:g}, gradient norm {norm:g}: an update was left out, {row}")
        self._known = module.rejected
        if module.rejected_in_a_row >= self.after:
            self._roll_back(trainer, module)

    def _roll_back(self, trainer: Trainer, module: Any) -> None:
        failed = module.step
        what = f"{module.rejected_in_a_row} updates in a row after update {failed} gave a loss or gradient that is not finite"
        if self.rolled_back >= self.times:
            raise UserError(f"{what}, and the run went back {self.times} times before. {self.advice}")
        keep = trainer.checkpoint_callback
        path = keep.newest(before=failed) if isinstance(keep, KeepCheckpoints) else None
        found = ranks.gather_numbers([-1 if path is None else step_of(path) or 0], module.device)
        if path is None or len({step for (step,) in found}) > 1:
            why = (
                "there is no older checkpoint" if path is None else "not every rank can read the same older checkpoint"
            )
            raise UserError(f"{what}, and {why} to go back to. {self.advice}")
        assert isinstance(keep, KeepCheckpoints)
        go_back(trainer, module, trainer.strategy.load_checkpoint(path))
        self.rolled_back += 1
        self.since = None
        keep.rewind(trainer, path)
        if trainer.is_global_zero:
            log.warning(
                "%s: went back to update %d, %s; %d of %d times", what, module.step, path, self.rolled_back, self.times
            )

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "rolled_back": self.rolled_back}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.rolled_back = state_dict["rolled_back"]
