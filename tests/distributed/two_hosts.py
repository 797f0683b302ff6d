"""Two hosts on this machine: network namespaces, joined by a cable (veth) and by nothing else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The host that serves the rendezvous has the larger address: torchrun ranks hosts by address, so rank 0 is on the other.
ADDRESS = {"first": "10.231.7.1", "serves": "10.231.7.2"}


def missing() -> str | None:
    """Why there can be no such hosts here; None where there can."""
    if shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
        return "ip is not installed (Debian's iproute2; tools/ci_packages.sh installs it)"
    probe = f"su-probe-{os.getpid()}"
    made = subprocess.run(ip("netns", "add", probe), capture_output=True, text=True, check=False)
    if made.returncode == 0:
        subprocess.run(ip("netns", "del", probe), capture_output=True, check=False)
    return f"no right to make network namespaces ({made.stderr.strip()})" if made.returncode else None


def ip(*arguments: str) -> list[str]:
    return [shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or "ip", *arguments]


class TwoHosts:
    """``with TwoHosts() as hosts``; what still runs on them is killed at the end."""

    def __init__(self) -> None:
        self.spaces = {name: f"su-{os.getpid()}-{name}" for name in ADDRESS}
        ours = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "NODE_RANK", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")
        env = {k: v for k, v in os.environ.items() if k not in ours and not k.startswith(("SLURM_", "TORCHELASTIC"))}
        # gloo would look up the name of the machine, which both hosts share
        self.env = env | {
            "GLOO_SOCKET_IFNAME": "cable", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore",
            "PATH": f"{Path(sys.executable).parent}:{env.get('PATH', '')}",
        }  # fmt: skip

    def __enter__(self) -> TwoHosts:
        first, serves = self.spaces.values()
        try:
            for space in self.spaces.values():
                self._ip("netns", "add", space)
            self._ip("link", "add", "cable", "netns", first, "type", "veth", "peer", "name", "cable", "netns", serves)
            for name, space in self.spaces.items():
                self._ip("-n", space, "addr", "add", f"{ADDRESS[name]}/30", "dev", "cable")
                for device in ("cable", "lo"):
                    self._ip("-n", space, "link", "set", device, "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name, space in self.spaces.items():
            self.kill(name)
            subprocess.run(ip("netns", "del", space), capture_output=True, check=False)

    def _ip(self, *arguments: str) -> None:
        subprocess.run(ip(*arguments), check=True, capture_output=True, text=True)

    def start(self, name: str, log: Path, *command: str) -> subprocess.Popen[str]:
        """``command`` on that host, its words appended to ``log``."""
        with log.open("a") as out:
            within = ip("netns", "exec", self.spaces[name], *command)
            return subprocess.Popen(within, cwd=ROOT, env=self.env, stdout=out, stderr=out, text=True)

    def processes(self, name: str) -> list[int]:
        done = subprocess.run(ip("netns", "pids", self.spaces[name]), capture_output=True, text=True, check=False)
        return [int(pid) for pid in done.stdout.split()]

    def kill(self, name: str) -> None:
        """SIGKILL to every process of that host, as if it had lost its power."""
        while pids := self.processes(name):
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            if set(self.processes(name)) <= set(pids):
                break  # nobody started another meanwhile; the dead are taken away by their parents
