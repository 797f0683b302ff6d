"""What SLURM tells the processes of an srun step. Its variables are read here and nowhere else.

A batch script, and what it starts without srun, is alone whatever the size of the allocation: only srun starts a process
for each task, and only srun sets ``SLURM_STEP_NUM_TASKS``.
"""

from __future__ import annotations

import os
import re


def in_job() -> bool:
    """Whether this process runs in an allocation, as a task of srun or not."""
    return "SLURM_JOB_ID" in os.environ


def tasks() -> int:
    """How many processes srun started together with this one; 1 without srun."""
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) if in_job() else 1


def task() -> int:
    """The number of this process among ``tasks()``."""
    return _number("SLURM_PROCID")


def task_on_node() -> int:
    """The number of this process among those of the step on its node."""
    return _number("SLURM_LOCALID")


def node() -> int:
    """The number of this node among ``nodes()``."""
    return _number("SLURM_NODEID")


def nodes() -> int:
    """How many nodes the step has."""
    return int(os.environ.get("SLURM_STEP_NUM_NODES", 1)) if tasks() > 1 else 1


def meeting_place() -> tuple[str, int]:
    """(host, port) where the tasks of this step find each other: MASTER_ADDR and MASTER_PORT where they are set.

    Otherwise the first node of the step, and a port that follows from job and step, so that jobs which share a node take
    different ones; from 15000 on, below those that the kernel hands out by itself.
    """
    host = os.environ.get("MASTER_ADDR") or first_node(os.environ["SLURM_STEP_NODELIST"])
    job, step = int(os.environ["SLURM_JOB_ID"]), int(os.environ["SLURM_STEP_ID"])
    return host, int(os.environ.get("MASTER_PORT") or 15000 + (job + 997 * step) % 10000)


def first_node(nodelist: str) -> str:
    """The first name of a list of nodes as SLURM writes it: "gpu07" of "gpu[07-09,12],cpu1"."""
    return re.sub(r"\[(\w+)[^\]]*\]", r"\1", nodelist).split(",")[0]


def _number(name: str) -> int:
    return int(os.environ[name]) if tasks() > 1 else 0
