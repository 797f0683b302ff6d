"""Left-out updates in a row take a run back to an older checkpoint, exactly, and at last end it."""

from __future__ import annotations

import logging
import math
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision

from speechunits.errors import UserError
from speechunits.train.alarms.not_finite import NotFinite
from speechunits.train.callbacks.keep_checkpoints import KeepCheckpoints
from speechunits.train.checkpoint import FolderCheckpointIO, newest_whole, step_of
from speechunits.train.optim import adamw
from tests.train.distilled import distilled
from tests.train.test_module import fit, poisoned
from tests.train.test_resume import checkpoint, same
from tests.train.tiny import Tiny, TinyData, batch, rows, train


class Poisoned(TinyData):
    """The first utterance of windows number ``bad`` of the whole run is nan; remembers which were asked for.

    All of it: of a single sample the loss may know nothing, where a mask hides it or every layer with attention is dropped.
    """

    def __init__(self, *bad: int, **more: Any) -> None:
        super().__init__(**more)
        self.bad, self.used = set(bad), 0

    def on_before_batch_transfer(self, window: Any, dataloader_idx: int) -> Any:
        if self.trainer.training:
            if self.epoch * self.windows + self.next in self.bad:
                window[0]["audio"].data[0] = torch.nan
            self.used += 1
        return window


