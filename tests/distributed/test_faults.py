"""What is wrong on one rank ends all of them, soon, with a sentence and without success. Real processes over gloo, one a
"machine", which nobody watches: each has to end by itself."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
from lhotse import CutSet

from tests.distributed.killable import arguments, everything, last_row, run, start_ranks
from tests.recipes.toy import Corpus, write_corpus
from tests.train.test_checkpoint import same

pytestmark = pytest.mark.slow
HOST = socket.gethostname()
MORE = ("trainer.max_steps=500", "data.accumulate=1", "data.num_workers=1", "trainer.best=null")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def ends(ranks: list[ForkServerProcess], folder: Path, seconds: float = 60.0) -> list[str]:
    """What each rank said; all must end in time, and none with success."""
    since = time.monotonic()
    try:
        for process in ranks:
            process.join(max(0.0, since + seconds - time.monotonic()))
        assert not [rank for rank, process in enumerate(ranks) if process.is_alive()], "a rank lives on"
    finally:
        for process in ranks:
            process.kill()
    said = [(folder / f"said-{rank}.txt").read_text() for rank in range(len(ranks))]
    assert all(process.exitcode != 0 for process in ranks), said
    print(f"ended within {time.monotonic() - since:.1f} s, exit codes {[process.exitcode for process in ranks]}")
    return said


def wait_for(text: str, ranks: list[ForkServerProcess], folder: Path) -> None:
    """Until some rank says ``text``: a minute counts from the fault, not from the start of processes on a busy machine."""
    files = [folder / f"said-{rank}.txt" for rank in range(len(ranks))]
    while not any(text in file.read_text() for file in files if file.exists()):
        assert any(process.is_alive() for process in ranks), [file.read_text()[-3000:] for file in files]
        time.sleep(0.05)


def trained(ranks: list[ForkServerProcess], out: Path, update: int = 3) -> None:
    """Wait until the ranks have made some updates."""
    while last_row(out) < update:
        assert all(process.is_alive() for process in ranks), [p.read_text() for p in out.parent.glob("said-*")]
        time.sleep(0.01)


def test_different_configurations_are_told_apart(corpus: Corpus, tmp_path: Path) -> None:
    each = [[*arguments(corpus, tmp_path / "run", *MORE), f"optimizer.lr={lr}"] for lr in (0.01, 0.02)]
    each[1].append("clip=3.0")
    ranks = start_ranks(each, tmp_path)
    wait_for("Initializing distributed", ranks, tmp_path)
    for rank, said in enumerate(ends(ranks, tmp_path)):
        assert ranks[rank].exitcode == 2
        assert f"error: rank {rank} of 2 on {HOST}: the ranks were not started alike: " in said, said[-3000:]
        assert "optimizer.lr is 0.01 on rank 0 and 0.02 on rank 1" in said
        assert "clip is nothing on rank 0 and 3.0 on rank 1" in said and f"rank 1 on {HOST}" in said
        assert "Traceback" not in said
    assert not (tmp_path / "run" / "checkpoints").exists() and not (tmp_path / "run" / "_COMPLETE.json").exists()


def test_different_manifests_are_told_apart(corpus: Corpus, tmp_path: Path) -> None:
    """The same path, as each machine sees its own disk: here two ranks in two working folders."""
    each = []
    for rank in range(2):
        (tmp_path / str(rank)).mkdir()
        cuts = list(CutSet.from_file(corpus.train))
        CutSet.from_cuts(cuts[rank:]).to_file(tmp_path / str(rank) / "train.jsonl.gz")
        own = arguments(corpus, tmp_path / "run", *MORE)
        each.append(["data.train=train.jsonl.gz" if a.startswith("data.train=") else a for a in own])
    ranks = start_ranks(each, tmp_path, folders=[tmp_path / "0", tmp_path / "1"])
    wait_for("Initializing distributed", ranks, tmp_path)
    for said in ends(ranks, tmp_path):
        found = re.search(
            r"data\.train is 10 cuts with the hash \w+ on rank 0 and 9 cuts with the hash \w+ on rank 1", said
        )
        assert found and "the ranks were not started alike" in said, said[-3000:]


def test_a_rank_that_sees_no_checkpoint_ends_both(corpus: Corpus, tmp_path: Path) -> None:
    """``out`` is not shared: rank 0 would go on from a checkpoint and rank 1 begin anew."""
    for rank in range(2):
        (tmp_path / str(rank)).mkdir()
    one = (*MORE, "trainer.max_steps=3", "data.accumulate=2")
    run(arguments(corpus, tmp_path / "0" / "run", *one))
    (tmp_path / "0" / "run" / "_COMPLETE.json").unlink()
    own = [a for a in arguments(corpus, tmp_path, *one) if not a.startswith("out=")]
    (tmp_path / "0" / "run" / "config.json").unlink()
    ranks = start_ranks([[*own, "out=run"]] * 2, tmp_path, folders=[tmp_path / "0", tmp_path / "1"])
    wait_for("Initializing distributed", ranks, tmp_path)
    for said in ends(ranks, tmp_path):
        assert "a checkpoint is there on rank 0 and not there on rank 1" in said, said[-3000:]


def test_every_rank_goes_on_from_what_the_first_one_chose(corpus: Corpus, tmp_path: Path) -> None:
    """The newest checkpoint is damaged, which rank 0 alone looks for; rank 1 sees that there is one, and follows."""
    out, own = tmp_path / "run", arguments(corpus, tmp_path / "run", *MORE, "trainer.max_steps=6")
    found = []
    for _ in range(2):
        ranks = start_ranks([own, own], tmp_path)
        for process in ranks:
            process.join(240)
        assert [process.exitcode for process in ranks] == [0, 0], (tmp_path / "said-1.txt").read_text()[-3000:]
        found.append(everything(out))
        (out / "checkpoints" / "step-000000006.ckpt" / "state.json").write_text("{")
        (out / "_COMPLETE.json").unlink()
    assert same(*found)
    said = (tmp_path / "said-0.txt").read_text()
    assert "step-000000006.ckpt/state.json: damaged" in said and said.count("6/6") == 2, "it was made twice"


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_rank_ends_the_other(corpus: Corpus, tmp_path: Path, victim: int) -> None:
    ranks = start_ranks([arguments(corpus, tmp_path / "run", *MORE)] * 2, tmp_path)
    trained(ranks, tmp_path / "run")
    os.kill(ranks[victim].pid or 0, signal.SIGKILL)
    said = ends(ranks, tmp_path)[1 - victim]
    sentence = next(line for line in said.splitlines() if " ERROR " in line)
    assert f"rank {1 - victim} of 2 on {HOST}, after update " in sentence, said[-3000:]
    gone = (
        "rank 0 on {}, through which the ranks met, is gone or hangs"
        if victim == 0
        else "rank 1 on {} is gone or hangs"
    )
    assert gone.format(HOST) in sentence and "the same command goes on from the newest checkpoint" in sentence
    assert re.search(r"training on train\d(, train\d)*: RuntimeError", sentence)
    assert sentence.split(" ERROR ")[1] in (tmp_path / "run" / "train.log").read_text()


@pytest.mark.parametrize("victim", [0, 1])
def test_a_rank_that_hangs_ends_the_other(corpus: Corpus, tmp_path: Path, victim: int) -> None:
    """Stopped, its connections stay open: only the time limit tells. It says so itself when it goes on."""
    ranks = start_ranks([arguments(corpus, tmp_path / "run", *MORE, "trainer.timeout=8")] * 2, tmp_path)
    trained(ranks, tmp_path / "run")
    os.kill(ranks[victim].pid or 0, signal.SIGSTOP)
    ranks[1 - victim].join(60)
    assert ranks[1 - victim].exitcode not in (0, None)
    os.kill(ranks[victim].pid or 0, signal.SIGCONT)
    said = ends(ranks, tmp_path)[1 - victim]
    sentence = next(line for line in said.splitlines() if " ERROR " in line)
    assert f"rank {victim} on {HOST}" in sentence and "is gone or hangs" in sentence, said[-3000:]


def test_an_error_in_one_loader_ends_both_and_names_the_batch(corpus: Corpus, tmp_path: Path) -> None:
    """A bug in a part of the user's own, met on rank 1 alone."""
    own = [a for a in arguments(corpus, tmp_path / "run", *MORE) if "SlowAudio" not in a]
    own.append("data.fields.audio._target_=tests.distributed.killable.BrokenAudio")
    ranks = start_ranks([own, own], tmp_path)
    wait_for("a bug", ranks, tmp_path)
    first, second = ends(ranks, tmp_path)
    sentence = next(line for line in second.splitlines() if " ERROR " in line)
    assert f"rank 1 of 2 on {HOST}, after update " in sentence, second[-3000:]
    assert re.search(r"the batch of train\d(, train\d)* cannot be loaded: KeyError: 'a bug'", sentence)
    # rank 0 hears it from rank 1
    heard = next(line for line in first.splitlines() if " ERROR " in line)
    assert f"; rank 1 of 2 on {HOST}, after update " in heard and "KeyError: 'a bug'" in heard, first[-3000:]
