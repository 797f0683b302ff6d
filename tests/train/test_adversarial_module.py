"""AdversarialModule: both halves of the exact step, what is left out or taken back, resuming, precision."""

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
from torch import Tensor, nn
from torch.optim.lr_scheduler import StepLR

from speechunits.errors import UserError
from speechunits.protocols import Adversarial
from speechunits.term import Term, add
from speechunits.train.adversarial_module import AdversarialModule
from speechunits.train.checkpoint import FolderCheckpointIO
from tests.train import test_module
from tests.train.contest import OPTIONS, Contest, contest, exact, nobody, train
from tests.train.test_module import one, poisoned
from tests.train.test_resume import EVERY, checkpoint, same
from tests.train.test_roll_back import BACK, Poisoned, equal
from tests.train.test_validation import Largest
from tests.train.tiny import Tiny, TinyData, batch, rows

HALVED = partial(StepLR, step_size=1, gamma=0.5)
CONSTANT: dict[str, Any] = {**OPTIONS, "schedule": None, "discriminator_schedule": None}
NOISY = partial(contest, dropout=0.4)


def fit(windows: list[Any], model: nn.Module, trainer: dict[str, Any] | None = None, **options: Any) -> Any:
    return test_module.fit(windows, model, trainer, AdversarialModule, **{**CONSTANT, **options})


def micro(*indices: int) -> list[Any]:
    return [batch(i, torch.float64) for i in indices]


def state(module: Any) -> dict[str, Any]:
    """Everything that updates move, copied."""
    found = {"weights": module.model.state_dict(), "step": module.step, "scales": module.loss_scales()}
    for i, descent in enumerate(module.descents):
        found[f"optimizer {i}"] = descent.optimizer.state_dict()
        found[f"schedule {i}"] = descent.schedule and {
            k: v for k, v in descent.schedule.state_dict().items() if k != "lr_lambdas"
        }
    return copy.deepcopy(found)


# ------------------------------------------------------------------------------------------------ the step


def by_hand(model: Contest, batches: list[Any], clip: float) -> None:
    """A loop as one writes it without this house: two optimizers of torch, one batch an update."""
    judge, mender = model.discriminator, model.generator
    judges = torch.optim.AdamW(judge.parameters(), 2e-2, (0.8, 0.99), 1e-6, 0.01)
    menders = torch.optim.AdamW(mender.parameters(), 1e-2, (0.9, 0.98), 1e-6, 0.01)
    for n, b in enumerate(batches):
        clean, lengths = b["audio"].data, b["audio"].lengths
        valid = torch.arange(clean.size(1)) < lengths[:, None]
        half = valid[:, ::2]
        menders.param_groups[0]["lr"] = 1e-2 * (n / 2 if n < 2 else 1 - (n - 2) / 18)
        judges.param_groups[0]["lr"] = 2e-2 * (0.0 if n < 1 else 1 - (n - 1) / 29)
        made = mender(model.noisy(b), valid)
        of_real, of_made = judge(clean, valid)[0], judge(made.detach(), valid)[0]
        each = ((1 - of_real) ** 2 + of_made**2) * half
        judges.zero_grad()
        (each.sum(1) / half.sum(1)).mean().backward()
        nn.utils.clip_grad_norm_(judge.parameters(), clip)
        judges.step()
        judged, features, _ = judge(made, valid)
        near = ((features - judge(clean, valid)[1]).abs().mean(1) * half).sum(1) / half.sum(1)
        adversarial = (((1 - judged) ** 2 * half).sum(1) / half.sum(1)).mean()
        menders.zero_grad()
        (adversarial + 2 * near.mean() + 5 * ((made - clean).abs() * valid).sum() / lengths.sum()).backward()
        nn.utils.clip_grad_norm_(mender.parameters(), clip)
        menders.step()
        for slow, fast in zip(model.average.parameters(), mender.parameters(), strict=True):
            slow.data = 0.9 * slow.data + 0.1 * fast.data


def test_updates_are_those_of_a_loop_written_by_hand() -> None:
    model, batches = exact(), micro(0, 1, 2, 3, 4)
    module = fit([[b] for b in batches], copy.deepcopy(model), clip=0.4, **OPTIONS)
    begin = copy.deepcopy(model.state_dict())
    by_hand(model, batches, clip=0.4)
    for name, weight in model.state_dict().items():
        if name != "step":
            assert not torch.equal(weight, begin[name]), name
            torch.testing.assert_close(module.model.state_dict()[name], weight, rtol=0, atol=1e-12, msg=name)
    assert module.step == int(module.model.step) == 5
    norms = [module.figures[f"train/{side}grad_norm"] for side in ("", "discriminator/")]
    assert min(norms) > 0.4, "the clip bites on both sides"


