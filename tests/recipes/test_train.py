"""train: what a run leaves behind, and that workers, kills and processes do not change it."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from recipes.train import train
from speechunits import store
from speechunits.errors import UserError
from speechunits.recipe import run
from tests.recipes.toy import Corpus, finish, start, train_arguments

CLOCK = ("train/audio_seconds_per_second", "train/loader_wait", "system/")


def figures(out: Path) -> list[dict[str, str]]:
    """metrics.csv as it was written, to the last digit, without the figures of the clock and of the machine."""
    with (out / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if not k.startswith(CLOCK)} for row in csv.DictReader(file)]


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "encoder" / "weights.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.fixture(scope="module")
def whole(units: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("train") / "whole"
    return out, run(train, train_arguments(units, out))


def test_what_a_run_leaves_behind(whole: tuple[Path, dict[str, Any]], tokenizer: Path) -> None:
    out, mark = whole
    names = {p.name for p in out.iterdir()}
    assert names == {
        "_COMPLETE.json", "checkpoints", "config.json", "config.yaml", "encoder", ".lock", "metrics.csv", "train.log",
        "versions.json",
    }  # fmt: skip
    meta = store.read_meta(out / "encoder")
    assert (meta["kind"], meta["steps"], meta["fingerprint"]) == ("encoder", 8, mark["encoder"])
    assert meta["derived_from"] == [store.read_meta(tokenizer)["fingerprint"]]
    rows = figures(out)
    assert [row["step"] for row in rows] == [str(n) for n in range(1, 9)]
    assert mark["steps"] == 8 and mark["valid/loss"] == pytest.approx(float(rows[-1]["valid/loss"]), abs=1e-5)
    heard = [0.0, *(3600 * float(row["train/audio_hours"]) for row in rows)]
    data = json.loads((out / "config.json").read_text())["data"]
    limit = data["max_seconds"] * data.get("accumulate", 1)
    assert all(0 < after - before <= limit for before, after in pairwise(heard)), "audio of each update, summed up"
    assert "training stops after update 8" in (out / "train.log").read_text()


def test_the_resolved_configuration_runs_again(whole: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    out, _ = whole
    tree = yaml.safe_load((out / "config.yaml").read_text())
    assert tree == {**json.loads((out / "config.json").read_text()), "seed": 0}, "with defaults that matter"
    shutil.copy(out / "config.yaml", tmp_path / "again.yaml")
    run(train, [str(tmp_path / "again.yaml"), f"out={tmp_path / 'again'}"])
    assert same(weights(out), weights(tmp_path / "again"))


@pytest.mark.slow
def test_workers_change_nothing(whole: tuple[Path, dict[str, Any]], units: Path, tmp_path: Path) -> None:
    out, _ = whole
    run(train, train_arguments(units, tmp_path / "two", "data.num_workers=2"))
    assert figures(tmp_path / "two") == figures(out) and same(weights(tmp_path / "two"), weights(out))


def test_another_seed_is_another_run(whole: tuple[Path, dict[str, Any]], units: Path, tmp_path: Path) -> None:
    run(train, train_arguments(units, tmp_path / "other", "seed=1"))
    assert figures(tmp_path / "other")[0]["train/loss"] != figures(whole[0])[0]["train/loss"]


@pytest.mark.slow
@pytest.mark.parametrize(("sign", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 143)])
def test_a_killed_training_is_continued_bit_for_bit(units: Path, tmp_path: Path, sign: int, code: int) -> None:
    """Killed after the first checkpoint, in the middle of things; then the same command again."""
    run(train, train_arguments(units, tmp_path / "whole", "trainer.max_steps=14"))
    slow = "data.fields.audio._target_=tests.recipes.slow_parts.SlowAudio"
    arguments = train_arguments(units, tmp_path / "killed", "trainer.max_steps=14", slow)
    process, out = start("train", arguments), tmp_path / "killed"
    for _ in range(2400):
        time.sleep(0.05)
        table = out / "metrics.csv"
        if (out / "checkpoints" / "step-000000004.ckpt").exists() and len(table.read_text().splitlines()) > 6:
            break
        assert process.poll() is None, process.communicate()
    process.send_signal(sign)
    finish(process, code)
    assert not (out / "_COMPLETE.json").exists() and not (out / "encoder").exists()
    assert int(figures(out)[-1]["step"]) < 14, "it was killed too late to show anything"
    mark = run(train, arguments)
    assert mark["steps"] == 14 and same(weights(out), weights(tmp_path / "whole"))
    rows = {row["step"]: row for row in figures(out)}
    for row in figures(tmp_path / "whole"):
        assert {k: rows[row["step"]][k] for k in row if row[k]} == {k: v for k, v in row.items() if v}


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_take_the_steps_of_one(strategy: str, units: Path, tmp_path: Path) -> None:
    """Two ranks with two micro-batches each are one rank with four; one of them owns the folder."""
    still = [f"model.encoder.encoder.{k}=0" for k in ("dropout", "attention_dropout", "layerdrop")]
    still += ["model.encoder.projection.dropout=0", "data.max_seconds=0.8", "trainer.max_steps=6"]
    run(train, train_arguments(units, tmp_path / "one", "data.accumulate=4", *still))
    several = ["trainer.devices=2", f"trainer.strategy={strategy}"]
    said = finish(start("train", train_arguments(units, tmp_path / "two", *several, *still)))
    one, two = figures(tmp_path / "one"), figures(tmp_path / "two")
    for a, b in zip(one, two, strict=True):
        assert float(a["train/loss"]) == pytest.approx(float(b["train/loss"]), rel=1e-4)
        assert float(a["train/grad_norm"]) == pytest.approx(float(b["train/grad_norm"]), rel=1e-3)
    assert float(one[-1]["valid/loss"]) == pytest.approx(float(two[-1]["valid/loss"]), rel=1e-3)
    mark = json.loads((tmp_path / "two" / "_COMPLETE.json").read_text())
    assert mark["steps"] == 6 and mark["encoder"] == store.read_meta(tmp_path / "two" / "encoder")["fingerprint"]
    assert said.count("training stops after update 6") == 1, "one process speaks"
    alone, together = (weights(tmp_path / name) for name in ("one", "two"))
    assert alone.keys() == together.keys() and all(together[name].shape == alone[name].shape for name in alone)


# ------------------------------------------------------------------------------------------------ parents, measures


def test_measures_get_the_vocabulary_and_their_fields_are_no_parents(
    corpus: Corpus, units: Path, tokenizer: Path, tmp_path: Path
) -> None:
    more = [
        "data.fields.phones._target_=speechunits.data.fields.PhoneField",
        f"data.fields.phones.symbols={corpus.symbols}",
        "measures.purity._target_=speechunits.metrics.unit_purity.UnitPurity",
        "measures.usage._target_=speechunits.metrics.codebook_usage.CodebookUsage",
        "trainer.max_steps=2",
    ]
    mark = run(train, train_arguments(units, tmp_path / "run", *more))
    assert 0 <= mark["valid/purity/pnmi"] <= 1
    assert mark["valid/usage/usage"] * 8 == pytest.approx(round(mark["valid/usage/usage"] * 8), abs=1e-3)
    assert 1 <= mark["valid/usage/perplexity"] <= 8
    meta = store.read_meta(tmp_path / "run" / "encoder")
    assert meta["derived_from"] == [store.read_meta(tokenizer)["fingerprint"]]


def test_a_part_that_measures_nothing_is_named(units: Path, tmp_path: Path) -> None:
    wrong = "measures.usage._target_=speechunits.heads.linear.LinearHead"
    with pytest.raises(UserError, match=r"measures\.usage: no measure"):
        run(train, train_arguments(units, tmp_path / "run", wrong))


# ------------------------------------------------------------------------------------------------ init_from


def test_alarms_are_changed_in_the_configuration_and_counted_in_the_summary(units: Path, tmp_path: Path) -> None:
    changes = ["trainer.max_steps=2", "trainer.alarms.constant_labels.limit=1000", "trainer.alarms.loss_scale=false"]
    mark = run(train, train_arguments(units, tmp_path / "out", *changes))
    assert mark["alarm/constant_labels"] == 2
    with pytest.raises(UserError, match=r"trainer\.alarms\.not_finite.*patience"):
        run(train, train_arguments(units, tmp_path / "other", "trainer.alarms.not_finite.patience=3"))


def test_init_from_starts_with_the_weights_of_another_run(
    whole: tuple[Path, dict[str, Any]], units: Path, tokenizer: Path, tmp_path: Path
) -> None:
    """With a learning rate of 0 at the first update the encoder comes out as it went in."""
    out, mark = whole
    given = f"init_from={out / 'encoder'}"
    run(train, train_arguments(units, tmp_path / "run", given, "trainer.max_steps=1", "seed=5"))
    assert same(weights(tmp_path / "run"), weights(out))
    parents = store.read_meta(tmp_path / "run" / "encoder")["derived_from"]
    assert parents == sorted([mark["encoder"], store.read_meta(tokenizer)["fingerprint"]])


@pytest.mark.parametrize("change", ["model.encoder.encoder.depth=1", "model.encoder.encoder.ffn=48"])
def test_another_architecture_is_refused(
    whole: tuple[Path, dict[str, Any]], units: Path, tmp_path: Path, change: str
) -> None:
    given = f"init_from={whole[0] / 'encoder'}"
    with pytest.raises(UserError, match=r"another architecture than model\.encoder"):
        run(train, train_arguments(units, tmp_path / "run", given, change))
    assert {p.name for p in (tmp_path / "run").iterdir()} <= {".lock", "train.log"}
