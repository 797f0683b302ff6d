"""TrainModule: the exact step, rejected updates, figures, precision."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import Tensor, nn
from torch.utils.data import DataLoader

from speechunits.draws import draws
from speechunits.errors import UserError
from speechunits.seq import pad, unpad
from speechunits.term import Term, add, loss
from speechunits.train.callbacks.stop import Stop
from speechunits.train.module import TrainModule
from speechunits.tuning.frozen import Frozen
from speechunits.tuning.full import Full
from tests.train.recognised import recognised
from tests.train.tiny import HOP, Each, Tiny, TinyData, Windows, batch, rows, train

SGD = partial(torch.optim.SGD, lr=0.1)


class Fixed(lightning.LightningDataModule):
    """Exactly these windows, then no more."""

    def __init__(self, windows: list[Any]) -> None:
        super().__init__()
        self.windows, self.advanced = windows, 0

    def advance(self) -> None:
        self.advanced += 1

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.windows, batch_size=None, shuffle=False)


def one(batches: list[Any]) -> Any:
    """All utterances of several micro-batches as a single one."""
    ids = [i for b in batches for i in b["ids"]]
    return {"audio": pad([x for b in batches for x in unpad(b["audio"])], HOP), "draws": draws(ids), "ids": ids}


def fit(
    windows: list[Any],
    model: nn.Module,
    trainer: dict[str, Any] | None = None,
    drive: Callable[..., Any] = TrainModule,
    **options: Any,
) -> TrainModule:
    module: TrainModule = drive(model, **{"optimizer": SGD, "log_every": 1, **options})
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    settings = {"accelerator": "cpu", "max_epochs": 1, "logger": False, **quiet, **(trainer or {})}
    lightning.Trainer(**settings).fit(module, datamodule=Fixed(windows))
    return module


def copy(model: Tiny) -> Tiny:
    other = Tiny(model.dropout.p, model.skip).to(next(model.parameters()).dtype)
    other.load_state_dict(model.state_dict())
    return other


def test_a_window_of_micro_batches_takes_the_step_of_one_big_batch() -> None:
    model, whole = Tiny().double(), None
    micro = [batch(i, torch.float64) for i in range(4)]
    whole = fit([[one(micro)]], copy(model)).model
    window = fit([micro], copy(model)).model
    # the definition: gradient of the weighted sum of means over all frames of the update
    loss(add([model.terms(b) for b in micro])).backward()
    for p, a, b in zip(model.parameters(), whole.parameters(), window.parameters(), strict=True):
        assert p.grad is not None and p.grad.abs().sum() > 0
        torch.testing.assert_close(b, p.detach() - 0.1 * p.grad, rtol=0, atol=1e-12)
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_a_mean_of_means_would_be_another_step() -> None:
    model, micro = Tiny().double(), [batch(i, torch.float64) for i in range(4)]
    terms = [{k: t.detach() for k, t in model.terms(b).items()} for b in micro]
    naive = torch.stack([loss(t) for t in terms]).mean()
    assert abs(float(loss(add(terms)) - naive)) > 1e-3, "these micro-batches could not tell the two apart"


def test_clipping_is_by_the_norm_of_the_whole_gradient() -> None:
    model = Tiny().double()
    window = [batch(i, torch.float64) for i in range(3)]
    module = fit([window], copy(model), clip=0.25)
    moved = torch.cat([(a - b).flatten() for a, b in zip(model.parameters(), module.model.parameters(), strict=True)])
    assert module.figures["train/grad_norm"] > 0.25
    assert moved.norm().item() == pytest.approx(0.1 * 0.25, rel=1e-4)  # torch divides by norm + 1e-6


def test_figures_are_those_of_the_whole_window() -> None:
    model = Tiny()
    window = [batch(i) for i in range(3)]
    terms = {k: t.detach() for k, t in add([model.terms(b) for b in window]).items()}
    module = fit([window], copy(model))
    figures = module.figures
    for name, term in terms.items():
        assert figures[f"train/{name}"] == pytest.approx(float(term.value), rel=1e-6)
    assert figures["train/loss"] == pytest.approx(float(loss(terms)), rel=1e-6)
    assert figures["train/lr"] == 0.1
    assert figures["train/rejected"] == 0 and 0 <= figures["train/loader_wait"] <= 1
    assert 0.05 < figures["system/ram_gb"] < 100 and figures["system/checkpoint_seconds"] == 0
    assert module.step == 1 and int(module.model.seen) == 1  # type: ignore[arg-type]


def poisoned(index: int) -> Any:
    bad = batch(index)
    bad["audio"].data[0, 0] = torch.nan
    return bad


def test_an_update_that_is_not_finite_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    good, bad = [batch(0), batch(1)], [batch(2), poisoned(3)]
    half = partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5)
    model = Tiny()
    caplog.set_level(logging.INFO, "speechunits")
    with_bad = fit([good, bad, good], copy(model), schedule=half)
    without = fit([good, good], copy(model), schedule=half)
    assert (with_bad.step, with_bad.rejected, int(with_bad.model.seen)) == (2, 1, 2)  # type: ignore[arg-type]
    assert with_bad.trainer.datamodule.advanced == 3  # type: ignore[attr-defined]
    for a, b in zip(with_bad.model.state_dict().values(), without.model.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert "after update 1: loss nan" in caplog.text
    assert (with_bad.rejected_in_a_row, without.rejected_in_a_row) == (0, 0)


def test_empty_micro_batches_count_for_nothing(caplog: pytest.LogCaptureFixture) -> None:
    model = Tiny()
    with_empty = fit([[batch(0), None, {"ids": []}], [None]], copy(model))
    without = fit([[batch(0)]], copy(model))
    assert with_empty.step == 1 and with_empty.rejected == 0 and "without audio" in caplog.text
    for a, b in zip(with_empty.model.parameters(), without.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_loader_workers_change_nothing(tmp_path: Path) -> None:
    for workers in (0, 2):
        train(tmp_path / str(workers), 7, TinyData(workers=workers), partial(Tiny, dropout=0.3, skip=0.3))
    assert rows(tmp_path / "0") == rows(tmp_path / "2")
    losses = [row["train/loss"] for row in rows(tmp_path / "0") if "train/loss" in row]
    assert len(losses) == 7 and len(set(losses)) == 7


def test_validation_does_not_move_the_randomness_of_training(tmp_path: Path) -> None:
    class Noisy(Tiny):
        def terms(self, batch: Any) -> Any:
            if not self.training:
                torch.rand(7)
            return super().terms(batch)

    for every in (2, 1000):
        train(tmp_path / str(every), 6, model=partial(Noisy, dropout=0.5), validate_every=every)
    seen = [[row["train/loss"] for row in rows(tmp_path / str(every))] for every in (2, 1000)]
    assert seen[0] == seen[1]


class Low(Tiny):
    """Remembers in which precision its layers ran."""

    kind: torch.dtype | None = None

    def forward(self, x: Tensor, skipped: bool) -> Tensor:
        self.kind = self.first(x[..., None]).dtype
        return super().forward(x, skipped).float()


def test_bf16_computes_low_and_keeps_float32_weights() -> None:
    model = Low()
    full = fit([[batch(0), batch(1)]], copy(model)).model
    module = fit([[batch(0), batch(1)]], model, trainer={"precision": "bf16-mixed"})
    assert model.kind is torch.bfloat16 and all(p.dtype is torch.float32 for p in model.parameters())
    for a, b in zip(full.parameters(), module.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0.05)
        assert not torch.equal(a, b)


@pytest.mark.parametrize("optimizer", [SGD, partial(torch.optim.AdamW, lr=0.1, fused=True)])
def test_fp16_unscales_before_clipping_and_lowers_a_scale_that_overflows(optimizer: Any) -> None:
    model = Low()
    full = fit([[batch(0), batch(1)]], copy(model), clip=0.5, optimizer=optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**30)
    plugin = MixedPrecision("16-mixed", "cpu", scaler)
    window = [batch(0), batch(1)]
    module = fit(
        [window] * 20, model, trainer={"plugins": [plugin], "callbacks": [Stop(1)]}, clip=0.5, optimizer=optimizer
    )
    assert model.kind is torch.float16 and module.step == 1
    assert module.rejected > 5 and module.rejected_in_a_row == 0, "a scale that is being lowered is no alarm"
    assert scaler.get_scale() == 2.0 ** (30 - module.rejected)
    assert module.figures["train/grad_norm"] == pytest.approx(full.figures["train/grad_norm"], rel=1e-2)
    if optimizer is SGD:  # Adam's first step is the sign of the gradient: where it is nearly zero rounding decides
        for a, b in zip(full.model.parameters(), module.model.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=2e-3)


def test_what_cannot_be_trained_is_refused() -> None:
    with pytest.raises(TypeError, match="Linear cannot be trained"):
        TrainModule(nn.Linear(1, 1), SGD)
    frozen = Tiny().requires_grad_(False)
    with pytest.raises(UserError, match="every one of them is frozen"):
        fit([[batch(0)]], frozen)

    class Forgetful(Tiny):
        def counts(self, batch: Any) -> dict[str, Tensor]:
            return {"square/all": super().counts(batch)["square/all"]}

        def terms(self, batch: Any) -> dict[str, Term]:
            return whole.terms(batch)

    whole = Tiny()
    with pytest.raises(ValueError, match=r"no count for the weighted terms \['absolute/masked'\]"):
        fit([[batch(0)]], Forgetful())


def test_speed_counts_all_audio(tmp_path: Path) -> None:
    window = Windows(2)[0]
    module = fit([window], Tiny())
    seconds = sum(int(b["audio"].lengths.sum()) for b in window) / 16000
    elapsed = seconds / module.figures["train/audio_seconds_per_second"]
    assert 0 < elapsed < 60


def test_parts_that_come_in_evaluation_mode_are_trained_in_training_mode(tmp_path: Path) -> None:
    """As ``store.restore`` gives them: without dropout, layer drop and masks nobody would notice. Not so a frozen encoder."""
    seen: list[bool] = []
    for way, training in ((Full(), True), (Frozen(), False)):
        hears = recognised(tuning=way)
        hears.encoder.eval()
        look = Each(lambda step, hears=hears: seen.append(hears.encoder.training and hears.encoder.masker.training))
        module = train(tmp_path, 3, TinyData(), lambda hears=hears: hears, callbacks=[look], validate_every=1)  # type: ignore[arg-type]
        assert seen == [training] * 3 and module.model.heads.training, "also after a validation"  # type: ignore[union-attr]
        seen.clear()
