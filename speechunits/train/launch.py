"""Who starts the processes of a training: torchrun, srun, or Lightning itself."""

from __future__ import annotations

import os

from lightning.pytorch.plugins.environments import ClusterEnvironment, LightningEnvironment

from speechunits import ranks, slurm
from speechunits.errors import UserError


class SrunEnvironment(ClusterEnvironment):
    """One process of the training for each task of ``srun``.

    Stands where Lightning's ``SLURMEnvironment`` would. That one takes SIGUSR1 for itself (it saves in the midst of an
    update, beside the house's checkpoints, and requeues), takes a batch script for a task, and cannot be started without
    ``--ntasks-per-node``. Here signals are ``Stop``'s alone.
    """

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return slurm.meeting_place()[0]

    @property
    def main_port(self) -> int:
        return slurm.meeting_place()[1]

    @staticmethod
    def detect() -> bool:
        return slurm.tasks() > 1

    def world_size(self) -> int:
        return slurm.tasks()

    def set_world_size(self, size: int) -> None:
        """Nothing: srun has decided."""

    def global_rank(self) -> int:
        return slurm.task()

    def set_global_rank(self, rank: int) -> None:
        """Nothing: srun has decided."""

    def local_rank(self) -> int:
        return slurm.task_on_node()

    def node_rank(self) -> int:
        return slurm.node()

    def validate_settings(self, num_devices: int, num_nodes: int) -> None:
        """Raises: UserError: srun started other processes than the trainer asks for."""
        tasks, nodes = slurm.tasks(), slurm.nodes()
        if (num_devices * num_nodes, num_nodes) != (tasks, nodes):
            raise UserError(
                f"trainer.devices={num_devices} trainer.nodes={num_nodes}: srun started {tasks} tasks on {nodes} node(s); "
                f"give trainer.devices={tasks // nodes} trainer.nodes={nodes}, or start one task for each device"
            )


def plugins(devices: int, nodes: int) -> list[ClusterEnvironment]:
    """What Lightning must be told of how ``devices`` processes on each of ``nodes`` machines are started.

    Raises:
        UserError: other processes were started, or none for further machines.
    """
    several = ranks.launched()[1]
    if several == 1 and nodes > 1 and "NODE_RANK" not in os.environ:
        raise UserError(
            f"trainer.nodes={nodes}: this process was started alone and would wait for others in vain; start it by srun "
            "(tools/slurm) or torchrun on every node"
        )
    if several > 1 and devices * nodes != several:
        raise UserError(
            f"trainer.devices={devices} trainer.nodes={nodes}: {several} processes were started by torchrun or srun; give "
            f"as many as nodes x devices, or start {devices * nodes}"
        )
    if not slurm.in_job() or "RANK" in os.environ:
        return []
    return [SrunEnvironment() if slurm.tasks() > 1 else LightningEnvironment()]
