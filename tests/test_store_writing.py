"""Writing artefacts: whole or not at all, on full disks and in places that cannot be written."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import nn

from speechunits import store
from speechunits.config import UserError, build
from speechunits.train.checkpoint import FolderCheckpointIO


def first(dim: int = 4) -> nn.Module:
    return build({"_target_": "torch.nn.Linear", "in_features": dim, "out_features": 2})


def test_a_block_that_fails_leaves_the_old_and_nothing_else(tmp_path: Path):
    path = tmp_path / "deep" / "file"
    store.write_text(path, "old")
    with pytest.raises(KeyError), store.writing(path) as aside:
        aside.write_text("half")
        raise KeyError
    assert path.read_text() == "old" and os.listdir(path.parent) == ["file"]
    with pytest.raises(KeyboardInterrupt), store.writing(tmp_path / "folder") as aside:
        aside.mkdir()
        (aside / "half").touch()
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ["deep"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o007, 0o660)])
def test_others_may_read_what_the_umask_lets_them(tmp_path: Path, umask: int, mode: int):
    before = os.umask(umask)
    try:
        store.save(first(), tmp_path / "a")
        with store.writing(tmp_path / "b") as aside:
            save_file({"x": np.zeros(1)}, aside)
        FolderCheckpointIO().save_checkpoint({"x": torch.zeros(1)}, tmp_path / "c.ckpt")
    finally:
        os.umask(before)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 7 and {path.stat().st_mode & 0o777 for path in files} == {mode}


def test_what_a_killed_process_left_does_not_stop_the_next(tmp_path: Path):
    (tmp_path / f".a.{os.getpid()}.tmp").mkdir()
    store.save(first(), tmp_path / "a")
    assert os.listdir(tmp_path) == ["a"]


@pytest.fixture
def file_limit() -> Iterator[None]:
    """No file may grow beyond 4 KiB: writes then fail in the kernel, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_weights_that_do_not_fit_leave_the_old_artefact(tmp_path: Path, file_limit: None):
    name = store.save(first(4), tmp_path / "a")
    with pytest.raises(UserError, match=r"/a: cannot be written \(.*\); free some space"):
        store.save(first(4000), tmp_path / "a")
    with pytest.raises(UserError, match=r"/b: cannot be written"):
        store.save(first(4000), tmp_path / "b")
    assert store.restore(tmp_path / "a").fingerprint == name and os.listdir(tmp_path) == ["a"]


def test_a_full_disk(tmp_path: Path):
    """A real one where this user may mount a small one (containers, root); the limit above covers the rest."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", tmp_path], capture_output=True)
    if mounted.returncode:
        pytest.skip("this user cannot mount a small disk")
    try:
        name = store.save(first(4), tmp_path / "a")
        with pytest.raises(
            UserError, match=r"/b: cannot be written \(.*[Nn]o space left on device.*\); free some space"
        ):
            store.save(first(8000), tmp_path / "b")
        with pytest.raises(UserError, match="No space left on device"):
            store.write_text(tmp_path / "log", "x" * 100_000)
        assert os.listdir(tmp_path) == ["a"] and store.restore(tmp_path / "a").fingerprint == name
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_place_that_cannot_be_written(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/a: cannot be written \(File exists\)"):
        store.save(first(), tmp_path / "file" / "a")


def test_a_rename_that_fails_puts_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    name, rename = store.save(first(4), tmp_path / "a"), os.rename

    def refuse(source: Path, target: Path) -> None:
        if str(source).endswith(".tmp"):
            raise OSError(5, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(UserError, match="Input/output error"):
        store.save(first(5), tmp_path / "a")
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["a"] and store.read_meta(tmp_path / "a")["fingerprint"] == name
