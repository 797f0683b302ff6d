"""TrainModule: one Lightning module that drives every Trainable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from torch import Tensor, nn

from speechunits.metrics.measure import Measure
from speechunits.protocols import Batch, Trainable
from speechunits.term import Term, add
from speechunits.train.descent import Descent, MakeOptimizer, MakeSchedule
from speechunits.train.sharded import WindowFSDP
from speechunits.train.shards import Shards
from speechunits.train.window_module import Parameters, WindowModule


class TrainModule(WindowModule):
    """One set of weights, one optimizer, one loss; the window, the clock and the figures are those of ``WindowModule``.

    Gradients of sharded blocks are summed over ranks in each backward pass (``WindowFSDP``), all others after the last one.

    Args:
        model: a Trainable.
        optimizer: named parameters -> Optimizer, e.g. ``partial(adamw, lr=5e-4)``.
        schedule: Optimizer -> LRScheduler, moved once per completed update.
        clip: largest global norm of the gradient; None leaves it alone.
        measures, log_every, predict_every, predict_batches: see ``WindowModule``.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: MakeOptimizer,
        schedule: MakeSchedule | None = None,
        clip: float | None = None,
        measures: Mapping[str, Measure] | None = None,
        log_every: int = 50,
        predict_every: int = 1,
        predict_batches: int | None = None,
    ) -> None:
        if not isinstance(model, Trainable):
            raise TypeError(f"{type(model).__name__} cannot be trained: it lacks counts(batch) or terms(batch)")
        super().__init__(model, measures, log_every, predict_every, predict_batches)
        self.optimizer, self.schedule, self.clip = optimizer, schedule, clip
        self._sharded: WindowFSDP | None = None
        self._shards = Shards()

    def configure_model(self) -> None:
        if isinstance(strategy := self.trainer.strategy, WindowFSDP):
            strategy.shard(self.model)
            self._sharded, self._shards = strategy, strategy.shards

    def on_validation_start(self) -> None:
        super().on_validation_start()
        if self._sharded:
            self._sharded.hold()  # ranks may have different numbers of batches

    def on_validation_epoch_end(self) -> None:
        if self._sharded:
            self._sharded.release()
        super().on_validation_epoch_end()

    def whole(self) -> nn.Module:
        return self._sharded.whole(self.model) if self._sharded else self.model

    def _descents(self, trained: Parameters) -> list[Descent]:
        optimizer = self.optimizer([(name, self._shards.piece(p)) for name, p in trained])
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        return [Descent(optimizer, self.schedule, self.clip, scaler, self._shards)]

    def _update(self, batches: list[Batch], counts: Mapping[str, Tensor]) -> dict[str, Term] | None:
        (descent,) = self.descents
        passes: Iterable[tuple[Batch, float]] = ((batch, 1.0) for batch in batches)
        if self._sharded:
            passes = self._sharded.passes(batches, self.step + self.rejected)
        parts = []
        for batch, weight in passes:
            with self.trainer.precision_plugin.train_step_context():
                terms = cast(Any, self.model).terms(batch)
            self._learn(descent, terms, counts, weight)
            if weight:
                parts.append({name: term.detach() for name, term in terms.items()})
        terms = add(parts)
        del parts
        return terms if self._move(descent, terms, counts) else None
