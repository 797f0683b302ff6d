"""Alarm: a callback that looks at each new row of figures and says what is wrong, since when, and what to try."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, ClassVar

from lightning.pytorch import Callback, LightningModule, Trainer

log = logging.getLogger(__name__)


class Alarm(Callback):
    """Subclasses have a ``name``, an ``advice`` and ``look``; their limits are constructor arguments.

    Figures are looked at when they are reported (``log_every``), so alarms cost no wait for the device. One that rings warns
    in the log the first, second, fourth, eighth ... time and gives ``alarm/<name>``, how often it rang so far, to the
    trackers each time. The count is part of checkpoints.
    """

    name: ClassVar[str]
    advice: ClassVar[str]

    def __init__(self) -> None:
        self.count = 0
        self.since: int | None = None  # the update at which the present trouble was first seen
        self._rows = 0

    def look(self, figures: Mapping[str, float], module: Any) -> str | None:
        """What is wrong with the latest ``figures`` of a ``WindowModule``; None = nothing."""
        raise NotImplementedError

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A resumed run remembers in its summary what rang before."""
        if self.count:
            pl_module.figures[f"alarm/{self.name}"] = float(self.count)  # type: ignore[index, operator]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        module: Any = pl_module
        if module.rows == self._rows:
            return
        self._rows = module.rows
        wrong = self.look(module.figures, module)
        if wrong is None:
            self.since = None
        else:
            self.ring(trainer, module, wrong)

    def ring(self, trainer: Trainer, module: Any, wrong: str) -> None:
        """Count, report and, now and then, say it."""
        self.count += 1
        self.since = module.step if self.since is None else self.since
        module.report({f"alarm/{self.name}": float(self.count)})
        if trainer.is_global_zero and self.count & (self.count - 1) == 0:
            times = f"since update {self.since}, {self.count} time{'s' if self.count > 1 else ''} in this run"
            log.warning("alarm %s after update %d: %s (%s). %s", self.name, module.step, wrong, times, self.advice)

    @property
    def state_key(self) -> str:
        return f"alarm/{self.name}"

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count, "since": self.since}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.count, self.since = state_dict["count"], state_dict["since"]


def training(figures: Mapping[str, float], ending: str) -> dict[str, float]:
    """The figures of training whose name ends so."""
    return {name: value for name, value in figures.items() if name.startswith("train/") and name.endswith(ending)}
