"""TrainModule: one Lightning module that drives every Trainable."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import lightning
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from speechunits import ranks
from speechunits.errors import UserError
from speechunits.metrics.measure import Measure
from speechunits.protocols import Batch, Forgets, Predicts, Shows, Stepped, Trainable
from speechunits.term import Term, add, loss
from speechunits.train.gradients import sum_over_ranks
from speechunits.train.precision import unscale
from speechunits.train.random_state import RandomState, seed_all
from speechunits.train.rank_sum import RankSum
from speechunits.train.sharded import WindowFSDP
from speechunits.train.shards import Shards
from speechunits.train.strategy import WindowDDP
from speechunits.train.system_figures import system_figures
from speechunits.train.validation import Validation
from speechunits.train.window import compare, empty, window_counts

log = logging.getLogger(__name__)

MakeOptimizer = Callable[[Iterable[tuple[str, nn.Parameter]]], Optimizer]


class TrainModule(lightning.LightningModule):
    """Accumulation window, exact global loss, update, figures.

    A training step receives a whole window: the list of micro-batches of one update. The counts of all weighted terms
    come from lengths and draws before any forward pass and are summed over micro-batches and ranks in one collective;
    each micro-batch is then back-propagated with the final counts, and gradients are summed over ranks once, after the
    last micro-batch (see ``gradients.sum_over_ranks``; those of sharded blocks in each backward pass, see ``WindowFSDP``).
    So one rank, N ranks and accumulation take the same step.

    ``step`` counts completed updates and is the only clock. Randomness of training moves in ``training_step`` alone:
    the generators are put back where the last update left them, so loaders, validation and pictures cannot disturb a
    run, and a resumed run continues exactly.

    Args:
        model: a Trainable; with ``predict`` its outputs reach the measures.
        optimizer: named parameters -> Optimizer, e.g. ``partial(adamw, lr=5e-4)``.
        schedule: Optimizer -> LRScheduler, moved once per completed update.
        clip: largest global norm of the gradient; None leaves it alone.
        measures: named Measures, filled in validation.
        log_every: updates between two rows of figures; no figure leaves the device in between.
        predict_every: Measures run in every n-th validation.
        predict_batches: they see the first n validation batches of each rank; None = all.

    Attributes:
        step: completed updates.
        rejected: updates left out because the loss or the gradient was not finite; those of the last row of them in
            ``rejected_in_a_row``, without such that only told fp16 to lower its loss scale. See ``alarms.not_finite``.
        left_out: loss and gradient norm of the last one.
        heard: seconds of audio, over all ranks and resumed runs.
        figures: the latest of each name; ``rows`` counts rows of training figures, ``elapsed`` is the seconds of the last.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: MakeOptimizer,
        schedule: Callable[[Optimizer], LRScheduler] | None = None,
        clip: float | None = None,
        measures: Mapping[str, Measure] | None = None,
        log_every: int = 50,
        predict_every: int = 1,
        predict_batches: int | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(model, Trainable):
            raise TypeError(f"{type(model).__name__} cannot be trained: it lacks counts(batch) or terms(batch)")
        if measures and not isinstance(model, Predicts):
            raise TypeError(f"{type(model).__name__} has no predict(batch), which the measures {sorted(measures)} read")
        self.automatic_optimization = False
        self.model: nn.Module = model
        self.optimizer, self.schedule, self.clip = optimizer, schedule, clip
        self.log_every = log_every
        self.validation = Validation(cast(Any, model), measures or {}, predict_every, predict_batches)
        self.step = self.rejected = self.rejected_in_a_row = self.rows = 0
        self.left_out = (0.0, 0.0)
        self.figures: dict[str, float] = {}
        self._sharded: WindowFSDP | None = None
        self._shards = Shards()
        self._random: RandomState | None = None
        self._sum_counts, self._sum_figures = RankSum(), RankSum()
        self.heard: Tensor | float = 0.0
        self.elapsed = self._heard_before = self._clock = self._waited = 0.0

    # ---------------------------------------------------------------------------------------------- Lightning's hooks

    def configure_model(self) -> None:
        if isinstance(strategy := self.trainer.strategy, WindowFSDP):
            strategy.shard(self.model)
            self._sharded, self._shards = strategy, strategy.shards

    def configure_optimizers(self) -> Any:
        trained = [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]
        if not trained:
            raise UserError("the model has no parameter to train: every one of them is frozen")
        sizes = [sum(p.numel() for p in ps) / 1e6 for ps in ((p for _, p in trained), self.model.parameters())]
        log.info("trains %.2f of %.2f M parameters (%.1f %%)", *sizes, 100 * sizes[0] / sizes[1])
        optimizer = self.optimizer([(name, self._shards.piece(p)) for name, p in trained])
        if self.schedule is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": self.schedule(optimizer)}

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
        self._clock, self._waited = time.perf_counter(), self._waited_so_far()

    def training_step(self, window: Sequence[Batch | None], batch_idx: int) -> None:
        assert self._random is not None
        self._random.apply(self.device)
        with torch.autocast(self.device.type, enabled=False):
            self._step([cast(Batch, batch) for batch in window if not empty(batch)])
        data: Any = getattr(self.trainer, "datamodule", None)
        if hasattr(data, "advance"):  # the window is used up, also where its update was rejected
            data.advance()
        self._random = RandomState.now(self.device)

    def on_validation_start(self) -> None:
        self.validation.start()
        if self._sharded:
            self._sharded.hold()  # ranks may have different numbers of batches

    def validation_step(self, batch: Batch | None, batch_idx: int) -> None:
        if not empty(batch):
            self.validation.add(cast(Batch, batch), batch_idx)

    def on_validation_epoch_end(self) -> None:
        if self._sharded:
            self._sharded.release()
        self.report({f"valid/{name}": value for name, value in self.validation.finish(self.device).items()})
        self._start_interval()

    def whole(self) -> nn.Module:
        """The model with all of its weights, on rank 0; every rank must call it."""
        return self._sharded.whole(self.model) if self._sharded else self.model

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # Lightning's loops would fast-forward its own epoch; the position in the data is the datamodule's.
        checkpoint.pop("loops", None)
        random = (self._random or RandomState.now(self.device)).tensors()
        checkpoint["speechunits"] = {
            "step": self.step,
            "rejected": self.rejected,
            "rejected_in_a_row": self.rejected_in_a_row,
            "heard": float(self.heard),
            "random": {name: [x.cpu() for x in ranks.gather(own.to(self.device))] for name, own in random.items()},
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        house = checkpoint.get("speechunits")
        if house is None:
            raise UserError("this checkpoint was not written by speechunits: start from its weights instead")
        self.step, self.rejected = house["step"], house["rejected"]
        self.rejected_in_a_row = house.get("rejected_in_a_row", 0)
        self.heard = self._heard_before = house.get("heard", 0.0)
        saved = len(house["random"]["torch"])
        if saved == self.trainer.world_size:
            mine = {name: states[self.global_rank] for name, states in house["random"].items()}
            self._random = RandomState.from_tensors(mine)
        else:
            here = self.trainer.world_size
            log.warning("the checkpoint is of %d ranks, this run has %d: dropout is seeded anew", saved, here)

    # ------------------------------------------------------------------------------------------------------ one update

    def _step(self, batches: list[Batch]) -> None:
        """Counts, forward and backward passes, update, figures; ``batches`` may be empty on some ranks or on all."""
        model = cast(Trainable, self.model)
        counts = self._sum_counts(window_counts(model, batches), self.device)
        self.heard = self.heard + counts.pop("audio_seconds")
        if not counts.pop("batches"):
            return log.warning("after update %d a whole window was without audio: skipped", self.step)
        passes: Iterable[tuple[Batch, float]] = ((batch, 1.0) for batch in batches)
        if self._sharded:
            passes = self._sharded.passes(batches, self.step + self.rejected)
        parts = []
        for batch, weight in passes:
            with self.trainer.precision_plugin.train_step_context():
                terms = model.terms(batch)
            compare(model, terms, counts)
            self.manual_backward(weight * loss(terms, counts))
            if weight:
                parts.append({name: term.detach() for name, term in terms.items()})
        terms = add(parts)
        del parts
        optimizer = cast(Optimizer, self.optimizers(use_pl_optimizer=False))
        lr = optimizer.param_groups[0]["lr"]
        share = loss(terms, counts) if terms else torch.zeros((), device=self.device)
        total, norm = self._update(optimizer, share)
        if norm is not None and self.step % self.log_every == 0:
            self._report_update(terms, total, norm, lr)

    def _update(self, optimizer: Optimizer, share: Tensor) -> tuple[Tensor, float | None]:
        """Sum gradients, clip, move weights, schedule and step. The norm is None where the update was rejected."""
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self._shards.collect()
        total = sum_over_ranks([p for p in parameters if p not in self._shards], share)
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        if scaler is not None:
            unscale(scaler, optimizer, self.device)
        norm = self._shards.norm(parameters)
        # the one wait for the device per update: whether the weights may move decides everything that follows
        finite, size = torch.stack([(norm.isfinite() & total.isfinite()).double(), norm.double()]).tolist()
        if finite:
            if self.clip is not None:
                clip_grads_with_norm_(parameters, self.clip, norm)
            optimizer.step() if scaler is None else scaler.step(optimizer)
        searching = not finite and scaler is not None and scaler.get_scale() > 1 and bool(total.isfinite())
        if scaler is not None:
            scaler.update()
        optimizer.zero_grad(set_to_none=True)
        if not finite:
            for module in self.model.modules():
                if isinstance(module, Forgets):
                    module.forget()
            self._reject(float(total), size, searching)
            return total, None
        self.rejected_in_a_row = 0
        self.step += 1
        if self.schedule is not None:
            cast(LRScheduler, self.lr_schedulers()).step()
        with torch.no_grad():
            for module in self.model.modules():
                if isinstance(module, Stepped):
                    module.on_step(self.step, self.model)
        return total, size

    def _reject(self, total: float, norm: float, searching: bool) -> None:
        """Count an update that was left out; ``searching``: its gradient overflowed in fp16, and a lower scale may do."""
        self.rejected += 1
        self.rejected_in_a_row += not searching
        self.left_out = total, norm
        log.info("after update %d: loss %g, gradient norm %g: this update is left out", self.step, total, norm)

    # --------------------------------------------------------------------------------------------------------- figures

    def _report_update(self, terms: Mapping[str, Term], total: Tensor, norm: float, lr: float) -> None:
        """Figures of this update (exact over ranks), speed and loader wait since the last row."""
        now, waited = time.perf_counter(), self._waited_so_far()
        elapsed = max(now - self._clock, 1e-9)
        sums: dict[str, Tensor | float] = {"ranks": 1.0, "waited": (waited - self._waited) / elapsed}
        sums |= {f"num {name}": term.num for name, term in terms.items()}
        sums |= {f"den {name}": term.den for name, term in terms.items()}
        found = {name: float(value) for name, value in self._sum_figures(sums, self.device).items()}
        figures = {"train/loss": float(total), "train/lr": lr, "train/grad_norm": norm}
        heard = float(self.heard)
        figures["train/audio_hours"] = heard / 3600
        figures["train/audio_seconds_per_second"] = (heard - self._heard_before) / elapsed
        figures["train/loader_wait"] = found["waited"] / found["ranks"]
        figures["train/rejected"] = float(self.rejected)
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        if scaler is not None:
            figures["train/loss_scale"] = scaler.get_scale()
        for key, num in found.items():
            if key.startswith("num "):
                name = key.removeprefix("num ")
                figures[f"train/{name}"] = num / max(found[f"den {name}"], 1.0)
        if isinstance(self.model, Shows):
            figures |= {f"train/{name}": value for name, value in self.model.figures().items()}
        self.rows, self.elapsed = self.rows + 1, elapsed
        self.report(figures | system_figures(self.trainer, self.device))
        self._start_interval()

    def _waited_so_far(self) -> float:
        return float(getattr(getattr(self.trainer, "profiler", None), "waited", 0.0))

    def _start_interval(self) -> None:
        self._clock, self._waited = time.perf_counter(), self._waited_so_far()
        self._heard_before = float(self.heard)

    def report(self, figures: Mapping[str, float]) -> None:
        """Keep ``figures`` as the latest and give them to every tracker, at the house step."""
        self.figures.update(figures)
        for tracker in self.loggers:
            tracker.log_metrics(dict(figures), step=self.step)