class Remember(lightning.Callback):
    """The state after every window, as (updates, weights, optimizer, schedule)."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        weights = {name: value.clone() for name, value in pl_module.state_dict().items()}
        moments = [
            {k: v.clone() if torch.is_tensor(v) else v for k, v in state.items()}
            for state in trainer.optimizers[0].state.values()
        ]
        schedule = trainer.lr_scheduler_configs[0].scheduler.state_dict()
        self.seen.append(
            {"step": pl_module.step, "weights": weights, "moments": moments, "schedule": dict(schedule),
             "lr": trainer.optimizers[0].param_groups[0]["lr"], "rejected": pl_module.rejected}
        )  # fmt: skip


def equal(a: Any, b: Any) -> bool:
    if torch.is_tensor(a):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(v, b[k]) for k, v in a.items())
    if isinstance(a, list):
        return len(a) == len(b) and all(map(equal, a, b))
    return bool(a == b)


BACK: dict[str, Any] = {"checkpoint_every": 2, "keep_last": None, "alarms": {"not_finite": {"after": 3}}}


@pytest.mark.parametrize("model", [partial(Tiny, dropout=0.4), partial(distilled, dropout=0.3)])
def test_it_goes_back_exactly_and_on_with_new_data(
    tmp_path: Path, model: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "speechunits")
    remember = Remember()
    data = Poisoned(4, 5, 6, windows=50)
    run = train(tmp_path, 8, data, model, callbacks=[remember], **BACK)
    # windows 0-3 make updates 1-4, windows 4-6 are left out, then back to update 2: 4 is the present state itself
    assert [s["step"] for s in remember.seen] == [1, 2, 3, 4, 4, 4, 2, 3, 4, 5, 6, 7, 8]
    before, after = remember.seen[1], remember.seen[6]
    for key in ("weights", "moments", "schedule", "lr"):
        assert equal(before[key], after[key]), key
    assert not equal(remember.seen[2]["weights"], remember.seen[7]["weights"]), "update 3 is made of other data"
    assert run.rejected == 3 and data.used == data.next == 13, "data go on"
    text = caplog.text
    said = "alarm not_finite after update 4: loss nan, gradient norm nan: an update was left out"
    assert f"{said}, the first in a row" in text and f"{said}, 2 in a row" in text
    assert run.left_out == pytest.approx((torch.nan, torch.nan), nan_ok=True)
    assert "3 updates in a row after update 4" in text and "went back to update 2" in text
    table = rows(tmp_path)
    assert [row["step"] for row in table] == [1, 2, 3, 4, 5, 6, 7, 8], "rows of the road that was left are gone"
    assert run.figures["alarm/not_finite"] == 3 and table[1]["train/loss"] > 0


def test_a_run_resumed_after_going_back_takes_the_same_road(tmp_path: Path) -> None:
    bad = (4, 5, 6)
    whole = train(tmp_path / "whole", 7, Poisoned(*bad, windows=50), partial(Tiny, dropout=0.4), **BACK)

    class Crash(lightning.Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, window: Any, index: int) -> None:
            if pl_module.rejected == 3 and pl_module.step == 3:
                raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        train(
            tmp_path / "parts", 7, Poisoned(*bad, windows=50), partial(Tiny, dropout=0.4), callbacks=[Crash()], **BACK
        )
    left = newest_whole(tmp_path / "parts" / "checkpoints")
    assert left == checkpoint(tmp_path / "parts", 2), "the checkpoint of the state that failed is gone"
    rest = train(tmp_path / "parts", 7, Poisoned(*bad, windows=50), partial(Tiny, dropout=0.4), resume=left, **BACK)
    same(whole, rest)
    assert rest.rejected == whole.rejected == 3
    saved = FolderCheckpointIO().load_checkpoint(checkpoint(tmp_path / "parts", 7))
    assert saved["callbacks"]["alarm/not_finite"] == {"count": 3, "since": None, "rolled_back": 1}


def test_it_ends_after_so_many_times(tmp_path: Path) -> None:
    settings = {**BACK, "alarms": {"not_finite": {"after": 2, "times": 1}}}
    with pytest.raises(
        UserError, match=r"2 updates in a row after update 3 .* went back 1 times before\. Try: a lower"
    ):
        train(tmp_path, 20, Poisoned(4, 5, 7, 8, windows=50), **settings)


def test_without_an_older_checkpoint_it_ends(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"3 updates in a row after update 1 .* no older checkpoint to go back to"):
        train(tmp_path, 9, Poisoned(1, 2, 3, windows=50), **BACK)


def test_a_few_are_left_out_and_counted(tmp_path: Path) -> None:
    run = train(tmp_path, 6, Poisoned(2, 3, 5, windows=50), **BACK)
    assert run.rejected == 3 and run.rejected_in_a_row == 0 and run.figures["alarm/not_finite"] == 3
    assert [row.get("alarm/not_finite") for row in rows(tmp_path)] == [None, 2, 3, None, None, None]


def test_a_nan_that_the_loss_does_not_see_is_left_out_too() -> None:
    """Behind a mask: the masker's vector takes its place in the loss, and 0 times nan comes back as the frontend's gradient."""
    model, spoilt = distilled(), batch(3)
    (hidden, *_) = model.encoder.frames(spoilt["audio"], spoilt["draws"], "mask:0").pick("masked").nonzero().tolist()
    spoilt["audio"].data[tuple(hidden)] = torch.nan
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    module = fit([[spoilt]], model)
    loss, norm = module.left_out
    assert math.isfinite(loss) and loss > 0 and math.isnan(norm) and (module.rejected, module.step) == (1, 0)
    assert equal(before, dict(model.state_dict()))


def test_which_checkpoints_are_older(tmp_path: Path) -> None:
    for name in ("step-000000004.ckpt", "step-000000010.ckpt", "best.ckpt"):
        FolderCheckpointIO().save_checkpoint({"a": 1}, tmp_path / name)
    assert newest_whole(tmp_path) == tmp_path / "step-000000010.ckpt"
    assert newest_whole(tmp_path, before=10) == tmp_path / "step-000000004.ckpt"
    assert newest_whole(tmp_path, before=4) is None
    assert [step_of(tmp_path / name) for name in ("step-000000010.ckpt", "best.ckpt")] == [10, None]


def test_an_optimizer_without_a_schedule_goes_back_too(tmp_path: Path) -> None:
    options = {"optimizer": partial(adamw, lr=1e-2), "schedule": None}
    run = train(tmp_path, 5, Poisoned(4, 5, 6, windows=50), options=options, **BACK)
    assert run.step == 5 and run.figures["train/lr"] == 1e-2


def test_the_scale_of_fp16_goes_back_too(tmp_path: Path) -> None:
    """It doubles with every good update and is halved by a bad one: 4, then 8, 16, 32, 16, 8, back to 16, 32."""
    plugin = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=1))
    keep, alarm = KeepCheckpoints(tmp_path, every=2), NotFinite(after=2)
    settings = {"plugins": [plugin, FolderCheckpointIO()], "callbacks": [alarm, keep], "enable_checkpointing": True}
    bad = [poisoned(0)]
    module = fit([[batch(0)]] * 3 + [bad] * 2 + [[batch(1)]], Tiny(), trainer=settings)
    assert alarm.rolled_back == 1 and module.step == 3 and plugin.scaler.get_scale() == 32
