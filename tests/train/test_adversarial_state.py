"""AdversarialModule: what is left out, taken back or resumed leaves both sides as they should be, in each precision."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from torch import Tensor
from torch.optim.lr_scheduler import StepLR

from speechunits.term import Term
from speechunits.train.checkpoint import FolderCheckpointIO
from tests.train.contest import Contest, contest, train
from tests.train.test_adversarial_module import CONSTANT, NOISY, fit, state
from tests.train.test_module import poisoned
from tests.train.test_resume import EVERY, checkpoint, same
from tests.train.test_roll_back import BACK, Poisoned, equal
from tests.train.test_validation import Largest
from tests.train.tiny import TinyData, batch, rows

HALVED = partial(StepLR, step_size=1, gamma=0.5)


# ------------------------------------------------------------------------------------------------ left out


def spoilt(index: int) -> Any:
    """The discriminator hears nothing of it; the generator's loss is no number."""
    return batch(index) | {"spoil": torch.nan}


@pytest.mark.parametrize(("bad", "what"), [(poisoned, "discriminator/loss nan"), (spoilt, "loss nan")])
def test_an_update_that_is_not_finite_on_one_side_changes_nothing(
    bad: Callable[[int], Any], what: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = [[batch(0)], [batch(1), batch(2)]]
    model, halved = contest(), {"schedule": HALVED, "discriminator_schedule": HALVED}
    caplog.set_level(logging.INFO, "speechunits")
    windows = [[bad(5)], good[0], [batch(3), bad(4)], good[1]]  # first where no optimizer has a state yet
    with_bad = fit(windows, copy.deepcopy(model), **halved)
    without = fit(good, copy.deepcopy(model), **halved)
    assert (with_bad.step, with_bad.rejected, with_bad.rejected_in_a_row) == (2, 2, 0)
    assert with_bad.trainer.datamodule.advanced == 4
    assert equal(state(with_bad), state(without))
    assert f"after update 0: {what}" in caplog.text and f"after update 1: {what}" in caplog.text


class States(lightning.Callback):
    """The state after every window."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        self.seen.append(state(pl_module))


def test_it_goes_back_with_both_sides(tmp_path: Path) -> None:
    states = States()
    run = train(tmp_path, 8, Poisoned(4, 5, 6, windows=50), NOISY, callbacks=[states], **BACK)
    seen = states.seen
    assert [s["step"] for s in seen] == [1, 2, 3, 4, 4, 4, 2, 3, 4, 5, 6, 7, 8]
    assert equal(seen[1], seen[6]) and not equal(seen[2], seen[7])
    assert equal(seen[3], seen[4]) and run.rejected == 3 and run.figures["alarm/not_finite"] == 3


# ------------------------------------------------------------------------------------------------ a resting discriminator


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_a_discriminator_may_rest_at_first(precision: str, tmp_path: Path) -> None:
    states = States()
    module = train(
        tmp_path, 5, model=partial(contest, begin=3), callbacks=[states], precision=precision, options=CONSTANT
    )
    assert module.step == 5
    weights = {s["step"]: s["weights"]["discriminator.first.weight"] for s in states.seen}
    assert [not torch.equal(weights[n], weights[n + 1]) for n in (1, 2, 3, 4)] == [False, False, True, True]
    norms = [row["train/discriminator/grad_norm"] for row in rows(tmp_path) if "train/loss" in row]
    assert norms[:3] == [0.0] * 3 and min(norms[3:]) > 0


# ------------------------------------------------------------------------------------------------ resuming


@pytest.mark.parametrize(("at", "workers"), [(3, 0), (8, 0), (7, 2)])
def test_resumed_equals_uninterrupted(tmp_path: Path, at: int, workers: int) -> None:
    options = {"clip": 1.0, "measures": {"top": Largest()}}
    whole = train(tmp_path / "whole", 12, TinyData(), NOISY, options=options, **EVERY)
    train(tmp_path / "parts", at, TinyData(workers=workers), NOISY, options=options, **EVERY)
    resume = checkpoint(tmp_path / "parts", at)
    rest = train(tmp_path / "parts", 12, TinyData(workers=workers), NOISY, resume=resume, options=options, **EVERY)
    assert rest.step == whole.step == 12
    same(whole, rest)
    assert equal(state(whole), state(rest))
    assert torch.equal(whole._random.cpu, rest._random.cpu)
    table = {row["step"]: row for row in rows(tmp_path / "parts")}
    for row in rows(tmp_path / "whole"):
        assert {k: v for k, v in table[row["step"]].items() if k in row} == row
    saved = FolderCheckpointIO().load_checkpoint(checkpoint(tmp_path / "parts", 12))
    assert len(saved["optimizer_states"]) == len(saved["lr_schedulers"]) == 2
    assert all(len(each["state"]) == 4 for each in saved["optimizer_states"])
    assert any(name.startswith("model.average.") for name in saved["state_dict"])


# ------------------------------------------------------------------------------------------------ precision


class Low(Contest):
    """Remembers in which precision each side ran; ``steep`` multiplies the loss of one side beyond what fp16 holds."""

    steep = ""
    kinds: tuple[torch.dtype, ...] = ()

    def discriminator_terms(self, batch: Any, made: Tensor) -> dict[str, Term]:
        self.kinds = self.generator.first(made[:, None]).dtype, self.discriminator.first(made[:, None]).dtype
        return self._steeper(super().discriminator_terms(batch, made))

    def generator_terms(self, batch: Any, made: Tensor) -> dict[str, Term]:
        return self._steeper(super().generator_terms(batch, made))

    def _steeper(self, terms: dict[str, Term]) -> dict[str, Term]:
        factor = {name: 1e4 if self.steep and name.startswith(self.steep) else 1.0 for name in terms}
        return {name: Term(t.num * factor[name], t.den, t.weight) for name, t in terms.items()}


def low(steep: str = "", dropout: float = 0.0) -> Low:
    parts = contest(dropout)
    model = Low(parts.generator, parts.discriminator)
    model.steep = steep
    return model


def test_bf16_computes_low_and_moves_float32_weights_of_both_sides() -> None:
    model, windows = low(), [[batch(0), batch(1)], [batch(2)]]
    full = fit(windows, copy.deepcopy(model))
    module = fit(windows, copy.deepcopy(model), trainer={"precision": "bf16-mixed"})
    assert module.model.kinds == (torch.bfloat16, torch.bfloat16) and module.step == 2
    for name, weight in module.model.named_parameters():
        assert weight.dtype is torch.float32 and not torch.equal(weight, model.get_parameter(name)), name
        torch.testing.assert_close(weight, full.model.get_parameter(name), rtol=0, atol=0.05)


@pytest.mark.parametrize(
    ("steep", "lower", "higher"), [("discriminator", "discriminator/", ""), ("generator", "", "discriminator/")]
)
def test_fp16_has_a_scale_for_each_side_that_is_resumed(steep: str, lower: str, higher: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"model": partial(low, steep, 0.2), "precision": "16-mixed", "checkpoint_every": 3}
    whole = train(tmp_path / "whole", 6, **settings)
    train(tmp_path / "parts", 3, **settings)
    rest = train(tmp_path / "parts", 6, resume=checkpoint(tmp_path / "parts", 3), **settings)
    assert equal(state(whole), state(rest)) and whole.rejected == rest.rejected > 0
    assert whole.rejected_in_a_row == 0, "a scale that is being lowered is no alarm"
    assert whole.model.kinds == (torch.float16, torch.float16)
    scales = whole.loss_scales()
    assert scales == {name: whole.figures[name] for name in scales} and len(scales) == 2
    assert scales[f"train/{lower}loss_scale"] < scales[f"train/{higher}loss_scale"]
    for descent in whole.descents:  # also the discriminator's, which was taken back while the generator's scale fell
        assert {int(s["step"]) for s in descent.optimizer.state.values()} == {6}
