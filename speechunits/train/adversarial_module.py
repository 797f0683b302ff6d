"""AdversarialModule: one Lightning module that drives every Adversarial."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from speechunits.errors import UserError
from speechunits.metrics.measure import Measure
from speechunits.protocols import Adversarial, Batch
from speechunits.term import Term, add
from speechunits.train.descent import Descent, MakeOptimizer, MakeSchedule
from speechunits.train.random_state import RandomState
from speechunits.train.sharded import WindowFSDP
from speechunits.train.window_module import Parameters, WindowModule


class AdversarialModule(WindowModule):
    """The discriminator's step, then the generator's on the same window; both or neither make an update.

    The generator learns from the discriminator that has just moved (Goodfellow et al. 2014, algorithm 1, with k = 1; Kong et
    al. 2020, HiFi-GAN, as in its ``train.py``). What it made is kept from one half to the other where the window is one
    micro-batch on this rank; else it is made again, with the same draws and the random state of the first time, so that
    both halves see one and the same and no more than one graph is held.

    **Left-out updates.** Where the discriminator's loss or gradient is not finite, the generator's half is not run. Where
    the generator's are not, the discriminator's step is taken back: weights and optimizer state are copied before it. So a
    left-out update changes nothing, as in ``TrainModule``, and the clocks of both optimizers and schedules are ``step``;
    a discriminator that went on alone would train against a generator that stands still for as long as fp16 searches
    for its loss scale. Gradients and losses are sums over ranks, so all ranks decide alike. The price is memory for a second
    copy of the discriminator's weights and optimizer state within each update.

    fp16 has a loss scale for each side. The figures of the generator's half are ``train/loss``, ``train/lr``,
    ``train/grad_norm``, those of the other one ``train/discriminator/loss`` and so on.

    Args:
        model: an Adversarial.
        optimizer: of the generator: named parameters -> Optimizer.
        discriminator_optimizer: of the discriminator.
        schedule, discriminator_schedule: Optimizer -> LRScheduler, both moved once per completed update.
        clip: largest norm of the gradient of each side; None leaves them alone.
        measures, log_every, predict_every, predict_batches: see ``WindowModule``.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: MakeOptimizer,
        discriminator_optimizer: MakeOptimizer,
        schedule: MakeSchedule | None = None,
        discriminator_schedule: MakeSchedule | None = None,
        clip: float | None = None,
        measures: Mapping[str, Measure] | None = None,
        log_every: int = 50,
        predict_every: int = 1,
        predict_batches: int | None = None,
    ) -> None:
        if not isinstance(model, Adversarial):
            raise TypeError(
                f"{type(model).__name__} is no Adversarial: it lacks one of counts, generate, discriminator_terms, "
                "generator_terms and terms"
            )
        super().__init__(model, measures, log_every, predict_every, predict_batches)
        self._makes = {
            "generator": (optimizer, schedule),
            "discriminator": (discriminator_optimizer, discriminator_schedule),
        }
        self.clip = clip

    @property
    def _adversarial(self) -> Adversarial:
        return cast(Adversarial, self.model)

    def configure_model(self) -> None:
        if isinstance(self.trainer.strategy, WindowFSDP):
            raise UserError(
                "trainer.strategy=fsdp: a generator and a discriminator are not trained on shards, for their halves of an "
                "update would gather blocks at different times; give trainer.strategy=ddp"
            )

    def _descents(self, trained: Parameters) -> list[Descent]:
        sides = {side: set(getattr(self.model, side).parameters()) for side in self._makes}
        if stray := [name for name, p in trained if sum(p in own for own in sides.values()) != 1]:
            raise ValueError(
                f"{type(self.model).__name__}: {', '.join(stray[:3])} must be trained by one optimizer, and so belong to "
                "generator or discriminator, not to both or neither"
            )
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        more: dict[str, dict[str, Any]] = {
            "generator": {"scaler": scaler},
            "discriminator": {"scaler": copy.deepcopy(scaler), "name": "discriminator/", "revocable": True},
        }
        out = []
        for side, (make, schedule) in self._makes.items():
            named = [(name, p) for name, p in trained if p in sides[side]]
            if not named:
                raise UserError(f"the {side} has no parameter to train: every one of them is frozen")
            out.append(Descent(make(named), schedule, self.clip, **more[side]))
        return out

    def _update(self, batches: list[Batch], counts: Mapping[str, Tensor]) -> dict[str, Term] | None:
        generator, discriminator = self.descents
        made, states, judged = self._judge(discriminator, batches, counts)
        if any(p.grad is not None for p in generator.parameters):
            raise ValueError(
                f"{type(self.model).__name__}.discriminator_terms gives the generator a gradient: detach what was made"
            )
        if not self._move(discriminator, judged, counts):
            return None
        with discriminator.still():
            shown = self._answer(generator, batches, counts, made, states)
        if not self._move(generator, shown, counts):
            discriminator.take_back()
            return None
        return judged | shown

    def _judge(
        self, descent: Descent, batches: list[Batch], counts: Mapping[str, Tensor]
    ) -> tuple[list[Any], list[RandomState], dict[str, Term]]:
        """The discriminator's passes: what was made, if it is kept, the random states that made it, and the summed terms."""
        keep = len(batches) == 1
        made, states, parts = [], [], []
        for batch in batches:
            states.append(RandomState.now(self.device))
            with self.trainer.precision_plugin.train_step_context():
                with torch.set_grad_enabled(keep):
                    made.append(self._adversarial.generate(batch))
                terms = self._adversarial.discriminator_terms(batch, made[-1])
            if any(term.weight for term in terms.values()):
                self._learn(descent, terms, counts)
            parts.append({name: term.detach() for name, term in terms.items()})
            if not keep:
                made.pop()
        if not keep:
            self._forget(self._adversarial.generator)  # what its passes gathered, they will gather again
        return made, states, add(parts)

    def _answer(
        self,
        descent: Descent,
        batches: list[Batch],
        counts: Mapping[str, Tensor],
        made: list[Any],
        states: list[RandomState],
    ) -> dict[str, Term]:
        """The generator's passes; the summed terms."""
        parts = []
        for batch, state in zip(batches, states, strict=True):
            with self.trainer.precision_plugin.train_step_context():
                again = made.pop() if made else self._again(batch, state)
                terms = self._adversarial.generator_terms(batch, again)
            self._learn(descent, terms, counts)
            parts.append({name: term.detach() for name, term in terms.items()})
        return add(parts)

    def _again(self, batch: Batch, state: RandomState) -> Any:
        """What ``generate`` gave when the random generators were in ``state``; they are left as they are now."""
        now = RandomState.now(self.device)
        state.apply(self.device)
        made = self._adversarial.generate(batch)
        now.apply(self.device)
        return made
