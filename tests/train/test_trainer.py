"""build_trainer: limits, YAML, and the sentences of its errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from speechunits import config
from speechunits.errors import UserError
from speechunits.part import fill
from speechunits.train.optim import adamw
from speechunits.train.sharded import WindowFSDP
from speechunits.train.strategy import WindowDDP
from speechunits.train.trainer import build_trainer


def test_a_run_needs_an_end(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give one of them"):
        build_trainer(folder=tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="the sentence is for machines without a GPU")
def test_a_gpu_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no usable GPU"):
        fill(config.build(config.load("conf/trainer/gpu.yaml", "trainer.max_steps=1"))["trainer"], folder=tmp_path)


def test_the_cpu_yaml_builds_and_several_processes_are_exact_ones(tmp_path: Path) -> None:
    single = fill(config.build(config.load("conf/trainer/cpu.yaml", "trainer.max_steps=1"))["trainer"], folder=tmp_path)
    assert single.num_devices == 1 and single.world_size == 1
    tree = config.load("conf/trainer/cpu.yaml", "trainer.max_steps=1", "trainer.devices=2")
    double = fill(config.build(tree)["trainer"], folder=tmp_path)
    assert isinstance(double.strategy, WindowDDP) and double.world_size == 2


def test_the_fsdp_yaml_is_that_of_ddp_with_another_strategy(tmp_path: Path) -> None:
    tree = config.load("conf/trainer/fsdp.yaml", "trainer.max_steps=1")["trainer"]
    assert tree.pop("strategy") == "fsdp"
    assert tree == config.load("conf/trainer/ddp.yaml", "trainer.max_steps=1")["trainer"]
    on_cpu = ["trainer.accelerator=cpu", "trainer.devices=2", "trainer.precision=32-true", "trainer.max_steps=1"]
    made = fill(config.build(config.load("conf/trainer/fsdp.yaml", *on_cpu))["trainer"], folder=tmp_path)
    assert isinstance(made.strategy, WindowFSDP) and made.world_size == 2
    alone = config.load("conf/trainer/fsdp.yaml", *on_cpu, "trainer.devices=1")
    assert fill(config.build(alone)["trainer"], folder=tmp_path).world_size == 1
    with pytest.raises(UserError, match=r"trainer.start=spawn: .* give trainer.start=popen"):
        build_trainer(1, accelerator="cpu", devices=2, strategy="fsdp", start="spawn", folder=tmp_path)


@pytest.mark.parametrize("name", ["hubert", "adamw"])
def test_the_optimizer_yaml_builds(name: str) -> None:
    parts = config.build(config.load(f"conf/optim/{name}.yaml"))
    optimizer = parts["optimizer"]([("w", torch.nn.Parameter(torch.zeros(2, 2)))])
    assert parts["optimizer"].func is adamw and optimizer.param_groups[0]["fused"]
    if "schedule" in parts:
        peak = parts["optimizer"].keywords["lr"]
        factor = parts["schedule"](optimizer).lr_lambdas[0]
        assert max(factor(n) for n in range(0, 100_000, 1000)) == 1.0 and optimizer.defaults["lr"] == peak
