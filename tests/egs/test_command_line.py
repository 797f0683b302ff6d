"""The scripts of egs/ explain themselves, and say what is wrong with their arguments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.egs.scripts import DINOSR, HUBERT

ASR = [f"egs/{corpus}/asr/run.sh" for corpus in ("fsdd", "interspeech2024", "librispeech", "mls")]
RECIPES = ["egs/fsdd/run.sh", f"{HUBERT}/run.sh", f"{DINOSR}/run.sh", "egs/librispeech/speakers/run.sh", *ASR]


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--stage", "99"], "--stage takes a stage from 0 to"),
        (["--stop-stage", "last"], "found 'last'"),
        (["--fast"], "unknown option --fast"),
        (["stray"], "'stray' is neither an option nor key=value"),
        (["--corpus-dir"], "--corpus-dir takes a folder"),
    ],
)
def test_mistakes_on_the_command_line(shell: Callable, recipe: str, arguments: list[str], says: str) -> None:
    assert says in shell(recipe, *arguments, code=2).stderr


@pytest.mark.parametrize("recipe", RECIPES)
def test_help_is_the_head_of_the_script(shell: Callable, recipe: str) -> None:
    said = shell(recipe, "--help").stdout
    assert f"  {recipe} --corpus-dir" in said and "--stage N --stop-stage M" in said and "#" not in said


def test_a_corpus_is_needed(shell: Callable, tmp_path: Path) -> None:
    assert "--corpus-dir DIR is needed" in shell("egs/fsdd/run.sh", "--exp", tmp_path, code=2).stderr
    assert "--toy needs --corpus-dir" in shell(f"{HUBERT}/run.sh", "--toy", "--exp", tmp_path, code=2).stderr


def test_the_schedule_of_digits_follows_their_steps(shell: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAUNCH", "echo")
    stage = ["--stage", "2", "--stop-stage", "2", "--fold", "0", "--seed", "0"]
    said = shell("egs/fsdd/asr/run.sh", *stage, "--steps", "400").stdout
    numbers = "trainer.max_steps=400 schedule.warmup=40 schedule.hold=240 schedule.decay=120"
    assert said.count("recipes.train") == said.count(numbers) == 2
    assert "--steps takes a number" in shell("egs/fsdd/asr/run.sh", "--steps", "many", code=2).stderr
