"""Folders of runs: claimed, refused, finished, taken up, given back; by one process of several."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from speechunits import ranks, recipe, store
from speechunits.config import build
from speechunits.data.unit_meta import write_meta
from speechunits.errors import UserError
from tests.toy_recipe import calls, fault, files, raises, toy

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    calls.clear()
    fault.clear()
    for name in (*ranks.LAUNCHED, "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)


def test_a_run_and_the_same_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "deep" / "run"
    mark = recipe.run(toy, [f"out={out}", "size=3"])
    assert mark["double"] == 6 and mark["seconds"] >= 0 and mark["command"] == f"out={out} size=3"
    assert files(out) == {"_COMPLETE.json", "config.json", "config.yaml", "made.txt", "toy.log", ".lock"}
    assert "INFO size 3" in (out / "toy.log").read_text() and "size 3" in capsys.readouterr().out
    assert recipe.run(toy, [f"out={out}", "size=3"]) == mark and len(calls) == 1
    assert "finished already" in capsys.readouterr().out


def test_another_configuration_is_refused(tmp_path: Path) -> None:
    recipe.run(toy, [f"out={tmp_path}", "size=3", "parts.a=1"])
    with pytest.raises(UserError, match=r"parts\.a: 1 there, 2 now; size: 3 there, 4 now\); delete the folder"):
        recipe.run(toy, [f"out={tmp_path}", "size=4", "parts.a=2"])
    assert (tmp_path / "made.txt").read_text() == "3" and len(calls) == 1


def longer(out: str, size: int, trainer: dict[str, Any], data: dict[str, Any], num_workers: int = 0) -> None:
    """A recipe with keys that may change."""
    toy(out, size)


def test_keys_that_decide_nothing_may_change_while_a_run_is_unfinished(tmp_path: Path) -> None:
    base = [f"out={tmp_path}", "size=3", "trainer.max_steps=8", "data.num_workers=0", "data.seconds=40"]
    fault.append(raises(RuntimeError("power cut")))
    with pytest.raises(RuntimeError):
        recipe.run(longer, base)
    fault.clear()
    with pytest.raises(UserError, match=r"data\.seconds: 40 there, 20 now"):
        recipe.run(longer, [*base, "data.seconds=20", "num_workers=2"])
    with pytest.raises(UserError, match=r"trainer\.precision: None there, 'bf16-mixed' now"):
        recipe.run(longer, [*base, "trainer.precision=bf16-mixed"])

    free = [*base, "num_workers=2", "data.num_workers=4", "trainer.max_steps=12", "trainer.devices=2"]
    recipe.run(longer, free)
    log = (tmp_path / "toy.log").read_text()
    for says in (
        "num_workers=2, which was None",
        "data.num_workers=4, which was 0",
        "trainer.max_steps=12, which was 8",
    ):
        assert f"INFO taken up with {says}" in log
    assert store.read_json(tmp_path / "config.json")["trainer"] == {"max_steps": 12, "devices": 2}
    made = len(calls)
    for more in ([], ["trainer.max_steps=4"], ["num_workers=8", "trainer.devices=1"]):
        recipe.run(longer, [*free, *more])
    with pytest.raises(UserError, match=r"finished with trainer\.max_steps=12, and now 14 .* init_from=.*/encoder"):
        recipe.run(longer, [*free, "trainer.max_steps=14"])
    assert len(calls) == made


def test_a_finished_run_whose_sources_changed_is_refused(tmp_path: Path) -> None:
    """An artefact folder anywhere in the configuration, and the codes of a manifest."""

    def encoder(size: int) -> str:
        torch.manual_seed(0)
        return store.save(
            build({"_target_": "torch.nn.Linear", "in_features": size, "out_features": 2}), tmp_path / "net"
        )

    def units(fingerprint: str) -> None:
        about = {"hop": "1/50", "vocab": [8], "fingerprint": fingerprint}
        write_meta(tmp_path / "train.jsonl.gz", {"units": about})

    arguments = ["size=3", f"parts.source.folder={tmp_path / 'net'}", f"parts.cuts=[{tmp_path / 'train.jsonl.gz'}]"]
    out = f"out={tmp_path / 'run'}"
    first = encoder(4)
    units("a")
    mark = recipe.run(toy, [out, *arguments])
    assert mark["made_from"] == {"parts.source.folder": first, "parts.cuts.0 (units)": "a"}
    assert recipe.run(toy, [out, *arguments]) == mark
    second = encoder(5)
    says = rf"made from parts\.source\.folder with the fingerprint {first}, which is now {second}; delete the folder"
    with pytest.raises(UserError, match=says):
        recipe.run(toy, [out, *arguments])
    encoder(4)
    units("b")
    with pytest.raises(UserError, match=r"made from parts\.cuts\.0 \(units\) with the fingerprint a, which is now b"):
        recipe.run(toy, [out, *arguments])
    units("a")
    assert recipe.run(toy, [out, *arguments]) == mark and len(calls) == 1


def test_an_unfinished_run_is_taken_up_with_its_configuration_alone(tmp_path: Path) -> None:
    (tmp_path / "begun.bin").write_text("half")
    fault.append(raises(RuntimeError("power cut")))
    with pytest.raises(RuntimeError):
        recipe.run(toy, [f"out={tmp_path}", "size=3"])
    assert "_COMPLETE.json" not in files(tmp_path)
    with pytest.raises(UserError, match="made with another configuration"):
        recipe.run(toy, [f"out={tmp_path}", "size=4"])
    fault.clear()
    assert recipe.run(toy, [f"out={tmp_path}", "size=3"])["double"] == 6


def test_a_mistake_that_was_found_before_anything_was_made_can_be_mended(tmp_path: Path) -> None:
    fault.append(raises(UserError("the manifest is missing")))
    with pytest.raises(UserError, match="manifest is missing"):
        recipe.run(toy, [f"out={tmp_path}", "size=3"])
    assert files(tmp_path) == {".lock", "toy.log"}
    fault.clear()
    assert recipe.run(toy, [f"out={tmp_path}", "size=4"])["double"] == 8


def test_a_mistake_found_later_keeps_the_configuration(tmp_path: Path) -> None:
    def later() -> None:
        (tmp_path / "checkpoints").mkdir()
        (tmp_path / "checkpoints" / "step-1").write_text("")
        raise UserError("too many bad files")

    fault.append(later)
    with pytest.raises(UserError, match="too many"):
        recipe.run(toy, [f"out={tmp_path}", "size=3"])
    assert {"config.json", "config.yaml"} < files(tmp_path)


def test_one_run_at_a_time(tmp_path: Path) -> None:
    """While a run holds the folder, another process with the same command is refused."""
    seen: list[subprocess.CompletedProcess[str]] = []
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "from speechunits.recipe import main\nfrom tests.toy_recipe import toy\n"
        f"sys.argv = ['toy', 'out={tmp_path}', 'size=3']\nmain(toy)"
    )
    fault.append(
        lambda: seen.append(subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True))
    )
    recipe.run(toy, [f"out={tmp_path}", "size=3"])
    assert seen[0].returncode == 2 and "another run is writing there" in seen[0].stderr
    assert len(seen[0].stderr.strip().splitlines()) == 1
    assert len(calls) == 1 and (tmp_path / "_COMPLETE.json").exists()


def test_a_place_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file.*cannot be written"):
        recipe.run(toy, [f"out={tmp_path / 'file'}", "size=3"])


def test_a_damaged_mark_is_named(tmp_path: Path) -> None:
    recipe.run(toy, [f"out={tmp_path}", "size=3"])
    (tmp_path / "_COMPLETE.json").write_text("{")
    with pytest.raises(UserError, match=r"_COMPLETE\.json: missing or not JSON"):
        recipe.run(toy, [f"out={tmp_path}", "size=3"])


def test_logs_of_two_runs_stay_apart(tmp_path: Path) -> None:
    for size in (1, 2):
        recipe.run(toy, [f"out={tmp_path / str(size)}", f"size={size}"])
    assert [line[9:] for line in (tmp_path / "1" / "toy.log").read_text().splitlines()] == ["INFO size 1"]


def test_the_mark_is_written_whole_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = store.write_json

    def full(path: Any, value: Any) -> None:
        if Path(path).name == recipe.MARK:
            monkeypatch.setattr(os, "fsync", raises_os(errno.ENOSPC))
        write(path, value)

    def raises_os(number: int) -> Callable[[int], None]:
        def do(_: int) -> None:
            raise OSError(number, os.strerror(number))

        return do

    monkeypatch.setattr(store, "write_json", full)
    with pytest.raises(UserError, match=r"_COMPLETE\.json: cannot be written \(No space left"):
        recipe.run(toy, [f"out={tmp_path}", "size=3"])
    assert files(tmp_path) == {"config.json", "config.yaml", "made.txt", "toy.log", ".lock"}


# ------------------------------------------------------------------------------------------------ several processes


@pytest.mark.parametrize("name", ranks.LAUNCHED)
def test_the_others_run_but_write_nothing_of_the_house(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, "1")
    assert not ranks.first_process()
    recipe.run(toy, [f"out={tmp_path}", "size=3"])
    assert len(calls) == 1 and files(tmp_path) == {"made.txt", "toy.log"}
    assert not capsys.readouterr().out and not (tmp_path / "toy.log").read_text(), "warnings alone"
    monkeypatch.setenv(name, "0")
    assert ranks.first_process()
    recipe.run(toy, [f"out={tmp_path}", "size=3"])
    monkeypatch.setenv(name, "1")
    assert recipe.run(toy, [f"out={tmp_path}", "size=3"])["double"] == 6 and len(calls) == 2, "finished for all"
    with pytest.raises(UserError, match="another configuration"):
        recipe.run(toy, [f"out={tmp_path}", "size=4"])
