"""Command lines of run.sh that cannot work, and disks that are full."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bad_input.spoil import HOUSE
from tests.recipes.toy import ROOT, Corpus, extract_arguments, fit_arguments, train_arguments


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--stage", "11"], "--stage takes a stage from 0 to 10, found '11'"),
        (["--stop-stage"], "--stop-stage takes a stage from 0 to 10, found 'nothing'"),
        (["--stage", "one"], "found 'one'"),
        (["--stage", "5", "--stop-stage", "3"], "nothing to do"),
        (["--quik"], "unknown option --quik"),
        (["quick"], "'quick' is neither an option nor key=value"),
        (["--exp"], "--exp takes a folder"),
    ],
)
def test_run_sh_refuses_before_it_sets_anything_up(tmp_path: Path, arguments: list[str], says: str) -> None:
    """In a copy without an environment and with a setup that would tell."""
    for name in ("egs/demo", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "tools" / "setup.sh").write_text("#!/bin/sh\necho set up >&2\nexit 1\n")
    done = subprocess.run(
        ["bash", str(tmp_path / "egs/demo/run.sh"), *arguments], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 2 and says in done.stderr and "set up" not in done.stderr, done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert {p.name for p in tmp_path.iterdir()} == {"egs", "tools"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fit_units", "extract_units", "train"])
def test_a_full_disk(name: str, corpus: Corpus, tokenizer: Path, units: Path, tmp_path: Path) -> None:
    """A real one: a file system of some pages in a mount namespace of its own, gone with the process."""
    out = tmp_path / "small"
    out.mkdir()
    arguments, pages = {
        "fit_units": (fit_arguments(corpus, out / "run"), 9),
        "extract_units": ([a for a in extract_arguments(corpus, out / "run", tokenizer) if "valid" not in a], 4),
        "train": (train_arguments(units, out / "run"), 16),
    }[name]
    script = (
        f'mount -t tmpfs -o size={4 * pages}k tmpfs {out} || exit 77\n"$@"\ncode=$?\nfind {out} -type f\nexit $code'
    )
    command = ["unshare", "-rm", "sh", "-c", script, "sh", sys.executable, "-m", f"recipes.{name}", *arguments]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare here")
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=240)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"no mount namespaces here: {done.stderr.strip()}")
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("error: ") and "No space left" in done.stderr and done.stderr.count("\n") == 1
    there = [Path(line) for line in done.stdout.splitlines() if line.startswith(str(out))]
    assert there, "the folder was listed"
    whole = {  # to go on from
        "fit_units": {"state.json", "reservoir-merged.safetensors"},
        "extract_units": {p.name for p in there if p.parent.name == "train.parts" and p.suffix == ".safetensors"},
    }.get(name, set())
    names = {p.name for p in there}
    assert names <= {*HOUSE, "config.json", "config.yaml", "versions.json", "metrics.csv", *whole}, names
