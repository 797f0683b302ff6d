"""Every alarm is provoked by a real training that has what it names, and a healthy one raises none."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision

from speechunits.errors import UserError
from speechunits.objectives.feature_penalty import FeaturePenalty
from speechunits.pretraining import SSLModel
from speechunits.train.alarms.alarm import Alarm
from speechunits.train.alarms.loss_scale import LossScale
from speechunits.train.alarms.ranks_out_of_step import differences
from speechunits.train.alarms.standard import STANDARD, standard_alarms
from speechunits.train.module import TrainModule
from speechunits.train.optim import adamw
from tests.train.distilled import distilled
from tests.train.stored import CODES, LabelledData, constant, predicting
from tests.train.test_module import fit
from tests.train.tiny import Tiny, TinyData, batch, rows, train


@pytest.fixture(autouse=True)
def warnings(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What alarms said."""
    caplog.set_level(logging.WARNING, "speechunits")
    return lambda: [r.getMessage() for r in caplog.records if r.getMessage().startswith("alarm")]


def run(folder: Path, steps: int, model: Any, data: Any = None, lr: float = 1e-2, **alarms: Any) -> TrainModule:
    options = {"optimizer": partial(adamw, lr=lr), "schedule": None}
    return train(folder, steps, data or LabelledData(), model, alarms=alarms, options=options)


def rung(module: TrainModule) -> dict[str, int]:
    return {k.removeprefix("alarm/"): int(v) for k, v in module.figures.items() if k.startswith("alarm/")}


@pytest.mark.parametrize("model", [Tiny, distilled, predicting])
def test_a_healthy_run_raises_none(tmp_path: Path, model: Any, warnings: Callable[[], list[str]]) -> None:
    data = TinyData() if model is not predicting else LabelledData()
    module = train(tmp_path, 12, data, model)  # type: ignore[arg-type]
    assert {a.state_key for a in module.trainer.callbacks if isinstance(a, Alarm)} == {
        f"alarm/{name}" for name in STANDARD
    }  # type: ignore[attr-defined]
    assert rung(module) == {} and warnings() == []


def test_constant_labels_and_the_accuracy_they_give(tmp_path: Path, warnings: Callable[[], list[str]]) -> None:
    module = run(tmp_path, 20, predicting, LabelledData(constant), lr=0.1)
    assert rung(module)["constant_labels"] == 20
    first, *later = [text for text in warnings() if "constant_labels" in text]
    assert first.startswith(
        "alarm constant_labels after update 1: train/units/target_perplexity is 1.00: one label for all "
        "(since update 1, 1 time in this run). Try: look at the stored units"
    )
    assert len(later) == 4, "said again the second, fourth, eighth and sixteenth time"
    assert "after update 16" in later[-1] and "(since update 1, 16 times in this run)" in later[-1]
    early = next(text for text in warnings() if "accuracy_too_early" in text)
    assert "train/units/accuracy is 1.0000 so early" in early
    learned = next(row["step"] for row in rows(tmp_path) if row["train/units/accuracy"] > 0.99)
    assert f"(since update {learned:.0f}, 1 time" in early
    table = rows(tmp_path)
    assert [row["alarm/constant_labels"] for row in table] == list(range(1, 21)), "trackers are told each time"
    off = run(tmp_path / "off", 3, predicting, LabelledData(constant), constant_labels=False)
    assert "constant_labels" not in rung(off)


def test_an_update_that_scores_nothing_has_no_constant_labels(tmp_path: Path) -> None:
    module = run(tmp_path, 3, predicting, LabelledData(lambda samples: torch.full_like(samples, -1, dtype=torch.int64)))
    assert module.step == 3 and module.figures["train/units/accuracy"] == 0
    assert rung(module) == {}


def collapsed() -> SSLModel:
    """All codes but the first are far from every vector: a teacher's targets that nothing can mend."""
    model = distilled()
    quantizer = model.objectives["units"].target.quantizer
    quantizer.sums[:, 1:] = 1e4
    return model


def test_a_collapsed_codebook(tmp_path: Path, warnings: Callable[[], list[str]]) -> None:
    module = run(tmp_path, 4, collapsed, TinyData(), codebook_collapse={"targets": 0.4})
    assert rung(module)["codebook_collapse"] == 4
    assert "the targets of units have a perplexity of 1.0 out of 5 codes (since update 1" in warnings()[0]
    assert "revive_after" in warnings()[0]


def test_answers_that_collapse(tmp_path: Path, warnings: Callable[[], list[str]]) -> None:
    def stuck() -> SSLModel:
        model = predicting()
        with torch.no_grad():
            next(m for m in model.objectives["units"].head.modules() if hasattr(m, "bias")).bias[2] = 1e3
        return model

    module = run(tmp_path, 6, stuck, lr=1e-6, codebook_collapse={"answers": 0.5, "after": 4})
    assert rung(module) == {"codebook_collapse": 3}, "from update 4 on"
    assert "the answers of units have a perplexity of 1.0, their targets" in warnings()[0]
    assert module.figures["train/units/target_perplexity"] > CODES / 2


