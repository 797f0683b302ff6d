"""tools/stages.sh: options from any folder. Recipes are replaced by a ``python`` that says what it was asked."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
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


def test_only_trainings_are_launched(checkout: Path) -> None:
    """LAUNCH is a command in front of ``python``; the other stages run once."""
    done = run(
        "env", "LAUNCH=echo once for each GPU:", checkout / DEMO, "--stage", "2", "--stop-stage", "3", cwd=checkout
    )
    launched = [line for line in done.splitlines() if line.startswith("once for each GPU: python -m recipes.")]
    assert [line.split()[6] for line in launched] == ["recipes.train"]
    assert "<recipes.extract_units>" in done and "<recipes.train>" not in done


def test_all_stages_are_not_for_every_task(checkout: Path) -> None:
    """Under srun or torchrun every process runs the script: one stage is a training, all of them are a mess."""
    script = str(checkout / DEMO)
    command = ["env", "SLURM_STEP_NUM_TASKS=4", script, "--stage", "2", "--stop-stage", "3"]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "4 processes would run every stage at once: start" in done.stderr
    run("env", "WORLD_SIZE=4", script, "--stage", "3", "--stop-stage", "3", cwd=checkout)


def test_a_signal_waits_for_the_recipe_and_ends_the_stages(checkout: Path) -> None:
    """The shell gets what the recipe gets; it must not leave the recipe alone with its checkpoint, nor go on."""
    python = checkout / ".venv" / "bin" / "python"
    python.write_text(
        "#!/bin/bash\ntrap 'echo saving; sleep 0.5; echo saved; exit 138' USR1\necho begun\nsleep 9 & wait\n"
    )
    command = [str(checkout / DEMO), "--stage", "2", "--stop-stage", "3"]
    with subprocess.Popen(command, cwd=checkout, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        while process.stdout.readline() != "begun\n":
            pass
        os.killpg(process.pid, signal.SIGUSR1)
        said = process.stdout.readline() + process.stdout.readline()
        process.wait(20)
    assert said == "saving\nsaved\n" and process.returncode == 138


SAVES = """import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.5), print('saved'), sys.exit(1)))
print('on', flush=True)
time.sleep(60)"""


def side_by_side(checkout: Path, body: str) -> list[str]:
    script = checkout / "egs" / "two.sh"
    script.write_text(
        f'name=two stages=0\ncd "$(dirname "$0")/.." && . tools/stages.sh\nbegin "$@"\n{body}\necho done\n'
    )
    return ["bash", str(script)]


@pytest.mark.parametrize(("codes", "ends_as"), [((0, 0), 0), ((3, 0), 3), ((0, 4), 4), ((3, 4), 3)])
def test_two_side_by_side(codes: tuple[int, int], ends_as: int, checkout: Path) -> None:
    """Both go to their end, with half of the cores each, and their lines have their names."""
    say = 'sleep 0.2; echo "$OMP_NUM_THREADS threads"; echo oh >&2; exit'
    body = "\n".join(f"beside {name} sh -c '{say} {code}'" for name, code in zip("ab", codes, strict=True))
    command = side_by_side(checkout, f"{body}\ntogether")
    free = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=free)
    half = ((os.cpu_count() or 1) + 1) // 2
    said = [f"{name}: {half} threads" for name in "ab"]
    assert done.returncode == ends_as and sorted(done.stderr.splitlines()) == ["a: oh", "b: oh"]
    assert sorted(done.stdout.splitlines()) == [*said, *(["done"] if not ends_as else [])]


def test_launched_trainings_have_the_machines_alone(checkout: Path) -> None:
    body = "\n".join(f"beside {name} sh -c 'echo begin; sleep 0.2; echo end'" for name in "ab")
    command = ["env", "LAUNCH=srun", *side_by_side(checkout, f"{body}\ntogether")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.split() == ["begin", "end", "begin", "end", "done"]


def test_what_runs_beside_an_ended_script_saves_and_ends(checkout: Path) -> None:
    command = side_by_side(checkout, f'beside a {sys.executable} -c "{SAVES}"\ntogether')
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as shell:
        assert shell.stdout is not None and shell.stdout.readline() == "a: on\n"
        shell.terminate()
        assert shell.wait(30) == 143 and shell.stdout.read() == "a: saved\n"
