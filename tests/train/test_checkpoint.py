"""Folder checkpoints: what goes in comes out, and damage is named."""

from __future__ import annotations

import json
import logging
import math
import os
import resource
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from speechunits.errors import UserError
from speechunits.train.checkpoint import FolderCheckpointIO, damage, newest_whole, tidy, to_resume

IO = FolderCheckpointIO()


def same(a: Any, b: Any) -> bool:
    """Equal in structure, types and every bit."""
    if isinstance(a, Tensor):
        if not isinstance(b, Tensor) or a.dtype != b.dtype or a.shape != b.shape:
            return False
        return torch.equal(
            a.reshape(-1).view(torch.uint8), b.reshape(-1).view(torch.uint8)
        )  # also where it is no number
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b) or (isinstance(a, float) and math.isnan(a) and math.isnan(b))


def test_everything_a_checkpoint_holds_comes_back(tmp_path: Path) -> None:
    tied = torch.randn(3, 2)
    tree = {
        "state_dict": {"a.weight": tied, "b.weight": tied, "view": tied[1:], "turned": tied.t(), "a/b": torch.ones(1)},
        "a": {"b": torch.zeros(2)},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(7.0), "m": torch.randn(3).bfloat16()}, 1: {}}}],
        "groups": [{"lr": 1e-3, "betas": (0.9, 0.98), "fused": None, "names": ["x"], "amsgrad": False}],
        "rng": torch.get_rng_state(),
        "empty": torch.zeros(0, 4),
        "numbers": [1, True, -0.0, math.inf, -math.inf, math.nan, 1e-300, 2**70],
        "$odd": {("a", 1): "x", True: "y", None: ["$tensor"]},
        "like": {"$tensor": "no tensor"},
    }
    IO.save_checkpoint(tree, tmp_path / "x.ckpt")
    back = IO.load_checkpoint(tmp_path / "x.ckpt")
    assert same(tree, back)
    assert back["state_dict"]["a.weight"] is back["state_dict"]["b.weight"]
    assert math.copysign(1, back["numbers"][2]) == -1
    assert sorted(p.name for p in (tmp_path / "x.ckpt").iterdir()) == [
        "checksums.json", "state.json", "tensors.safetensors",
    ]  # fmt: skip
    assert [p.name for p in tmp_path.iterdir()] == ["x.ckpt"]


def test_an_object_is_refused_and_the_old_checkpoint_stays(tmp_path: Path) -> None:
    IO.save_checkpoint({"n": 1}, tmp_path / "x.ckpt")
    with pytest.raises(UserError, match=r"callbacks/Mine/1: a pathlib\.\w+ cannot be saved"):
        IO.save_checkpoint({"n": 2, "callbacks": {"Mine": [0, Path()]}}, tmp_path / "x.ckpt")
    assert IO.load_checkpoint(tmp_path / "x.ckpt") == {"n": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.ckpt"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/x\.ckpt: the checkpoint was not written"):
        IO.save_checkpoint({"n": 1}, tmp_path / "file" / "x.ckpt")


def harm(file: Path, how: str) -> None:
    content = bytearray(file.read_bytes())
    if how == "gone":
        file.unlink()
    elif how == "cut":
        file.write_bytes(content[:-9])
    elif how == "empty":
        file.write_bytes(b"")
    else:
        content[-20] ^= 1
        file.write_bytes(content)