def test_a_window_of_micro_batches_takes_the_steps_of_one_big_batch() -> None:
    windows = [micro(*range(4 * i, 4 * i + 4)) for i in range(5)]
    model = exact()
    whole = fit([[one(window)] for window in windows], copy.deepcopy(model), clip=0.4)
    parts = fit([[*window[:2], None, *window[2:]] for window in windows], copy.deepcopy(model), clip=0.4)
    assert whole.step == parts.step == 5
    for name, weight in whole.model.state_dict().items():
        torch.testing.assert_close(parts.model.state_dict()[name], weight, rtol=0, atol=1e-12, msg=name)
    for name in ("train/loss", "train/discriminator/loss", "train/discriminator/right", "train/generator/features"):
        assert parts.figures[name] == pytest.approx(whole.figures[name], rel=1e-12), name


class Recording(Contest):
    """Remembers what was made, and what each side was shown."""

    def __init__(self, *parts: Any, **more: Any) -> None:
        super().__init__(*parts, **more)
        self.made: list[Tensor] = []
        self.shown: list[Tensor] = []
        self.forgotten = 0

    def generate(self, batch: Any) -> Tensor:
        self.made.append(super().generate(batch))
        return self.made[-1]

    def discriminator_terms(self, batch: Any, made: Tensor) -> dict[str, Term]:
        self.shown.append(made)
        return super().discriminator_terms(batch, made)

    def generator_terms(self, batch: Any, made: Tensor) -> dict[str, Term]:
        assert not any(p.requires_grad for p in self.discriminator.parameters())
        self.shown.append(made)
        return super().generator_terms(batch, made)


def recording() -> Recording:
    model = NOISY()
    return Recording(model.generator, model.discriminator)


def test_what_was_made_is_kept_or_made_again_as_it_was() -> None:
    single, window = recording(), recording()
    fit([[batch(0)]], single)
    assert len(single.made) == 1 and single.shown[0] is single.shown[1] is single.made[0]
    fit([[batch(0), batch(1), batch(2)]], window)
    assert len(window.made) == 6 and [x.requires_grad for x in window.made] == [False] * 3 + [True] * 3
    assert all(a is b for a, b in zip(window.made, window.shown, strict=True))
    for first, second in zip(window.made[:3], window.made[3:], strict=True):
        assert torch.equal(first, second), "dropout included"
    assert all(p.requires_grad and p.grad is None for p in window.discriminator.parameters())


def test_with_dropout_what_is_made_again_takes_the_step_of_what_is_kept() -> None:
    """A micro-batch of nobody makes it a window; random numbers go on alike, in the discriminator too."""
    model, windows = NOISY().double(), [micro(i) for i in range(4)]
    torch.manual_seed(5)
    kept = fit(windows, copy.deepcopy(model))
    torch.manual_seed(5)
    again = fit([[b, nobody(b["audio"].data)] for (b,) in windows], copy.deepcopy(model))
    assert kept.step == again.step == 4 and equal(state(kept), state(again))


class Gathering(nn.Module):
    """Counts what its passes saw until it is told to forget, as an online codebook does."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.register_buffer("total", torch.zeros((), dtype=torch.float64))
        self.gathered = 0.0

    def forward(self, wave: Tensor, valid: Tensor) -> Tensor:
        self.gathered += float(valid.sum())
        made: Tensor = self.inner(wave, valid)
        return made

    def forget(self) -> None:
        self.gathered = 0.0

    def on_step(self, step: int, root: nn.Module) -> None:
        self.total += self.gathered
        self.gathered = 0.0


def test_what_a_generator_gathers_is_gathered_once() -> None:
    def model() -> Contest:
        parts = exact()
        return Contest(Gathering(parts.generator), parts.discriminator)

    window = micro(0, 1, 2)
    samples = sum(int(b["audio"].lengths.sum()) for b in window)
    for windows in ([window], [[one(window)]]):
        module = fit(windows, model())
        assert float(module.model.generator.total) == samples


def test_each_side_learns_from_its_own_terms_alone() -> None:
    """What the discriminator would get from the generator's half, and the other way round, is not there."""
    model = exact()
    module = fit([micro(0)], copy.deepcopy(model), optimizer=partial(torch.optim.SGD, lr=0.1),
                 discriminator_optimizer=partial(torch.optim.SGD, lr=0.1))  # fmt: skip
    (b,) = micro(0)
    terms = model.discriminator_terms(b, model.generate(b))
    sum(t.weight * t.num / t.den for t in terms.values()).backward()  # type: ignore[union-attr]
    assert all(p.grad is None for p in model.generator.parameters())
    for before, after in zip(model.discriminator.parameters(), module.model.discriminator.parameters(), strict=True):
        assert before.grad is not None
        torch.testing.assert_close(after, before - 0.1 * before.grad, rtol=0, atol=1e-12)


