"""LossScale: fp16 has no room left for the gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from speechunits.train.alarms.alarm import Alarm, training


class LossScale(Alarm):
    """The scale of an fp16 loss, the lowest where there are several, fell so low that gradients vanish.

    A scale falls when updates are left out, and these give no row of figures: after each of them it is looked at, too.

    Args:
        limit: the least healthy scale.
    """

    name = "loss_scale"
    advice = "Try: trainer.precision=bf16-mixed or 32-true; fp16 is too coarse for this model"

    def __init__(self, limit: float = 1.0) -> None:
        super().__init__()
        self.limit = limit
        self._left_out = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._left_out = int(pl_module.rejected)  # type: ignore[arg-type]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        module: Any = pl_module
        if module.rejected > self._left_out:
            wrong = self.look(module.loss_scales(), module)
            if wrong is not None:
                self.ring(trainer, module, wrong)
        self._left_out = module.rejected

    def look(self, figures: Mapping[str, float], module: Any) -> str | None:
        scale = min(training(figures, "loss_scale").values(), default=self.limit)
        return f"the loss scale is {scale:g}, {module.rejected} updates were left out" if scale < self.limit else None
