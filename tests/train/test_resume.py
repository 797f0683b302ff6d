"""Resumed training is uninterrupted training, bit for bit; stops come after whole updates."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch

from speechunits.errors import UserError
from speechunits.metrics.wer import WER
from speechunits.tasks.recogniser import Recogniser
from speechunits.train.callbacks.stop import SIGNALS, Stop
from speechunits.train.checkpoint import FolderCheckpointIO, newest_whole
from speechunits.tuning.full import Full
from speechunits.tuning.lora import LoRA
from tests.train.distilled import distilled
from tests.train.recognised import recognised
from tests.train.tiny import Each, Tiny, TinyData, rows, train

NOISY = partial(Tiny, dropout=0.4, skip=0.3)
EVERY = {"validate_every": 4, "checkpoint_every": 3, "keep_last": None}


def checkpoint(folder: Path, step: int) -> Path:
    return folder / "checkpoints" / f"step-{step:09d}.ckpt"


def same(a: Any, b: Any) -> None:
    for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        assert torch.equal(x, y), name


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize(("at", "workers"), [(3, 0), (5, 0), (8, 0), (7, 2)])
def test_resumed_equals_uninterrupted(tmp_path: Path, at: int, workers: int, sized: bool) -> None:
    """Mid-epoch (3, 7), at the end of an epoch of five windows (5), and on an update that validates (8)."""
    whole = train(tmp_path / "whole", 12, TinyData(), NOISY, **EVERY)
    train(tmp_path / "parts", at, TinyData(workers=workers, sized=sized), NOISY, **EVERY)
    rest = train(
        tmp_path / "parts",
        12,
        TinyData(workers=workers, sized=sized),
        NOISY,
        resume=checkpoint(tmp_path / "parts", at),
        **EVERY,
    )
    assert rest.step == whole.step == 12
    same(whole, rest)
    table = {row["step"]: row for row in rows(tmp_path / "parts")}
    for row in rows(tmp_path / "whole"):
        # the interrupted run validated at its end, as every run does; all else is the same
        assert {k: v for k, v in table[row["step"]].items() if k in row} == row
    assert sorted(table) == [float(n) for n in range(1, 13)]


def test_a_teacher_and_its_codebooks_resume_too(tmp_path: Path) -> None:
    model = partial(distilled, dropout=0.3)
    whole = train(tmp_path / "whole", 8, TinyData(), model, **EVERY)
    train(tmp_path / "parts", 3, TinyData(), model, **EVERY)
    rest = train(tmp_path / "parts", 8, TinyData(), model, resume=checkpoint(tmp_path / "parts", 3), **EVERY)
    same(whole, rest)
    quantizer = rest.model.objectives["units"].target.quantizer
    assert not quantizer.counts.eq(1).all() and int(rest.model.teacher.step) == 8
    figures = rows(tmp_path / "parts")[-2]
    assert 1 <= figures["train/units/target_perplexity"] <= 5 and 1 <= figures["train/units/answer_perplexity"] <= 5


# before, at and after the update that lets gradients into the encoder
@pytest.mark.parametrize(("at", "tuning"), [(2, Full), (4, Full), (6, partial(LoRA, 2))])
def test_a_frozen_encoder_thaws_in_a_resumed_run_as_in_an_uninterrupted_one(
    tmp_path: Path, at: int, tuning: Callable[[], Any]
) -> None:
    def model() -> Recogniser:
        return recognised(dropout=0.3, freeze_updates=4, tuning=tuning())

    options: dict[str, Any] = {"measures": {"wer": WER()}}
    frozen = train(tmp_path / "frozen", 4, TinyData(), model, options=options)
    assert len(frozen.optimizers().state_dict()["state"]) == 2, "the head's weight and bias alone have moved"
    whole = train(tmp_path / "whole", 8, TinyData(), model, options=options, **EVERY)
    train(tmp_path / "parts", at, TinyData(), model, options=options, **{**EVERY, "checkpoint_every": 2})
    resume = checkpoint(tmp_path / "parts", at)
    rest = train(tmp_path / "parts", 8, TinyData(), model, resume=resume, options=options, **EVERY)
    same(whole, rest)
    assert rest.model.moving and int(rest.model.updates) == 8
    assert rows(tmp_path / "parts")[-1]["valid/wer/cer"] == rows(tmp_path / "whole")[-1]["valid/wer/cer"] > 0


def test_optimizer_state_is_the_uninterrupted_one(tmp_path: Path) -> None:
    train(tmp_path / "whole", 6, TinyData(), NOISY, **EVERY)
    train(tmp_path / "parts", 3, TinyData(), NOISY, **EVERY)
    train(tmp_path / "parts", 6, TinyData(), NOISY, resume=checkpoint(tmp_path / "parts", 3), **EVERY)
    a, b = (FolderCheckpointIO().load_checkpoint(checkpoint(tmp_path / kind, 6)) for kind in ("whole", "parts"))
    for state, other in zip(a["optimizer_states"], b["optimizer_states"], strict=True):
        assert len(state["state"]) == 6
        for index, moments in state["state"].items():
            for name, value in moments.items():
                assert torch.equal(value, other["state"][index][name])
    assert a["lr_schedulers"] == b["lr_schedulers"] and a["TinyData"] == b["TinyData"] == {"epoch": 1, "next": 1}
    assert "loops" not in a


def test_a_finished_run_that_is_resumed_makes_no_update(tmp_path: Path) -> None:
    done = train(tmp_path, 4, TinyData(), NOISY)
    again = train(tmp_path, 4, TinyData(), NOISY, resume=newest_whole(tmp_path / "checkpoints"))
    assert again.step == 4
    same(done, again)


def test_the_last_ones_and_the_best_stay(tmp_path: Path) -> None:
    run = train(tmp_path, 9, validate_every=1, checkpoint_every=2, keep_last=2, best="valid/loss")
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["best.ckpt", "step-000000008.ckpt", "step-000000009.ckpt"]
    best = FolderCheckpointIO().load_checkpoint(tmp_path / "checkpoints" / "best.ckpt")
    losses = {row["step"]: row["valid/loss"] for row in rows(tmp_path)}
    assert best["speechunits"]["step"] == min(losses, key=lambda step: losses[step])
    assert run.figures["valid/loss"] == losses[9.0]
    assert 0 < run.figures["system/checkpoint_seconds"] < run.trainer.checkpoint_callback.seconds, "so far, and in all"


def test_a_run_that_goes_on_before_a_damaged_checkpoint_keeps_what_it_saves(tmp_path: Path) -> None:
    """The damaged one, of a later update, must not be taken for the last one that stays."""
    train(tmp_path, 10, checkpoint_every=2, keep_last=2)
    (checkpoint(tmp_path, 10) / "state.json").write_text("{")
    found = newest_whole(tmp_path / "checkpoints")
    assert found == checkpoint(tmp_path, 8)
    train(tmp_path, 9, checkpoint_every=3, keep_last=1, resume=found)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["step-000000009.ckpt", "step-000000010.ckpt.aside"]


def test_a_changed_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    """0, then 2, then 1 of them, each time from the middle of an epoch."""
    whole = train(tmp_path / "whole", 12, TinyData(), NOISY, **EVERY)
    start = None
    for workers, end in ((0, 3), (2, 7), (1, 12)):
        part = train(tmp_path / "parts", end, TinyData(workers=workers), NOISY, resume=start, **EVERY)
        start = checkpoint(tmp_path / "parts", end)
    same(whole, part)
    a, b = (FolderCheckpointIO().load_checkpoint(checkpoint(tmp_path / kind, 12)) for kind in ("whole", "parts"))
    assert a["TinyData"] == b["TinyData"] == {"epoch": 2, "next": 2}


class Cut(lightning.Callback):
    """Ends the run where a validation begins, after the checkpoint of that update."""

    def on_validation_start(self, *args: Any) -> None:
        raise KeyboardInterrupt


def test_a_validation_that_was_cut_off_is_made_up(tmp_path: Path) -> None:
    """Its figures and its part in the choice of the best are not lost."""
    settings: dict[str, Any] = {"validate_every": 4, "checkpoint_every": 2, "best": "valid/loss"}
    whole = train(tmp_path / "whole", 10, TinyData(), NOISY, **settings)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(tmp_path / "parts", 10, TinyData(), NOISY, callbacks=[Cut()], **settings)
    start = newest_whole(tmp_path / "parts" / "checkpoints")
    assert start == checkpoint(tmp_path / "parts", 4)
    rest = train(tmp_path / "parts", 10, TinyData(), NOISY, resume=start, **settings)
    same(whole, rest)
    assert rows(tmp_path / "whole") == rows(tmp_path / "parts")
    best = [run.trainer.checkpoint_callback.best_value for run in (whole, rest)]  # type: ignore[union-attr]
    assert best[0] == best[1] is not None


def test_a_figure_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"trainer.best=valid/wer.*valid/loss"):
        train(tmp_path, 2, validate_every=1, best="valid/wer")


def test_the_clock_ends_a_run_after_a_whole_update(tmp_path: Path) -> None:
    run = train(tmp_path, None, max_seconds=0.5, callbacks=[Each(lambda step: time.sleep(0.2))])
    assert 2 <= run.step <= 4
    saved = FolderCheckpointIO().load_checkpoint(checkpoint(tmp_path, run.step))
    stop = next(c for c in run.trainer.callbacks if isinstance(c, Stop))  # type: ignore[attr-defined]
    assert stop.reason == "seconds" and saved["callbacks"]["Stop"]["seconds"] >= 0.5
    assert rows(tmp_path)[-1]["valid/loss"] > 0, "the end of a run is validated"
    # the budget is of the whole run: nothing is left of it
    again = train(tmp_path, None, max_seconds=0.5, resume=checkpoint(tmp_path, run.step))
    assert again.step == run.step


@pytest.mark.parametrize(
    ("sent", "code"),
    [((signal.SIGTERM,), 143), ((signal.SIGUSR1,), 138), ((signal.SIGTERM, signal.SIGUSR1), 143)],
    ids=["cancelled", "to be requeued", "cancelled on its way"],
)
def test_a_signal_saves_and_ends_the_run(sent: tuple[int, ...], code: int, tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    kill = Each(lambda step: [os.kill(os.getpid(), number) for number in sent] if step == 3 else None)
    with pytest.raises(SystemExit) as end:
        train(tmp_path, 50, callbacks=[kill])
    assert end.value.code == code, "what comes after fit must not take the run for a finished one"
    assert newest_whole(tmp_path / "checkpoints") == checkpoint(tmp_path, 4), "saved after the next whole update"
    assert "valid/loss" not in rows(tmp_path)[-1], "there may be no time for a validation"
    assert [signal.getsignal(number) for number in SIGNALS] == before
    assert train(tmp_path, 6, resume=checkpoint(tmp_path, 4)).step == 6