def test_figures_and_validation(tmp_path: Path) -> None:
    module = train(tmp_path, 4, validate_every=2, options={"measures": {"top": Largest()}, "clip": 1.0})
    last = rows(tmp_path)[-1]
    assert last["train/lr"] == pytest.approx(1e-2 * (1 - 1 / 18))
    assert last["train/discriminator/lr"] == pytest.approx(2e-2 * (1 - 2 / 29)), "a schedule for each side"
    both = last["train/discriminator/real"] + last["train/discriminator/made"]
    assert last["train/discriminator/loss"] == pytest.approx(both) and 0 <= last["train/discriminator/right"] <= 1
    parts = [last[f"train/generator/{name}"] for name in ("judged", "features", "wave")]
    assert last["train/loss"] == pytest.approx(parts[0] + 2 * parts[1] + 5 * parts[2])
    assert last["train/grad_norm"] > 0 < last["train/discriminator/grad_norm"] and "train/loss_scale" not in last
    data = [batch(500 + i) for i in range(3)]
    means = {k: float(t.value.detach()) for k, t in add([module.model.terms(b) for b in data]).items()}
    for name, value in means.items():
        assert last[f"valid/{name}"] == pytest.approx(value, rel=1e-5), name
    weighted = means["generator/judged"] + 2 * means["generator/features"] + 5 * means["generator/wave"]
    assert last["valid/loss"] == pytest.approx(weighted, rel=1e-5)
    assert any(name.startswith("valid/top/") for name in last)


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


# ------------------------------------------------------------------------------------------------ what is refused


class Careless(Contest):
    """Forgets to detach what was made."""

    def discriminator_terms(self, batch: Any, made: Tensor) -> dict[str, Term]:
        fake, _, kept = self.discriminator(made, batch["audio"].valid)
        count = self.counts(batch)["discriminator/made"]
        return {"discriminator/made": Term((fake.square() * kept).sum(), count)}


def test_what_cannot_be_trained_is_refused() -> None:
    assert isinstance(contest(), Adversarial) and not isinstance(Tiny(), Adversarial)
    with pytest.raises(TypeError, match="Tiny is no Adversarial"):
        fit([[batch(0)]], Tiny())
    parts = contest()
    with pytest.raises(ValueError, match=r"Careless\.discriminator_terms gives the generator a gradient: detach"):
        fit([[batch(0)]], Careless(parts.generator, parts.discriminator))
    both, neither = contest(), contest()
    both.discriminator.shared = both.generator.first
    neither.scale = nn.Parameter(torch.ones(()))  # type: ignore[assignment]
    for model, name in ((both, r"generator\.first\.weight"), (neither, "scale")):
        with pytest.raises(ValueError, match=rf"Contest: {name}.* must be trained by one optimizer"):
            fit([[batch(0)]], model)
    frozen = contest()
    frozen.discriminator.requires_grad_(False)
    with pytest.raises(UserError, match="the discriminator has no parameter to train"):
        fit([[batch(0)]], frozen)


def test_a_weighted_term_without_a_count_is_named() -> None:
    class Forgetful(Contest):
        def counts(self, batch: Any) -> dict[str, Tensor]:
            return {k: v for k, v in super().counts(batch).items() if k != "generator/wave"}

        def generator_terms(self, batch: Any, made: Tensor) -> dict[str, Term]:
            return {"generator/wave": Term(made.abs().sum(), torch.ones(()))}

    parts = contest()
    with pytest.raises(ValueError, match=r"no count for the weighted terms \['generator/wave'\]"):
        fit([[batch(0)]], Forgetful(parts.generator, parts.discriminator))