FILES, HARM = ["tensors.safetensors", "state.json", "checksums.json"], ["flipped", "cut", "empty", "gone"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", HARM)
def test_damage_is_found_and_named(tmp_path: Path, name: str, how: str) -> None:
    path = tmp_path / "x.ckpt"
    IO.save_checkpoint({"w": torch.randn(64), "n": 1}, path)
    harm(path / name, how)
    with pytest.raises(
        UserError, match=name.replace(".", r"\.") if name != "checksums.json" else r"\.json|safetensors"
    ):
        IO.load_checkpoint(path)


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.ckpt: no such checkpoint folder"):
        IO.load_checkpoint(tmp_path / "nowhere.ckpt")
    assert newest_whole(tmp_path) is None


def test_the_newest_whole_one_is_found(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for step in (9, 10, 8):
        IO.save_checkpoint({"n": step}, tmp_path / f"step-{step:09d}.ckpt")
    IO.save_checkpoint({"n": 3}, tmp_path / "best.ckpt")
    assert newest_whole(tmp_path) == tmp_path / "step-000000010.ckpt"
    (tmp_path / "step-000000010.ckpt" / "state.json").write_text(json.dumps({"n": 11}))
    with caplog.at_level(logging.WARNING):
        assert newest_whole(tmp_path) == tmp_path / "step-000000009.ckpt"
    assert "step-000000010.ckpt/state.json: damaged" in caplog.text


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", HARM)
def test_the_one_before_a_damaged_one_is_used(
    tmp_path: Path, name: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    for step in (3, 6):
        IO.save_checkpoint({"w": torch.full((64,), step), "n": step}, tmp_path / f"step-{step:09d}.ckpt")
    harm(tmp_path / "step-000000006.ckpt" / name, how)
    with caplog.at_level(logging.WARNING):
        found = to_resume(tmp_path)
    assert found == tmp_path / "step-000000003.ckpt" and IO.load_checkpoint(found)["n"] == 3
    assert "step-000000006.ckpt" in caplog.text and "skipped, looking for an older checkpoint" in caplog.text


def test_a_run_whose_checkpoints_are_all_damaged_does_not_begin_anew(tmp_path: Path) -> None:
    assert to_resume(tmp_path) is None, "a new run"
    IO.save_checkpoint({"n": 3}, tmp_path / "step-000000003.ckpt")
    harm(tmp_path / "step-000000003.ckpt" / "checksums.json", "empty")
    with pytest.raises(UserError, match=r"checksums\.json: missing or unreadable, and no other checkpoint .* delete"):
        to_resume(tmp_path)
    (tmp_path / "step-000000003.ckpt" / "checksums.json").write_text("[1]")
    with pytest.raises(UserError, match=r"missing or unreadable"):
        to_resume(tmp_path)


def test_other_processes_leave_the_choice_to_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert to_resume(tmp_path) is None
    IO.save_checkpoint({"n": 3}, tmp_path / "step-000000003.ckpt")
    harm(tmp_path / "step-000000003.ckpt" / "state.json", "cut")
    assert to_resume(tmp_path) == tmp_path / "step-000000003.ckpt", "they only say that there is one"


@pytest.mark.parametrize("bytes_left", [0, 1000, 100_000])
def test_a_full_disk_is_named_and_the_checkpoint_before_stays(tmp_path: Path, bytes_left: int) -> None:
    """RLIMIT_FSIZE makes a write fail as a full disk does: in the tensors' first bytes, in their middle, at their end."""
    tree = {"w": torch.randn(30_000), "n": 1}
    IO.save_checkpoint(tree, tmp_path / "step-000000001.ckpt")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, hard))
    try:
        with pytest.raises(UserError, match=r"step-000000002\.ckpt: the checkpoint was not written \(.*; free space"):
            IO.save_checkpoint(tree | {"n": 2}, tmp_path / "step-000000002.ckpt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [p.name for p in tmp_path.iterdir()] == ["step-000000001.ckpt"], "nothing half-written"
    assert same(IO.load_checkpoint(tmp_path / "step-000000001.ckpt"), tree)


def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir(mode=0o555)
    if os.access(folder, os.W_OK):  # root may write into any folder but those that are no files of a disk
        folder = Path("/proc")
    with pytest.raises(
        UserError, match=r"step-000000001\.ckpt: the checkpoint was not written \(.*; free space or change"
    ):
        IO.save_checkpoint({"n": 1}, folder / "step-000000001.ckpt")


def test_what_killed_writes_left_is_deleted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("step-000000001.ckpt", "best.ckpt", ".step-000000002.ckpt.1234abcd", ".step-000000001.ckpt.old"):
        IO.save_checkpoint({"name": name}, tmp_path / name)
    (tmp_path / "best.ckpt").rename(tmp_path / ".best.ckpt.old")
    with caplog.at_level(logging.INFO):
        tidy(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best.ckpt", "step-000000001.ckpt"]
    assert IO.load_checkpoint(tmp_path / "best.ckpt") == {"name": "best.ckpt"}
    assert ".step-000000002.ckpt.1234abcd: left by an interrupted run; deleted" in caplog.text


def test_an_interrupted_replacement_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "best.ckpt"
    IO.save_checkpoint({"n": 1}, path)
    path.rename(tmp_path / ".best.ckpt.old")  # the crash: between the two renames
    (tmp_path / ".best.ckpt.1234abcd").mkdir()  # and a half-written one that nobody reads
    assert newest_whole(tmp_path) == path and IO.load_checkpoint(path) == {"n": 1}
    IO.save_checkpoint({"n": 2}, path)
    assert IO.load_checkpoint(path) == {"n": 2} and damage(path) is None
    IO.remove_checkpoint(path)
    assert newest_whole(tmp_path) is None
