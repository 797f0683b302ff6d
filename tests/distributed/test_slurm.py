"""Trainings on a real SLURM of two nodes: signalled, requeued, out of time, a node gone; they end with the same weights."""

from __future__ import annotations

import json
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.distributed.interrupted import INTERVAL, STEPS, line, said, same, saved, steps
from tests.distributed.slurm_cluster import Cluster, free_port, missing
from tests.distributed.waiting import wait_for
from tests.recipes.toy import Corpus, extract_arguments, fit_arguments

pytestmark = [pytest.mark.slow, pytest.mark.skipif((why := missing()) is not None, reason=f"no SLURM: {why}")]

# What the header of a batch script says of a machine, said of these nodes; their names have no addresses.
NODES = ["--nodes=2", "--ntasks-per-node=1", "--gpus-per-node=0", "--cpus-per-task=1", "--time=20"]
TEMPLATES = ["nodes", "torchrun"]


@pytest.fixture(scope="module")
def slurm() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="su-slurm-") as folder, Cluster(Path(folder) / "c") as cluster:
        yield cluster


def submit(slurm: Cluster, template: str, log: Path, command: list[str], *options: str, port: int = 0) -> str:
    """The number of a job that runs ``command`` by a template of tools/slurm."""
    place = {"PROCESSES": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port or free_port())}
    return slurm.submit(*NODES, f"--output={log}", *options, f"tools/slurm/{template}.sbatch", *command, **place)


