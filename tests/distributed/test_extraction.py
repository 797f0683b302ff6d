"""Units extracted by one process, by two, and by those that are killed and started again: the same bytes."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from recipes.extract_units import extract_units
from recipes.fit_units import fit_units
from speechunits.recipe import run
from tests.recipes.toy import ROOT, Corpus, extract_arguments, fit_arguments, write_corpus

pytestmark = pytest.mark.slow


def processes(count: int, arguments: list[str]) -> list[subprocess.Popen[str]]:
    """``count`` processes of the recipe that meet over gloo, each ours to kill."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    clean = {k: v for k, v in os.environ.items() if k not in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "NODE_RANK")}
    clean |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(count), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "recipes.extract_units", *arguments]
    return [
        subprocess.Popen(
            command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=clean | {"RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"},
        )
        for rank in range(count)
    ]  # fmt: skip


def results(out: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in out.iterdir() if p.name.startswith(("train", "valid"))}


def test_killed_and_started_again_is_uninterrupted(tmp_path: Path) -> None:
    """SIGKILL to all processes at random moments, in turn two, one and three of them, then two to the end."""
    corpus: Corpus = write_corpus(tmp_path / "corpus", train=60, valid=4)
    run(fit_units, fit_arguments(corpus, tmp_path / "km"))
    out = tmp_path / "out"
    arguments = extract_arguments(corpus, out, tmp_path / "km" / "tokenizer", max_seconds=0.9)
    run(extract_units, arguments)
    expected = results(out)
    assert len(expected) == 6
    shutil.rmtree(out)
    random, written = np.random.default_rng(), 0
    for count in (2, 1, 3):
        started = processes(count, arguments)
        enough = written + int(random.integers(1, 16))
        deadline = time.monotonic() + 200
        while (written := len(list((out / "train.parts").glob("*.safetensors")))) < enough:
            assert time.monotonic() < deadline and all(p.poll() is None for p in started)
            time.sleep(0.002)
        for process in started:
            process.kill()
        for process in started:
            process.communicate()
        assert not (out / "_COMPLETE.json").exists() and not list(out.glob("valid*gz"))
    began = {p.name: p.stat().st_mtime_ns for p in (out / "train.parts").glob("[0-9]*.safetensors")}
    ended = [process.communicate(timeout=240)[0] for process in processes(2, arguments)]
    assert (out / "_COMPLETE.json").exists(), ended
    assert began and results(out) == expected
    assert not list(out.glob("*.parts")), "what was written is not kept twice"
