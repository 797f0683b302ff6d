"""train of a generator and a discriminator: its module is found by protocol, its keys belong to it alone."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from recipes.train import train
from speechunits import store
from speechunits.errors import UserError
from speechunits.recipe import run
from tests.recipes.toy import train_arguments

CONTEST = [
    "model._target_=tests.train.contest.Contest",
    "model.generator._target_=tests.train.contest.Mender",
    "model.discriminator._target_=tests.train.contest.Judge",
]
OPTIMIZER = [
    "discriminator_optimizer._target_=speechunits.train.optim.adamw",
    "discriminator_optimizer._partial_=true",
    "discriminator_optimizer.lr=2e-2",
]
SCHEDULE = [
    "discriminator_schedule._target_=speechunits.train.schedules.polynomial_decay",
    "discriminator_schedule._partial_=true",
    "discriminator_schedule.warmup=1",
    "discriminator_schedule.total=40",
]


def figures(out: Path) -> list[dict[str, Any]]:
    with (out / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_both_sides_are_trained_and_the_generator_is_saved(units: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    mark = run(train, train_arguments(units, out, *CONTEST, *OPTIMIZER, *SCHEDULE, "trainer.max_steps=3"))
    table = figures(out)
    assert mark["steps"] == 3 and [row["step"] for row in table] == ["1", "2", "3"]
    assert float(table[-1]["train/discriminator/lr"]) == pytest.approx(2e-2 * 38 / 39)
    assert float(table[-1]["train/lr"]) == pytest.approx(1e-2)
    assert store.read_meta(out / "mender")["fingerprint"] == mark["mender"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (OPTIMIZER, r"discriminator_optimizer: model SSLModel has no discriminator; drop discriminator_optimizer$"),
        (SCHEDULE, r"discriminator_schedule: model SSLModel has no discriminator; drop discriminator_schedule$"),
        (CONTEST, r"discriminator_optimizer: model Contest has a discriminator to train; give it one, as optimizer"),
        ([*CONTEST, "init_from=encoder"], r"init_from=encoder: model Contest has no encoder to begin with; drop it"),
        ([*CONTEST, *OPTIMIZER], r"schedule, discriminator_schedule: only one side has a schedule; give both or none"),
    ],
)
def test_missing_and_superfluous_keys_are_named(given: list[str], said: str, units: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        run(train, train_arguments(units, tmp_path / "run", *given))
    assert {p.name for p in (tmp_path / "run").iterdir()} <= {".lock", "train.log"}
