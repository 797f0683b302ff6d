"""torchrun across two hosts: one loses its power and comes back; the port is taken; the weights are those of a quiet run."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.distributed.interrupted import INTERVAL, STEPS, line, said, same, saved, steps
from tests.distributed.two_hosts import ADDRESS, TwoHosts, missing
from tests.distributed.waiting import PATIENCE, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.skipif((why := missing()) is not None, reason=f"no two hosts: {why}")]

PORT = 29400


@pytest.fixture
def hosts() -> Iterator[TwoHosts]:
    with TwoHosts() as two:
        yield two


def torchrun(host: str, *more: str) -> list[str]:
    """The same line on each host, but for its own address, which a machine with a name of its own need not say."""
    options = [
        "--nnodes=2",
        "--nproc-per-node=1",
        "--rdzv-backend=c10d",
        "--rdzv-id=run",
        f"--local-addr={ADDRESS[host]}",
    ]
    place = [f"--rdzv-endpoint={ADDRESS['serves']}:{PORT}", f"--rdzv-conf=is_host={int(host == 'serves')}"]
    return [sys.executable, "tools/torchrun.py", *options, *place, *more]


def test_a_host_that_loses_its_power_comes_back(hosts: TwoHosts, units: Path, whole: Path, tmp_path: Path) -> None:
    """All processes of the host of rank 0 are killed and its line is started again; the other host waits for it."""
    out, logs = tmp_path / "run", {name: tmp_path / f"{name}.log" for name in ADDRESS}
    commands = {name: torchrun(name, "--max-restarts=3", *line(units, out)) for name in ADDRESS}
    running = {name: hosts.start(name, logs[name], *command) for name, command in commands.items()}
    wait_for(lambda: len(steps(out)) > INTERVAL + 1, "no 6 updates", lambda: said(*logs.values()))
    hosts.kill("first")
    assert running["first"].wait(PATIENCE) == -9
    kept, made = saved(out)[-1], steps(out)[-1]
    assert made < STEPS and kept > made - INTERVAL, "at most the interval is lost"
    running["first"] = hosts.start("first", logs["first"], *commands["first"])
    for process in running.values():
        assert process.wait(PATIENCE) == 0, said(*logs.values())
    assert same(out, whole), said(*logs.values())


def test_a_port_of_the_rendezvous_that_another_program_has(hosts: TwoHosts, tmp_path: Path) -> None:
    """One sentence with host and port, exit code 2, within 60 s, on both hosts."""
    listen = f"import socket, time; s = socket.create_server(('', {PORT})); print('up', flush=True); time.sleep(600)"
    hosts.start("serves", tmp_path / "other", sys.executable, "-c", listen)
    wait_for(lambda: "up" in said(tmp_path / "other"), "nobody listens")
    begin, logs = time.monotonic(), {name: tmp_path / f"{name}.log" for name in ADDRESS}
    running = {n: hosts.start(n, logs[n], *torchrun(n, "-m", "recipes.train")) for n in ADDRESS}
    for name, process in running.items():
        assert process.wait(PATIENCE) == 2, said(logs[name])
        assert said(logs[name]).count(f"error: {ADDRESS['serves']}:{PORT}: no rendezvous for ") == 1
    print(f"{time.monotonic() - begin:.0f} s", said(*logs.values()))
