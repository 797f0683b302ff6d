"""build_trainer: limits, YAML, and the sentences of its errors."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.plugins.environments import LightningEnvironment

from speechunits import config
from speechunits.errors import UserError
from speechunits.part import fill
from speechunits.train.launch import SrunEnvironment
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


TASK = {
    "SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_NODEID": "1",
    "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_NODELIST": "n[1-2]",
    "MASTER_ADDR": "127.0.0.1",
}  # fmt: skip


def trainer(folder: Path, monkeypatch: pytest.MonkeyPatch, env: dict[str, str], **options: int) -> Trainer:
    monkeypatch.delenv("MASTER_PORT", raising=False)  # of processes that met in a test before this one
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    return build_trainer(1, accelerator="cpu", folder=folder, **options)  # type: ignore[arg-type]


def test_tasks_of_srun_are_the_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    strategy = trainer(tmp_path, monkeypatch, TASK, devices=2, nodes=2).strategy
    assert isinstance(strategy, WindowDDP) and isinstance(strategy.cluster_environment, SrunEnvironment)
    found = strategy.cluster_environment
    assert (found.world_size(), found.global_rank(), found.local_rank(), found.node_rank()) == (4, 3, 1, 1)
    assert (found.main_address, found.main_port) == ("127.0.0.1", 15007) and found.creates_processes_externally
    found.validate_settings(2, 2)
    with pytest.raises(UserError, match=r"4 tasks on 2 node\(s\); give trainer.devices=2 trainer.nodes=2"):
        found.validate_settings(4, 1)


def test_a_batch_script_without_srun_starts_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning's own environment would wait for the tasks of the allocation, and take SIGUSR1 for itself."""
    alone = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "2", "SLURM_PROCID": "0"}
    strategy = trainer(tmp_path, monkeypatch, alone, devices=2).strategy
    assert isinstance(strategy, WindowDDP) and isinstance(strategy.cluster_environment, LightningEnvironment)
    assert trainer(tmp_path, monkeypatch, alone).world_size == 1


@pytest.mark.parametrize(
    ("env", "options", "sentence"),
    [
        (TASK, {}, "trainer.devices=1 trainer.nodes=1: 4 processes were started by torchrun or srun; give as many"),
        ({"RANK": "1", "WORLD_SIZE": "2"}, {"devices": 8}, "trainer.devices=8 trainer.nodes=1: 2 processes were"),
        ({}, {"nodes": 2}, "trainer.nodes=2: this process was started alone and would wait for others in vain"),
    ],
)
def test_other_processes_than_the_trainer_asks_for(
    env: dict[str, str], options: dict[str, int], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)):
        trainer(tmp_path, monkeypatch, env, **options)


@pytest.mark.parametrize("name", ["hubert", "adamw"])
def test_the_optimizer_yaml_builds(name: str) -> None:
    parts = config.build(config.load(f"conf/optim/{name}.yaml"))
    optimizer = parts["optimizer"]([("w", torch.nn.Parameter(torch.zeros(2, 2)))])
    assert parts["optimizer"].func is adamw and optimizer.param_groups[0]["fused"]
    if "schedule" in parts:
        peak = parts["optimizer"].keywords["lr"]
        factor = parts["schedule"](optimizer).lr_lambdas[0]
        assert max(factor(n) for n in range(0, 100_000, 1000)) == 1.0 and optimizer.defaults["lr"] == peak


def test_a_seed_of_somebody_else_is_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By PL_GLOBAL_SEED Lightning would seed all ranks alike: the same command, another run."""
    monkeypatch.setenv("PL_GLOBAL_SEED", "3")
    build_trainer(1, accelerator="cpu", folder=tmp_path)
    assert "PL_GLOBAL_SEED" not in os.environ
