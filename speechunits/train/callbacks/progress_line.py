"""ProgressLine: a rich bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

log = logging.getLogger(__name__)


class ProgressLine(Callback):
    """Step, loss, audio-seconds per second and the share of time spent waiting for the loader.

    The bar counts updates; its figures, like the lines, come with each new row of the module's figures (``log_every``),
    so showing them costs no wait for the device. Lines go to the log, or to the console where nobody set up a log.

    Args:
        total: updates of the whole run, None when only the clock ends it.
        every: seconds between two plain lines, at least.
        console: where to write; standard output by default.
    """

    def __init__(self, total: int | None = None, every: float = 0.0, console: Console | None = None) -> None:
        self.total, self.every = total, every
        self.console = console or Console(file=sys.stdout, soft_wrap=True)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._moved: list[tuple[logging.StreamHandler[Any], Any]] = []
        self._shown = 0
        self._said = -float("inf")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero and self.console.is_terminal:
            step, times = TextColumn("{task.completed}/{task.total}"), (TimeElapsedColumn(), TimeRemainingColumn())
            self._bar = Progress(step, BarColumn(), *times, TextColumn("{task.fields[line]}"), console=self.console)
            self._task = self._bar.add_task("train", total=self.total, completed=self._step(pl_module), line="")
            self._start(self._bar)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not trainer.is_global_zero:
            return
        step, figures = self._step(pl_module), self._figures(pl_module)
        rows = int(pl_module.rows)  # type: ignore[arg-type]
        new, self._shown = rows != self._shown, rows
        if self._bar is not None and self._task is not None:
            fields: dict[str, Any] = {"line": line(figures)} if new else {}
            self._bar.update(self._task, completed=step, **fields)
        if new and time.monotonic() - self._said >= self.every:
            self._said = time.monotonic()
            self._say(f"{step}{f'/{self.total}' if self.total else ''}  {line(figures)}")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            figures = {k: v for k, v in sorted(self._figures(pl_module).items()) if k.startswith("valid/")}
            text = "  ".join(f"{k} {v:.4g}" for k, v in figures.items())
            self._say(f"{self._step(pl_module)}  {text}")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._close()

    def _say(self, text: str) -> None:
        if log.isEnabledFor(logging.INFO):
            log.info("%s", text)
        elif self._bar is None:
            self.console.print(text, highlight=False)

    def _start(self, bar: Progress) -> None:
        """Start the bar, which replaces ``sys.stdout``; log lines must follow, so that they are printed above it."""
        names = {id(sys.stdout): "stdout", id(sys.stderr): "stderr"}
        bar.start()
        for handler in [*logging.getLogger().handlers, *logging.getLogger("speechunits").handlers]:
            if isinstance(handler, logging.StreamHandler) and id(handler.stream) in names:
                self._moved.append((handler, handler.stream))
                handler.setStream(getattr(sys, names[id(handler.stream)]))

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        while self._moved:
            handler, stream = self._moved.pop()
            handler.setStream(stream)

    def _figures(self, pl_module: LightningModule) -> dict[str, float]:
        return pl_module.figures  # type: ignore[return-value]

    def _step(self, pl_module: LightningModule) -> int:
        return int(pl_module.step)  # type: ignore[arg-type]


def line(figures: Any) -> str:
    """The few figures that say whether a run is well, as one line."""
    return (
        f"loss {figures['train/loss']:.4f}  lr {figures['train/lr']:.2e}  grad {figures['train/grad_norm']:.2f}"
        f"  {figures['train/audio_seconds_per_second']:.1f} audio-s/s  loader wait {figures['train/loader_wait']:.0%}"
    )