def test_a_penalty_that_explodes(tmp_path: Path, warnings: Callable[[], list[str]]) -> None:
    model = partial(predicting, {"penalty": partial(FeaturePenalty, -1.0)})  # rewarded: features grow and grow
    module = run(tmp_path, 30, model, lr=0.1)
    values = [row["train/penalty/square"] for row in rows(tmp_path)]
    above = sum(value > 10 * values[0] for value in values)
    assert rung(module)["penalty_explodes"] == above > 3
    assert f"at first {values[0]:g}" in warnings()[0] and "train/penalty/square is" in warnings()[0]


def test_a_starving_loader(tmp_path: Path, warnings: Callable[[], list[str]]) -> None:
    slow = LabelledData(before=lambda window: time.sleep(0.1))
    module = run(tmp_path, 12, predicting, slow, loader_starvation={"seconds": 0.4})
    assert rung(module)["loader_starvation"] >= 1
    assert "s went into waiting for the loader" in warnings()[0] and "data.num_workers" in warnings()[0]


def test_a_loss_scale_below_one(warnings: Callable[[], list[str]]) -> None:
    plugin = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=0.25))
    settings = {"plugins": [plugin], "callbacks": [LossScale()]}
    module = fit([[batch(0)]] * 2, Tiny(), trainer=settings)
    assert rung(module) == {"loss_scale": 2} and "the loss scale is 0.25" in warnings()[0]
    assert "bf16-mixed" in warnings()[0]


def test_trouble_that_ends_and_comes_back_has_a_new_beginning(
    tmp_path: Path, warnings: Callable[[], list[str]]
) -> None:
    class Sometimes(Alarm):
        name, advice = "sometimes", "Try: patience"

        def look(self, figures: Any, module: Any) -> str | None:
            return "it is" if module.step in (2, 3, 5) else None

    alarm = Sometimes()
    module = run(tmp_path, 6, predicting, sometimes=alarm)
    assert rung(module) == {"sometimes": 3} and alarm.since is None
    assert [row.get("alarm/sometimes") for row in rows(tmp_path)] == [None, 1, 2, None, 3, None]
    assert warnings() == [
        "alarm sometimes after update 2: it is (since update 2, 1 time in this run). Try: patience",
        "alarm sometimes after update 3: it is (since update 2, 2 times in this run). Try: patience",
    ]


def test_counts_are_resumed(tmp_path: Path) -> None:
    def part(folder: Path, steps: int, resume: Path | None = None) -> TrainModule:
        lightning.seed_everything(0, verbose=False)
        return train(
            folder, steps, LabelledData(constant), predicting, resume, alarms={"accuracy_too_early": {"limit": 0.0}}  # type: ignore[arg-type]
        )  # fmt: skip

    part(tmp_path, 3)
    rest = part(tmp_path, 5, tmp_path / "checkpoints" / "step-000000003.ckpt")
    assert rung(rest)["constant_labels"] == 5
    assert next(a for a in rest.trainer.callbacks if isinstance(a, STANDARD["constant_labels"])).since == 1  # type: ignore[attr-defined]
    healthy = train(tmp_path, 6, LabelledData(), predicting, tmp_path / "checkpoints" / "step-000000005.ckpt")  # type: ignore[arg-type]
    assert rung(healthy)["constant_labels"] == 5, "what rang before stays in the summary"
    assert "alarm/constant_labels" not in rows(tmp_path)[-1]


def test_alarms_are_chosen_by_name() -> None:
    made = {type(a).__name__: a for a in standard_alarms({"loss_scale": False, "not_finite": {"after": 3}})}
    assert len(made) == len(STANDARD) - 1 and "LossScale" not in made and made["NotFinite"].after == 3  # type: ignore[attr-defined]
    with pytest.raises(
        UserError, match=r"trainer\.alarms\.nan: there is no such alarm; there are accuracy_too_early, "
    ):
        standard_alarms({"nan": {}})
    with pytest.raises(UserError, match=r"trainer\.alarms\.not_finite.*patience"):
        standard_alarms({"not_finite": {"patience": 3}})


def test_what_differs_between_ranks_is_said_by_rank() -> None:
    assert differences({"update": (7, 7, 7), "data window": (3, 3, 3)}) == ""
    assert differences({"update": (7, 8, 8), "data window": (3, 3, 4)}) == (
        "update is 7 on rank 0 and 8 on ranks 1, 2; data window is 3 on ranks 0, 1 and 4 on rank 2"
    )
