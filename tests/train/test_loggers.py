"""Trackers really write: figures, configuration, versions; a missing package is one sentence."""

from __future__ import annotations

import logging
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from speechunits import config
from speechunits.errors import UserError
from speechunits.part import fill
from speechunits.provenance import provenance
from speechunits.train import loggers

CONFIG = {"seed": 3, "model": {"depth": 2, "layers": [1, 2]}}


def use(name: str, folder: Path, step: int = 5) -> Any:
    """What its YAML builds, used as a run uses it."""
    tracker = fill(config.build(config.load(f"conf/logger/{name}.yaml"))["loggers"][name], folder=folder)
    loggers.announce([tracker], CONFIG, provenance())
    tracker.log_metrics({"train/loss": 1.5, "train/unit/cross_entropy": 0.25}, step=step)
    tracker.save()
    tracker.finalize("success")
    return tracker


def test_csv_merges_columns_and_survives_resuming(tmp_path: Path) -> None:
    table = tmp_path / "metrics.csv"
    first = fill(config.build(config.load("conf/logger/csv.yaml"))["loggers"]["csv"], folder=tmp_path)
    for step in (1, 2, 3, 4):
        first.log_metrics({"train/loss": step / 4}, step=step)
        if step % 2 == 0:
            first.log_metrics({"valid/loss": float(step)}, step=step)
    assert table.read_text().split() == ["step,train/loss,valid/loss", "1,0.25,", "2,0.5,2.0", "3,0.75,", "4,1.0,4.0"]
    resumed = loggers.csv(folder=tmp_path)  # from a checkpoint of update 2
    resumed.log_metrics({"train/loss": 0.8}, step=3)
    assert table.read_text().split() == ["step,train/loss,valid/loss", "1,0.25,", "2,0.5,2.0", "3,0.8,"]
    with table.open("a") as file:
        file.write("1")  # a crash tore this line: it was to be the 11th
    again = loggers.csv(folder=tmp_path)
    again.log_metrics({"train/loss": 0.7}, step=4)
    assert table.read_text().split() == ["step,train/loss,valid/loss", "1,0.25,", "2,0.5,2.0", "3,0.8,", "4,0.7,"]


def test_tensorboard_writes_events(tmp_path: Path) -> None:
    use("tensorboard", tmp_path)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    (loss,) = events.Scalars("train/loss")
    assert (loss.step, loss.value) == (5, 1.5)
    assert "depth: 2" in (tmp_path / "tensorboard" / "hparams.yaml").read_text()


@pytest.mark.slow
def test_mlflow_writes_its_database_and_goes_on_with_the_same_run(tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="mlflow is not installed")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    run = use("mlflow", tmp_path).run_id
    assert use("mlflow", tmp_path, step=6).run_id == run
    with sqlite3.connect(tmp_path / "mlflow.db") as db:
        figures = db.execute(
            "select run_uuid, step, value from metrics where key = 'train/loss' order by step"
        ).fetchall()
        parameters = dict(db.execute("select key, value from params").fetchall())
    assert figures == [(run, 5, 1.5), (run, 6, 1.5)]
    assert parameters["config/model/depth"] == "2" and parameters["provenance/git"] == provenance()["git"]


@pytest.mark.slow
def test_wandb_offline_writes_a_run(tmp_path: Path) -> None:
    import wandb

    tracker = use("wandb", tmp_path)
    assert tracker.experiment.config["config"]["model"]["depth"] == 2
    wandb.finish()
    (run,) = (tmp_path / "wandb").glob(f"offline-run-*-{(tmp_path / 'wandb.id').read_text().strip()}/*.wandb")
    assert run.stat().st_size > 0 and b"cross_entropy" in run.read_bytes()


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_a_missing_tracker_is_one_sentence(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)  # import now fails as it does without the package
    with pytest.raises(UserError, match=rf"{name}, which is not installed: pip install 'speechunits\[trackers\]'"):
        getattr(loggers, name)(folder=tmp_path)
