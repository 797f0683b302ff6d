"""KeepCheckpoints: which checkpoints are written, by the house step, and which are kept."""

from __future__ import annotations

import logging
import math
import shutil
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from speechunits.errors import UserError
from speechunits.train.checkpoint import SUFFIX, newest_whole, step_of, tidy

log = logging.getLogger(__name__)


class KeepCheckpoints(Checkpoint):
    """``step-<n>.ckpt`` every n updates and at the end, the last few kept; ``best.ckpt`` by one validation figure.

    Args:
        folder: where they go.
        every: completed updates between two checkpoints.
        last: how many ``step-*.ckpt`` stay; None = all.
        best: a figure of validation such as ``valid/loss``; None = no ``best.ckpt``.
        largest_is_best: True for accuracies.

    Attributes:
        seconds: that training has waited for checkpoints to be written since this process began.
    """

    def __init__(
        self,
        folder: str | Path,
        every: int,
        last: int | None = 2,
        best: str | None = None,
        largest_is_best: bool = False,
    ) -> None:
        self.folder, self.every, self.last = Path(folder), every, last
        self.best, self.largest_is_best = best, largest_is_best
        self.best_value: float | None = None
        self._saved = -1
        self.seconds = 0.0

    def newest(self, before: int | None = None) -> Path | None:
        """What to resume from, or, given ``before``, to go back to: of fewer updates than that."""
        return newest_whole(self.folder, before)

    def rewind(self, trainer: Trainer, path: Path) -> None:
        """The run went back to ``path``: later checkpoints are deleted, and that one is written again with the present place
        in the data, so that a resumed run does as this one; every rank must call it."""
        step = step_of(path)
        if trainer.is_global_zero:
            for later in self.folder.glob(f"step-*{SUFFIX}"):
                if step is not None and (step_of(later) or 0) > step:
                    trainer.strategy.remove_checkpoint(later)
        self._save(trainer, path)
        self._saved = -1 if step is None else step

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit" and trainer.is_global_zero:
            tidy(self.folder)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._saved = int(pl_module.step)  # type: ignore[arg-type]
        if trainer.is_global_zero:
            self._set_aside(self._saved)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = int(pl_module.step)  # type: ignore[arg-type]
        if step != self._saved and (step % self.every == 0 or trainer.should_stop):
            self._save(trainer, self.folder / f"step-{step:09d}{SUFFIX}")
            self._saved = step
            self._prune(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.best is None or trainer.state.fn != "fit":
            return
        figures: dict[str, float] = pl_module.figures  # type: ignore[assignment]
        if self.best not in figures:
            there = ", ".join(sorted(name for name in figures if name.startswith("valid/")))
            raise UserError(f"trainer.best={self.best}: validation gives no such figure; it gives {there}")
        value = figures[self.best]
        sign = 1 if self.largest_is_best else -1
        if math.isnan(value) or (self.best_value is not None and sign * value <= sign * self.best_value):
            return
        self.best_value = value
        self._save(trainer, self.folder / f"best{SUFFIX}")

    def state_dict(self) -> dict[str, Any]:
        return {"best_value": self.best_value}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_value = state_dict["best_value"]

    def _save(self, trainer: Trainer, path: Path) -> None:
        start = time.perf_counter()
        trainer.save_checkpoint(path, weights_only=False)  # every rank: random states are gathered; rank 0 writes
        self.seconds += time.perf_counter() - start
        log.info("saved %s", path)

    def _set_aside(self, step: int) -> None:
        """Rename checkpoints beyond ``step``, damaged or of a road that is left: they would be kept as the last ones."""
        for path in self.folder.glob(f"step-*{SUFFIX}"):
            if (step_of(path) or 0) > step:
                aside = path.with_name(f"{path.name}.aside")
                shutil.rmtree(aside, ignore_errors=True)
                path.rename(aside)
                log.warning("%s: training goes on from update %d; renamed to %s", path, step, aside.name)

    def _prune(self, trainer: Trainer) -> None:
        if self.last is not None and trainer.is_global_zero:
            for old in sorted(self.folder.glob(f"step-*{SUFFIX}"))[: -self.last]:
                trainer.strategy.remove_checkpoint(old)
