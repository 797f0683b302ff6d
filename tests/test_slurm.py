"""What is read from the variables of srun, and what from those of torchrun under it."""

from __future__ import annotations

import os
import socket

import pytest
import torch

from speechunits import ranks, slurm
from speechunits.errors import UserError

BATCH = {"SLURM_JOB_ID": "1234", "SLURM_NTASKS": "8", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
TASK = BATCH | {
    "SLURM_PROCID": "5", "SLURM_LOCALID": "1", "SLURM_NODEID": "1", "SLURM_STEP_NUM_TASKS": "8", "SLURM_STEP_ID": "2",
    "SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_NODELIST": "gpu[07-08]",
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("SLURM_") or name in (*ranks.LAUNCHED, "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
            monkeypatch.delenv(name)


def within(monkeypatch: pytest.MonkeyPatch, env: dict[str, str]) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)


def test_a_task_of_srun_is_one_of_several(monkeypatch: pytest.MonkeyPatch) -> None:
    within(monkeypatch, TASK)
    assert (slurm.task(), slurm.tasks(), slurm.task_on_node(), slurm.node(), slurm.nodes()) == (5, 8, 1, 1, 2)
    assert ranks.launched() == ranks.share_of_work() == (5, 8)
    assert ranks.on_node() == 1 and not ranks.first_process()
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert ranks.first_process()


@pytest.mark.parametrize("env", [{}, BATCH, TASK | {"SLURM_STEP_NUM_TASKS": "1"}])
def test_without_srun_a_process_is_alone(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch script's own processes wait for nobody, however many tasks the allocation is for."""
    within(monkeypatch, env)
    assert slurm.tasks() == 1 and ranks.launched() == ranks.share_of_work() == (0, 1)
    assert ranks.on_node() is None and ranks.first_process()


def test_torchrun_under_srun_has_the_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """c10d may give rank 0 to another node than SLURM's first."""
    within(monkeypatch, TASK | {"RANK": "0", "WORLD_SIZE": "16", "LOCAL_RANK": "3", "GROUP_RANK": "0"})
    assert ranks.first_process() and ranks.launched() == (0, 16) and ranks.on_node() == 3
    within(monkeypatch, {"SLURM_PROCID": "0", "RANK": "8", "LOCAL_RANK": "0", "GROUP_RANK": "1"})
    assert not ranks.first_process()


def test_where_tasks_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    within(monkeypatch, TASK)
    assert slurm.meeting_place() == ("gpu07", 15000 + 1234 + 2 * 997)
    monkeypatch.setenv("SLURM_STEP_ID", "3")
    assert slurm.meeting_place()[1] != 15000 + 1234 + 2 * 997, "steps of one job may run at once"
    monkeypatch.setenv("SLURM_JOB_ID", "98765432")
    assert 15000 <= slurm.meeting_place()[1] < 25000
    within(monkeypatch, {"MASTER_ADDR": "10.0.0.7", "MASTER_PORT": "29500"})
    assert slurm.meeting_place() == ("10.0.0.7", 29500)


@pytest.mark.parametrize(
    ("nodelist", "first"),
    [
        ("gpu07", "gpu07"), ("gpu07,cpu1", "gpu07"), ("gpu[07-09,12],cpu1", "gpu07"), ("gpu[3]", "gpu3"),
        ("rack[1-2]node[03-04]", "rack1node03"), ("a-b.c,d[1-2]", "a-b.c"),
    ],
)  # fmt: skip
def test_the_first_node_of_a_list(nodelist: str, first: str) -> None:
    assert slurm.first_node(nodelist) == first


def test_a_first_node_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    within(monkeypatch, TASK | {"SLURM_STEP_NODELIST": "no.such.node.invalid"})
    with (
        pytest.raises(UserError, match=r"no\.such\.node\.invalid: the first node .* no address here .*set MASTER_ADDR"),
        ranks.meeting(),
    ):
        raise AssertionError("it was not asked")


def test_a_port_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of rank 0, at once; the others are ended by who started them."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        within(monkeypatch, TASK | {"SLURM_PROCID": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)})
        with pytest.raises(UserError, match=f"127.0.0.1:{port}: another program listens on this port of .*MASTER_PORT"):
            ranks.join(torch.device("cpu"))
