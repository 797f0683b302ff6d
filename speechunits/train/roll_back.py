"""go_back: the state of a running training becomes that of a checkpoint; its place in the data does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Trainer


def go_back(trainer: Trainer, module: Any, saved: Mapping[str, Any]) -> None:
    """Give ``module`` and its optimizers, schedules and loss scales the state ``saved``, exactly; every rank must call it.

    The count of updates goes back too: it is the clock of schedules, teachers and codebooks. Random generators, the place in
    the data and the count of left-out updates go on.

    Args:
        trainer: in the middle of ``fit``.
        module: a ``WindowModule``.
        saved: what the strategy read from a checkpoint.
    """
    trainer.strategy.load_model_state_dict(saved, strict=True)
    trainer.strategy.load_optimizer_state_dict(saved)
    for config, state in zip(trainer.lr_scheduler_configs, saved["lr_schedulers"], strict=True):
        config.scheduler.load_state_dict(state)
    precision = trainer.precision_plugin
    if (name := type(precision).__qualname__) in saved:
        precision.load_state_dict(saved[name])
    module.go_back(saved)
