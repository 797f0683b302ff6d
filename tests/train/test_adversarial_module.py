"""AdversarialModule: both halves of the exact step, its figures, and what is refused."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from speechunits.errors import UserError
from speechunits.protocols import Adversarial
from speechunits.term import Term, add
from speechunits.train.adversarial_module import AdversarialModule
from tests.train import test_module
from tests.train.contest import OPTIONS, Contest, contest, exact, nobody, train
from tests.train.test_module import one
from tests.train.test_roll_back import equal
from tests.train.test_validation import Largest
from tests.train.tiny import Tiny, batch, rows

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
