"""A real SLURM of two nodes on this machine: its own ports, munge and folder; nothing of it outlives ``Cluster``."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.distributed.waiting import PATIENCE, wait_for

ROOT = Path(__file__).resolve().parents[2]
NODES = ("n1", "n2")
PARTS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scancel", "scontrol", "sinfo", "squeue")
SBIN = "/usr/sbin"  # where Debian keeps the daemons, and what a user's PATH may lack

# As /etc/slurm/slurm.conf, but for: two slurmd on one host, no cgroups, no accounting, and everything at once (a node
# that is silent for 20 s is down).
CONF = """
ClusterName=speechunits
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={ports[0]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=2
ReturnToService=2
SlurmdTimeout=20
KillWait=30
UnkillableStepTimeout=10
MailProg=/bin/true
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1 RealMemory=2000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 RealMemory=2000
PartitionName=p Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP OverSubscribe=YES
"""


def missing() -> str | None:
    """Why there can be no cluster here; None where there can."""
    search = f"{os.environ.get('PATH', '')}:{SBIN}"
    if lacking := [name for name in PARTS if shutil.which(name, path=search) is None]:
        return f"{', '.join(lacking)} not installed (Debian's slurm-wlm and munge; tools/ci_packages.sh installs them)"
    if os.geteuid() != 0:
        return "SLURM's daemons need root to start jobs"
    return None


def free_port() -> int:
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Drawn from those on which nobody listens, below the range that the kernel hands out by itself."""
    drawn = random.SystemRandom().sample(range(25000, 32000), 10 * count)  # other tests draw at the same time
    return [port for port in drawn if _is_free(port)][:count]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


class Cluster:
    """``with Cluster(folder) as slurm``: two nodes of one processor each, idle.

    Args:
        folder: short, as sockets lie in it (a path of a socket has at most 107 characters).
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.running = folder, dict[str, subprocess.Popen[bytes]]()
        ours = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "NODE_RANK", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")
        env = {k: v for k, v in os.environ.items() if k not in ours and not k.startswith(("SLURM", "TORCHELASTIC"))}
        self.env = env | {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{Path(sys.executable).parent}:{env.get('PATH', '')}:{SBIN}",
            "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1",
        }  # fmt: skip

    def __enter__(self) -> Cluster:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self) -> None:
        for name in ("state", *(f"spool-{node}" for node in NODES)):
            (self.folder / name).mkdir(parents=True)
        host = socket.gethostname().split(".")[0]
        (self.folder / "slurm.conf").write_text(CONF.format(folder=self.folder, host=host, ports=free_ports(3)))
        (self.folder / "cgroup.conf").touch()
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        places = {"key-file": key, **{f"{kind}-file": self.folder / f"munge.{kind}" for kind in ("pid", "log", "seed")}}
        options = [f"--{name}={place}" for name, place in places.items()]
        self.daemon("munged", "--foreground", "--force", f"--socket={self.folder / 'munge.sock'}", *options)
        wait_for(lambda: (self.folder / "munge.sock").exists(), "munged made no socket", self.logs, 60)
        self.daemon("slurmctld", "-D", "-c")
        for node in NODES:
            self.start_node(node)
        wait_for(self._idle, "no idle nodes", self.logs, 120)

    def _idle(self) -> bool:
        """Whether both nodes are up, and at nothing."""
        return self.said("sinfo", "-h", "-t", "idle", "-o", "%D") == "2"

    def __exit__(self, *_: object) -> None:
        if "slurmctld" in self.running:
            subprocess.run(
                ["scancel", "--full", "--signal=KILL", "--me"],
                env=self.env,
                timeout=20,
                check=False,
                capture_output=True,
            )
        for name in reversed(list(self.running)):
            self.stop(name)
        for pid in self.processes():  # job steps outlive their slurmd
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def daemon(self, name: str, *arguments: str, label: str = "") -> None:
        with open(self.folder / f"{label or name}.out", "ab") as out:
            command = [shutil.which(name, path=self.env["PATH"]) or name, *arguments]
            self.running[label or name] = subprocess.Popen(command, env=self.env, stdout=out, stderr=out)

    def start_node(self, node: str) -> None:
        self.daemon("slurmd", "-D", "-N", node, label=node)

    def stop(self, label: str, number: int = signal.SIGTERM) -> None:
        process = self.running.pop(label)
        process.send_signal(number)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(15)

    def lose(self, node: str) -> None:
        """As if the power of that node had failed."""
        self.stop(node, signal.SIGKILL)
        for pid in self.processes(node):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def processes(self, node: str = "") -> list[int]:
        """All processes that jobs of this cluster have here, those of one node if it is named."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                variables = (place / "environ").read_bytes().split(b"\0")
                command = (place / "cmdline").read_bytes()
            except OSError:
                continue  # ended meanwhile
            of_job = any(v.startswith(b"SLURM_JOB_ID=") for v in variables)
            ours = f"SLURM_CONF={self.folder}/slurm.conf".encode() in variables and (of_job or b"slurmstepd" in command)
            if ours and (not node or f"SLURMD_NODENAME={node}".encode() in variables):
                found.append(int(place.name))
        return [pid for pid in found if pid != os.getpid()]

    def said(self, *command: str, check: bool = True) -> str:
        done = subprocess.run(command, env=self.env, cwd=ROOT, text=True, capture_output=True, timeout=60, check=False)
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}{self.logs()}"
        return done.stdout.strip()

    def submit(self, *arguments: str, **env: str) -> str:
        """The number of the new job."""
        command = ["sbatch", "--parsable", *arguments]
        done = subprocess.run(command, env=self.env | env, cwd=ROOT, text=True, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def job(self, number: str) -> dict[str, str]:
        """``scontrol show job``: JobState, Restarts, ExitCode, Reason ..."""
        words = self.said("scontrol", "show", "job", number, check=False).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def wait_state(self, number: str, *states: str, seconds: float = PATIENCE) -> str:
        wait_for(lambda: self.job(number).get("JobState") in states, f"job {number}: not {states}", self.logs, seconds)
        return self.job(number)["JobState"]

    def start_now(self, number: str) -> None:
        """Wait for a job to be back in the queue, and spare it the two minutes that SLURM lets it wait there.

        Not before its nodes are done with what ran: SLURM waits because a job that starts while it still ends may fail.
        """
        wait_for(lambda: self.job(number).get("JobState") == "PENDING", f"job {number} was not requeued", self.logs)
        wait_for(lambda: not self.processes() and self._idle(), f"job {number} still ends", self.logs)
        # a slurmd takes no job that begins in the second in which it ended ("credential revoked")
        self.said("scontrol", "update", f"JobId={number}", "StartTime=now+3")

    def logs(self) -> str:
        tails = [f"--- {path.name}\n{path.read_text()[-1500:]}" for path in self.folder.glob("*.log")]
        return "\n" + "\n".join(tails) + "\n" + self.said("squeue", check=False)
