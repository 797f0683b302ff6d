"""SIGKILL at any moment loses at most the interval between checkpoints, and nothing of the result."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from speechunits import store
from tests.distributed import killable
from tests.distributed.killable import EVERY, arguments, everything, hidden, last_row, saved
from tests.recipes.test_train import figures
from tests.recipes.toy import Corpus, write_corpus
from tests.recipes.toy import start as start_program
from tests.train.test_checkpoint import same

pytestmark = pytest.mark.slow
STEPS = 120


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def equal(one: Path, other: Path) -> None:
    """Bit for bit: everything in the last checkpoint, every figure of every update, what is left for users."""
    assert same(everything(one), everything(other))
    assert figures(one) == figures(other)
    assert store.read_meta(one / "encoder")["fingerprint"] == store.read_meta(other / "encoder")["fingerprint"]
    assert sorted(p.name for p in (other / "checkpoints").iterdir()) == sorted(
        p.name for p in (one / "checkpoints").iterdir()
    ), "what killed writes left is gone"


def test_twenty_kills_change_nothing(corpus: Corpus, tmp_path: Path) -> None:
    """Every other kill strikes while a checkpoint is written, the others anywhere, from the start of a process on."""
    more = (f"trainer.max_steps={STEPS}",)
    killable.run(arguments(corpus, tmp_path / "whole", *more))
    out, draws, torn, lost = tmp_path / "killed", random.Random(7), 0, []
    for life in range(20):
        in_a_write = life % 2 == 1
        before, left, updates = last_row(out), set(hidden(out)), draws.randrange(-1, 5)
        # also with another number of loader workers
        workers = f"data.num_workers={life % 3}"
        process = killable.start(arguments(corpus, out, *more, workers), tmp_path / f"said-{life}.txt")
        while process.is_alive() and not (set(hidden(out)) - left if in_a_write else last_row(out) - before > updates):
            time.sleep(0.002)
        time.sleep(draws.uniform(0, 0.003 if in_a_write else 0.3))
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL, (tmp_path / f"said-{life}.txt").read_text()[-3000:]
        assert not (out / "_COMPLETE.json").exists()
        torn += bool(set(hidden(out)) - left)
        lost.append(last_row(out) - saved(out))
        assert lost[-1] <= EVERY
    assert torn >= 3, "too few kills struck the writing of a checkpoint"
    last = killable.start(arguments(corpus, out, *more), tmp_path / "said-last.txt")
    last.join(600)
    assert last.exitcode == 0, (tmp_path / "said-last.txt").read_text()[-3000:]
    print(f"20 kills, {torn} of them tore a checkpoint; updates lost: {lost}")
    equal(tmp_path / "whole", out)


def child(pid: int) -> int:
    """The process of rank 1 that rank 0 started."""
    for _ in range(3000):
        for name in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            try:
                if b"\0LOCAL_RANK=1\0" in b"\0" + Path(f"/proc/{name}/environ").read_bytes():
                    return int(name)
            except OSError:
                continue
        time.sleep(0.02)
    raise AssertionError("no second rank was started")


def ended(pid: int) -> bool:
    """Whether a process that is not ours to wait for is gone (or waits to be buried)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_killing_one_of_two_ranks_changes_nothing(corpus: Corpus, tmp_path: Path) -> None:
    """Each on a "machine" of its own, where nobody watches it: the other rank ends by itself, and both start again."""
    more = ("trainer.max_steps=40", "data.accumulate=1", "data.num_workers=1")
    out, draws, taken = tmp_path / "killed", random.Random(3), []
    for victim in (1, 0, 1, 0, None):
        own = arguments(corpus, out, *more)
        before, updates = last_row(out), draws.randrange(1, 6)
        ranks = killable.start_ranks([own, own], tmp_path)
        if victim is not None:
            while all(rank.is_alive() for rank in ranks) and last_row(out) - before < updates:
                time.sleep(0.01)
            time.sleep(draws.uniform(0, 0.3))
            os.kill(ranks[victim].pid or 0, signal.SIGKILL)
            since = time.monotonic()
            ranks[1 - victim].join(60)
            taken.append(round(time.monotonic() - since, 1))
            assert ranks[1 - victim].exitcode not in (0, None), (tmp_path / f"said-{1 - victim}.txt").read_text()[
                -3000:
            ]
            assert not (out / "_COMPLETE.json").exists() and last_row(out) - saved(out) <= EVERY
    finish_ranks(ranks, tmp_path)
    print(f"seconds until the other rank had ended: {taken}")
    own = arguments(corpus, tmp_path / "whole", *more)
    finish_ranks(killable.start_ranks([own, own], tmp_path), tmp_path)
    equal(tmp_path / "whole", out)


def finish_ranks(ranks: Sequence[ForkServerProcess], said: Path) -> None:
    for rank in ranks:
        rank.join(600)
    assert [rank.exitcode for rank in ranks] == [0, 0], (said / "said-0.txt").read_text()[-3000:]


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_rank_ends_the_command_that_started_both(corpus: Corpus, tmp_path: Path, victim: int) -> None:
    out, more = tmp_path / "run", ("trainer.max_steps=2000", "trainer.devices=2", "data.accumulate=1")
    process: subprocess.Popen[str] = start_program("train", arguments(corpus, out, *more))
    second = child(process.pid)
    while process.poll() is None and last_row(out) < 3:
        time.sleep(0.05)
    os.kill(second if victim else process.pid, signal.SIGKILL)
    since = time.monotonic()
    said, _ = process.communicate(timeout=60)
    while not ended(second):
        assert time.monotonic() - since < 60, "rank 1 lives on"
        time.sleep(0.05)
    print(f"all ended within {time.monotonic() - since:.1f} s")
    assert process.returncode != 0, said
    # of rank 1 Lightning may be the first to say it
    gone = "through which the ranks met, is gone or hangs" if victim == 0 else "ended with code -9"
    assert gone in said or "Child process with PID" in said, said[-3000:]