def ended(slurm: Cluster, job: str, log: Path, code: int = 0) -> None:
    slurm.wait_state(job, "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
    found = slurm.job(job)
    assert found["ExitCode"] == f"{code}:0", f"{said(log)}\n{found}{slurm.logs()}"


def in_its_midst(slurm: Cluster, job: str, out: Path, log: Path) -> None:
    """Wait until a checkpoint was written at the interval, and an update or two were made since."""
    alive = ("PENDING", "CONFIGURING", "RUNNING")
    wait_for(
        lambda: len(steps(out)) > INTERVAL or slurm.job(job)["JobState"] not in alive, "no updates", lambda: said(log)
    )
    assert len(steps(out)) > INTERVAL, said(log)


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_signal_ahead_of_the_end(slurm: Cluster, template: str, units: Path, whole: Path, tmp_path: Path) -> None:
    """SIGUSR1 as ``--signal=B:USR1@300`` sends it: saved after the update, requeued, taken up, nothing made twice."""
    out, log = tmp_path / "run", tmp_path / "log"
    job = submit(slurm, template, log, ["python", *line(units, out)])
    in_its_midst(slurm, job, out, log)
    slurm.said("scancel", "--batch", "--signal=USR1", job)
    slurm.start_now(job)
    assert saved(out)[-1] == steps(out)[-1] < STEPS, said(log)
    ended(slurm, job, log)
    assert slurm.job(job)["Restarts"] == "1" and f"job {job}, part 1: stopped and saved; it goes back" in said(log)
    assert steps(out) == list(range(1, STEPS + 1)) and same(out, whole), said(log)


def test_a_cancelled_job(slurm: Cluster, units: Path, whole: Path, tmp_path: Path) -> None:
    """``scancel`` sends SIGTERM to every task and loader worker: saved, and not requeued. Submitted again, it goes on."""
    out, log = tmp_path / "run", tmp_path / "log"
    job = submit(slurm, "nodes", log, ["python", *line(units, out)])
    in_its_midst(slurm, job, out, log)
    slurm.said("scancel", job)
    assert slurm.wait_state(job, "CANCELLED", "COMPLETED", "FAILED") == "CANCELLED", said(log)
    assert slurm.job(job)["Restarts"] == "0" and saved(out)[-1] == steps(out)[-1] < STEPS, said(log)
    job = submit(slurm, "nodes", log, ["python", *line(units, out)])
    ended(slurm, job, log)
    assert steps(out) == list(range(1, STEPS + 1)) and same(out, whole), said(log)


def test_a_node_that_is_gone(slurm: Cluster, units: Path, whole: Path, tmp_path: Path) -> None:
    """All processes of a node are killed, its slurmd too; SLURM requeues the job, and the node comes back."""
    out, log = tmp_path / "run", tmp_path / "log"
    job = submit(slurm, "nodes", log, ["python", *line(units, out)])
    in_its_midst(slurm, job, out, log)
    slurm.lose("n2")
    kept, made = saved(out)[-1], steps(out)[-1]
    assert kept > made - INTERVAL, "at most the interval is lost"
    slurm.wait_state(job, "PENDING", "FAILED", "NODE_FAIL")
    slurm.start_node("n2")
    if slurm.job(job)["JobState"] == "PENDING":
        slurm.start_now(job)
    else:  # srun said first that a task was killed: the job failed before the node was missed
        job = submit(slurm, "nodes", log, ["python", *line(units, out)])
    ended(slurm, job, log)
    assert steps(out)[-1] == STEPS and same(out, whole), said(log)


def test_the_time_limit(slurm: Cluster, units: Path, tmp_path: Path) -> None:
    """A job that asked for no signal and reaches its limit: SIGTERM first, which saves; submitted again it goes on."""
    out, log = tmp_path / "run", tmp_path / "log"
    long = line(units, out, "trainer.max_steps=2000")  # SLURM looks at limits every 30 s
    job = submit(slurm, "nodes", log, ["python", *long], "--signal=B:URG@1")
    in_its_midst(slurm, job, out, log)
    slurm.said("scontrol", "update", f"JobId={job}", f"EndTime={time.strftime('%FT%T')}")
    assert slurm.wait_state(job, "TIMEOUT", "COMPLETED", "FAILED", "CANCELLED") == "TIMEOUT", said(log)
    made = steps(out)[-1]
    assert saved(out)[-1] == made and slurm.job(job)["Restarts"] == "0", said(log)
    job = submit(slurm, "nodes", log, ["python", *line(units, out, f"trainer.max_steps={made + 2}")])
    ended(slurm, job, log)
    assert steps(out) == list(range(1, made + 3)), said(log)


def test_units_under_srun(slurm: Cluster, corpus: Corpus, tokenizer: Path, tmp_path: Path) -> None:
    """k-means and units by two tasks of srun are those of one process; a process without srun waits for nobody."""
    logs = [tmp_path / "fit.log", tmp_path / "extract.log", tmp_path / "alone.log"]
    fit = ["python", "-m", "recipes.fit_units", *fit_arguments(corpus, tmp_path / "fit")]
    extract = ["python", "-m", "recipes.extract_units", *extract_arguments(corpus, tmp_path / "units", tokenizer)]
    ended(slurm, submit(slurm, "nodes", logs[0], fit), logs[0])
    ended(slurm, submit(slurm, "nodes", logs[1], extract), logs[1])
    own, one = (json.loads((place / "meta.json").read_text()) for place in (tmp_path / "fit" / "tokenizer", tokenizer))
    assert own["fingerprint"] == one["fingerprint"], said(*logs)
    made = sorted(path.name for path in (tmp_path / "units").glob("train*.jsonl.gz"))
    assert made == ["train.jsonl.gz"], said(*logs)  # joined from the parts of both tasks
    alone = " ".join(["python", "-m", "recipes.fit_units", *fit_arguments(corpus, tmp_path / "alone")])
    ended(slurm, slurm.submit(*NODES, f"--output={logs[2]}", f"--wrap={alone}"), logs[2])
    assert (tmp_path / "alone" / "tokenizer" / "meta.json").is_file(), said(*logs)


def test_what_does_not_fit_is_said_and_ends_the_job(slurm: Cluster, units: Path, tmp_path: Path) -> None:
    """Other devices than tasks; a port that another program has: one sentence, an exit code, no requeue."""
    logs = [tmp_path / "devices.log", tmp_path / "port.log"]
    ended(
        slurm,
        submit(slurm, "nodes", logs[0], ["python", *line(units, tmp_path / "a", "trainer.devices=8")]),
        logs[0],
        2,
    )
    assert said(logs[0]).count("trainer.devices=8 trainer.nodes=2: 2 processes were started by") == 2, said(*logs)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        job = submit(slurm, "nodes", logs[1], ["python", *line(units, tmp_path / "b")], port=port)
        assert slurm.wait_state(job, "FAILED", "COMPLETED") == "FAILED", said(
            logs[1]
        )  # rank 1 was killed, its code counts
    assert f"error: 127.0.0.1:{port}: another program listens on this port of" in said(logs[1])
    assert slurm.job(job)["Restarts"] == "0"


def test_nothing_outlives_the_cluster(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="su-slurm-") as folder:
        with Cluster(Path(folder) / "c") as cluster:
            job = cluster.submit(*NODES, f"--output={tmp_path / 'log'}", "--wrap=srun sleep 600")
            cluster.wait_state(job, "RUNNING")
            wait_for(lambda: len(cluster.processes()) >= 3, "the job has no processes", cluster.logs)
        wait_for(lambda: not cluster.processes(), "processes are left", cluster.logs, 20)
