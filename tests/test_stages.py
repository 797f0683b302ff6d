"""tools/stages.sh: options from any folder. Recipes are replaced by a ``python`` that says what it was asked."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DEMO, FSDD, LIBRISPEECH = "egs/demo/run.sh", "egs/fsdd/run.sh", "egs/librispeech/hubert/run.sh"
FINETUNE = "egs/librispeech/finetune/run.sh"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "a checkout"
    for name in ("egs", "tools"):
        shutil.copytree(ROOT / name, root / name)
    (root / ".venv" / "bin").mkdir(parents=True)
    for path, text in ((root / "tools" / "setup.sh", ""), (root / ".venv" / "bin" / "python", 'printf "<%s>" "$@"\n')):
        path.write_text(f"#!/bin/sh\n{text}")
        path.chmod(0o755)
    return root


def run(script: str | Path, *arguments: str, cwd: Path) -> str:
    done = subprocess.run([str(script), *arguments], cwd=cwd, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("script", [DEMO, FSDD, LIBRISPEECH, FINETUNE])
def test_help_from_any_folder(script: str, checkout: Path) -> None:
    at_the_root = run(script, "--help", cwd=checkout)
    assert "--stage N --stop-stage M" in at_the_root
    assert run("./run.sh", "--help", cwd=(checkout / script).parent) == at_the_root
    assert run(f"../{script}", "-h", cwd=checkout / ".venv") == at_the_root
    assert run(checkout / script, "--help", cwd=Path("/")) == at_the_root


def test_paths_count_from_where_they_are_typed(checkout: Path, tmp_path: Path) -> None:
    """Outside of the checkout they become absolute; inside, what would have been typed at its root."""
    elsewhere = tmp_path / "else where"
    (elsewhere / "digits").mkdir(parents=True)
    said = run(checkout / FSDD, "--corpus-dir", "digits", "--exp", "mine", "--stop-stage", "0", cwd=elsewhere)
    assert f"<{elsewhere}/digits><{elsewhere}/mine/digits.jsonl.gz>" in said
    said = run(checkout / FSDD, "--corpus-dir", "/corpora/digits", "--stop-stage", "0", cwd=elsewhere)
    assert "</corpora/digits><exp/fsdd/digits.jsonl.gz>" in said
    (checkout / "exp").mkdir()
    said = run("../egs/fsdd/run.sh", "--corpus-dir", "d", "--exp", "./mine", "--stop-stage", "0", cwd=checkout / "exp")
    assert "<exp/d><exp/mine/digits.jsonl.gz>" in said
    (elsewhere / "libri" / "data").mkdir(parents=True)
    given = [
        "--corpus-dir",
        "digits",
        "--phones",
        "p.ctm",
        "--toy",
        "--stage",
        "1",
        "--stop-stage",
        "1",
        "--exp",
        "libri",
    ]
    said = run(checkout / LIBRISPEECH, *given, cwd=elsewhere)
    assert f"<--corpus-dir><{elsewhere}/digits>" in said and f"<--phones><{elsewhere}/p.ctm>" in said
    assert (elsewhere / "libri" / "data" / ".done").is_file()


def test_values_that_are_paths_count_from_there_too(checkout: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "else where"
    (elsewhere / "net").mkdir(parents=True)
    said = run(
        checkout / DEMO, "--stage", "3", "--stop-stage", "3", "init_from=net", "seed=1", "clip=null", cwd=elsewhere
    )
    assert f"<init_from={elsewhere}/net><seed=1><clip=null>" in said and "<out=exp/demo/hubert_it1>" in said
    said = run(checkout / DEMO, "--stage", "3", "--stop-stage", "3", "--exp", "my run", cwd=elsewhere)
    assert f"<out={elsewhere}/my run/hubert_it1><data.train={elsewhere}/my run/units_mfcc/train.jsonl.gz>" in said
