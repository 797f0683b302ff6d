"""WindowModule: what every training by windows has: counts, clock, random states, validation, checkpoints, figures."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, cast

import lightning
import torch
from torch import Tensor, nn

from speechunits import ranks
from speechunits.errors import UserError
from speechunits.metrics.measure import Measure
from speechunits.protocols import Batch, Forgets, Predicts, Shows, Stepped
from speechunits.term import Term, loss
from speechunits.train.descent import Descent
from speechunits.train.random_state import RandomState, seed_all
from speechunits.train.rank_sum import RankSum
from speechunits.train.sharded import WindowFSDP
from speechunits.train.strategy import WindowDDP
from speechunits.train.system_figures import system_figures
from speechunits.train.update_figures import UpdateFigures
from speechunits.train.validation import Validation
from speechunits.train.window import compare, empty, window_counts

log = logging.getLogger(__name__)

Parameters = list[tuple[str, nn.Parameter]]


class WindowModule(lightning.LightningModule):
    """Around one update, which a subclass makes: ``TrainModule`` of a Trainable, ``AdversarialModule`` of an Adversarial.

    A training step receives a whole window: the list of micro-batches of one update. The counts of all weighted terms
    come from lengths and draws before any forward pass and are summed over micro-batches and ranks in one collective;
    each micro-batch is then back-propagated with the final counts, and gradients are summed over ranks once, after the
    last micro-batch (``Descent.move``). So one rank, N ranks and accumulation take the same step.

    ``step`` counts completed updates and is the only clock. Randomness of training moves in ``training_step`` alone:
    the generators are put back where the last update left them, so loaders, validation and pictures cannot disturb a
    run, and a resumed run continues exactly.

    A subclass gives ``_descents`` and ``_update``.

    Args:
        model: with ``counts``, and ``terms`` for validation; with ``predict`` its outputs reach the measures.
        measures: named Measures, filled in validation.
        log_every: updates between two rows of figures; no figure leaves the device in between.
        predict_every: Measures run in every n-th validation.
        predict_batches: they see the first n validation batches of each rank; None = all.

    Attributes:
        descents: what moves the weights.
        step: completed updates.
        rejected: updates left out because a loss or a gradient was not finite; those of the last row of them in
            ``rejected_in_a_row``, without such that only told fp16 to lower its loss scale. See ``alarms.not_finite``.
        left_out: loss and gradient norm of the last one.
        heard: seconds of audio, over all ranks and resumed runs.
        figures: the latest of each name; ``rows`` counts rows of training figures, ``elapsed`` is the seconds of the last.
    """

    def __init__(
        self,
        model: nn.Module,
        measures: Mapping[str, Measure] | None = None,
        log_every: int = 50,
        predict_every: int = 1,
        predict_batches: int | None = None,
    ) -> None:
        super().__init__()
        if measures and not isinstance(model, Predicts):
            raise TypeError(f"{type(model).__name__} has no predict(batch), which the measures {sorted(measures)} read")
        self.automatic_optimization = False
        self.model: nn.Module = model
        self.log_every = log_every
        self.validation = Validation(cast(Any, model), measures or {}, predict_every, predict_batches)
        self.descents: list[Descent] = []
        self.step = self.rejected = self.rejected_in_a_row = self.rows = 0
        self.left_out = (0.0, 0.0)
        self.figures: dict[str, float] = {}
        self._random: RandomState | None = None
        self._scales: list[dict[str, Any]] = []
        self._sum_counts, self._row = RankSum(), UpdateFigures()
        self.heard: Tensor | float = 0.0
        self.elapsed = 0.0

    def _descents(self, trained: Parameters) -> list[Descent]:
        """What moves ``trained``, the parameters by name that want a gradient."""
        raise NotImplementedError

    def _update(self, batches: list[Batch], counts: Mapping[str, Tensor]) -> dict[str, Term] | None:
        """Forward and backward passes, then the move; the summed terms, or None where the update was left out.

        Args:
            batches: of this rank, maybe none.
            counts: of the whole update, over all ranks.
        """
        raise NotImplementedError

    def whole(self) -> nn.Module:
        """The model with all of its weights, on rank 0; every rank must call it."""
        return self.model

    # ---------------------------------------------------------------------------------------------- Lightning's hooks

    def configure_optimizers(self) -> Any:
        trained = [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]
        if not trained:
            raise UserError("the model has no parameter to train: every one of them is frozen")
        sizes = [sum(p.numel() for p in ps) / 1e6 for ps in ((p for _, p in trained), self.model.parameters())]
        log.info("trains %.2f of %.2f M parameters (%.1f %%)", *sizes, 100 * sizes[0] / sizes[1])
        self.descents = self._descents(trained)
        schedules = [descent.schedule for descent in self.descents if descent.schedule is not None]
        return [descent.optimizer for descent in self.descents], schedules

    def on_fit_start(self) -> None:
        if ranks.met() and not isinstance(self.trainer.strategy, (WindowDDP, WindowFSDP)):
            raise UserError(
                f"strategy {type(self.trainer.strategy).__name__}: several processes train exactly only under"
                " WindowDDP and WindowFSDP of speechunits.train; build the trainer with speechunits.train.trainer.build_trainer"
            )
        self.train()  # Lightning keeps modes, and restored parts come in evaluation mode: no dropout, no masks
        if self._random is None:
            if self.global_rank:  # other dropout on other ranks, yet rank 0 of N draws what 1 rank does
                seed_all(torch.initial_seed() + self.global_rank)
            self._random = RandomState.now(self.device)
        self._give_scales(self._scales)
        self._start_interval()

    def training_step(self, window: Sequence[Batch | None], batch_idx: int) -> None:
        assert self._random is not None
        self._random.apply(self.device)
        with torch.autocast(self.device.type, enabled=False):
            self._take([cast(Batch, batch) for batch in window if not empty(batch)])
        data: Any = getattr(self.trainer, "datamodule", None)
        if hasattr(data, "advance"):  # the window is used up, also where its update was rejected
            data.advance()
        self._random = RandomState.now(self.device)

    def on_validation_start(self) -> None:
        self.validation.start()

    def validation_step(self, batch: Batch | None, batch_idx: int) -> None:
        if not empty(batch):
            self.validation.add(cast(Batch, batch), batch_idx)

    def on_validation_epoch_end(self) -> None:
        self.report({f"valid/{name}": value for name, value in self.validation.finish(self.device).items()})
        self._start_interval()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # Lightning's loops would fast-forward its own epoch; the position in the data is the datamodule's.
        checkpoint.pop("loops", None)
        random = (self._random or RandomState.now(self.device)).tensors()
        checkpoint["speechunits"] = {
            "step": self.step,
            "rejected": self.rejected,
            "rejected_in_a_row": self.rejected_in_a_row,
            "heard": float(self.heard),
            "scales": [descent.scaler.state_dict() for descent in self._further if descent.scaler is not None],
            "random": {name: [x.cpu() for x in ranks.gather(own.to(self.device))] for name, own in random.items()},
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        house = checkpoint.get("speechunits")
        if house is None:
            raise UserError("this checkpoint was not written by speechunits: start from its weights instead")
        self.step, self.rejected = house["step"], house["rejected"]
        self.rejected_in_a_row = house.get("rejected_in_a_row", 0)
        self.heard = house.get("heard", 0.0)
        self._start_interval()
        self._scales = house.get("scales", [])
        saved = len(house["random"]["torch"])
        if saved == self.trainer.world_size:
            mine = {name: states[self.global_rank] for name, states in house["random"].items()}
            self._random = RandomState.from_tensors(mine)
        else:
            here = self.trainer.world_size
            log.warning("the checkpoint is of %d ranks, this run has %d: dropout is seeded anew", saved, here)

    def go_back(self, checkpoint: Mapping[str, Any]) -> None:
        """Take clock and loss scales from ``checkpoint`` in the middle of a run; see ``roll_back.go_back``."""
        house = checkpoint["speechunits"]
        self.step, self.rejected_in_a_row = house["step"], 0
        self._give_scales(house.get("scales", []))

    @property
    def _further(self) -> list[Descent]:
        """All but the first, whose loss scale is the precision plugin's and saved by Lightning."""
        return self.descents[1:]

    def _give_scales(self, states: Sequence[dict[str, Any]]) -> None:
        scalers = [descent.scaler for descent in self._further if descent.scaler is not None]
        for scaler, state in zip(scalers, states, strict=False):  # none are saved where nothing was trained in fp16
            scaler.load_state_dict(state)

    # ------------------------------------------------------------------------------------------------------ one update

    def _take(self, batches: list[Batch]) -> None:
        """Counts, update, clock, figures; ``batches`` may be empty on some ranks or on all."""
        counts = self._sum_counts(window_counts(cast(Any, self.model), batches), self.device)
        self.heard = self.heard + counts.pop("audio_seconds")
        if not counts.pop("batches"):
            return log.warning("after update %d a whole window was without audio: skipped", self.step)
        terms = self._update(batches, counts)
        if terms is not None:
            self._complete()
            if self.step % self.log_every == 0:
                self._report_update(terms)

    def _learn(
        self, descent: Descent, terms: Mapping[str, Term], counts: Mapping[str, Tensor], weight: float = 1.0
    ) -> None:
        """Back-propagate the terms of a micro-batch with the final counts."""
        compare(cast(Any, self.model), terms, counts)
        descent.backward(weight * loss(terms, counts))

    def _move(self, descent: Descent, terms: Mapping[str, Term], counts: Mapping[str, Tensor]) -> bool:
        """Move the weights of ``descent`` after the last micro-batch; False where the update is to be left out.

        Args:
            terms: of this rank's micro-batches, summed.
        """
        weighted = any(term.weight for term in terms.values())
        if descent.move(loss(terms, counts) if weighted else torch.zeros((), device=self.device)):
            return True
        self._forget(self.model)
        self.rejected += 1
        self.rejected_in_a_row += not descent.searching
        self.left_out = descent.loss, descent.norm
        what = f"{descent.name}loss {descent.loss:g}, gradient norm {descent.norm:g}"
        log.info("after update %d: %s: this update is left out", self.step, what)
        return False

    def _forget(self, root: nn.Module) -> None:
        for module in root.modules():
            if isinstance(module, Forgets):
                module.forget()

    def _complete(self) -> None:
        self.rejected_in_a_row = 0
        self.step += 1
        for descent in self.descents:
            descent.advance()
        with torch.no_grad():
            for module in self.model.modules():
                if isinstance(module, Stepped):
                    module.on_step(self.step, self.model)

    # --------------------------------------------------------------------------------------------------------- figures

    def loss_scales(self) -> dict[str, float]:
        """The present loss scales of fp16, under the names of their figures."""
        return {
            f"train/{descent.name}loss_scale": descent.scaler.get_scale()
            for descent in self.descents
            if descent.scaler is not None
        }

    def _report_update(self, terms: Mapping[str, Term]) -> None:
        row = self._row.row(terms, float(self.heard), self._waited(), self.device)
        for descent in self.descents:
            row |= descent.figures()
        row["rejected"] = float(self.rejected)
        if isinstance(self.model, Shows):
            row |= self.model.figures()
        self.rows, self.elapsed = self.rows + 1, self._row.elapsed
        figures = {f"train/{name}": value for name, value in row.items()}
        self.report(figures | self.loss_scales() | system_figures(self.trainer, self.device))
        self._start_interval()

    def _waited(self) -> float:
        return float(getattr(getattr(self.trainer, "profiler", None), "waited", 0.0))

    def _start_interval(self) -> None:
        self._row.start(float(self.heard), self._waited())

    def report(self, figures: Mapping[str, float]) -> None:
        """Keep ``figures`` as the latest and give them to every tracker, at the house step."""
        self.figures.update(figures)
        for tracker in self.loggers:
            tracker.log_metrics(dict(figures), step=self.step)
