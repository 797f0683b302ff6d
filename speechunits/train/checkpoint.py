"""FolderCheckpointIO: training checkpoints as folders of safetensors and JSON, whole or not there at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lightning.pytorch.plugins.io import CheckpointIO
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from speechunits import ranks
from speechunits.errors import UserError
from speechunits.store import readable
from speechunits.train.checkpoint_tree import join, split

log = logging.getLogger(__name__)

SUFFIX = ".ckpt"  # a folder all the same: the name under which Lightning and people look for it
TENSORS, STATE, CHECKSUMS = "tensors.safetensors", "state.json", "checksums.json"


class FolderCheckpointIO(CheckpointIO):
    """``<name>.ckpt/`` with ``tensors.safetensors``, ``state.json`` and ``checksums.json`` (sha256); no pickle.

    A checkpoint is written to a hidden folder beside its place, flushed to disk and renamed; a crash at any moment
    leaves the old one, or the new one, or a hidden folder that nobody reads.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any | None = None
    ) -> None:
        """Write ``checkpoint`` to the folder ``path``.

        Raises:
            UserError: an entry is neither a tensor nor plain data, or the folder cannot be written.
        """
        path = Path(path)
        tensors, state = split(checkpoint)
        aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            aside.mkdir(parents=True)
            save_file(tensors, aside / TENSORS)
            (aside / STATE).write_text(json.dumps(state, indent=1, allow_nan=False))
            sums = {name: digest(aside / name) for name in (TENSORS, STATE)}
            (aside / CHECKSUMS).write_text(json.dumps(sums, indent=1))
            readable(aside)
            for place in [*aside.iterdir(), aside]:
                flush(place)
            self._put(aside, path)
        except (OSError, SafetensorError) as error:
            raise UserError(
                f"{path}: the checkpoint was not written ({error}); free space or change the folder"
            ) from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _put(self, aside: Path, path: Path) -> None:
        """Rename ``aside`` to ``path``; one already there first moves to ``.<name>.old``, where ``recover`` looks."""
        old = path.with_name(f".{path.name}.old")
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)
            path.rename(old)
        aside.rename(path)
        flush(path.parent)
        shutil.rmtree(old, ignore_errors=True)

    def load_checkpoint(
        self,
        path: str | os.PathLike[str],
        map_location: Callable[..., Any] | None = None,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Read a checkpoint onto the CPU; there is nothing but tensors and plain data in it, whatever ``weights_only``.

        Raises:
            UserError: it is missing, incomplete or damaged; the sentence names the file.
        """
        path = Path(path)
        recover(path)
        if fault := damage(path):
            raise UserError(f"{fault}; resume from another checkpoint in {path.parent}")
        found = join(load_file(path / TENSORS), json.loads((path / STATE).read_text()))
        assert isinstance(found, dict)
        return found

    def remove_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Delete the folder; it is renamed first, so that half a checkpoint is never taken for a whole one."""
        path = Path(path)
        if path.exists():
            aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
            path.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)


def damage(path: Path) -> str | None:
    """What is wrong with the checkpoint ``path``, naming the file; None when it is whole."""
    if not path.is_dir():
        return f"{path}: no such checkpoint folder"
    try:
        sums = dict(json.loads((path / CHECKSUMS).read_text()))
    except (OSError, ValueError, TypeError):
        return f"{path / CHECKSUMS}: missing or unreadable"
    for name in (TENSORS, STATE):
        if not (path / name).is_file():
            return f"{path / name}: missing"
        if digest(path / name) != sums.get(name):
            return f"{path / name}: damaged, its checksum is not the recorded one"
    return None


def newest_whole(folder: str | os.PathLike[str], before: int | None = None) -> Path | None:
    """The undamaged checkpoint of the highest step in ``folder`` (``step-*.ckpt``), else any other, else None.

    Skipped ones are named in the log. Names decide, not dates: copying a run's folder changes dates.

    Args:
        before: only ``step-*.ckpt`` of fewer updates than this.
    """
    folder = Path(folder)
    for old in folder.glob(f".*{SUFFIX}.old"):
        recover(folder / old.name.removeprefix(".").removesuffix(".old"))
    for path in newest_first(folder):
        step = step_of(path)
        if before is not None and (step is None or step >= before):
            continue
        fault = damage(path)
        if fault is None:
            return path
        log.warning("%s; skipped, looking for an older checkpoint", fault)
    return None


def to_resume(folder: str | os.PathLike[str]) -> Path | None:
    """What a process hands to ``Trainer.fit``: the newest whole checkpoint of a run, None at its beginning.

    Of several processes the first one decides, and the others take its choice when they have met
    (``WindowDDP.load_checkpoint``): machines may see a shared folder differently. These only say whether there is one.

    Raises:
        UserError: there are checkpoints, and none is whole: what was trained would be lost without a word.
    """
    folder = Path(folder)
    if not ranks.first_process():
        return next(newest_first(folder), None)
    found = newest_whole(folder)
    if found is None and (broken := next(newest_first(folder), None)):
        raise UserError(f"{damage(broken)}, and no other checkpoint there is whole; delete {folder} to begin anew")
    return found


def newest_first(folder: Path) -> Iterator[Path]:
    """The checkpoints of a run, damaged ones included: ``step-*.ckpt`` from the highest step down, then others."""
    return iter(sorted(folder.glob(f"*{SUFFIX}"), key=lambda p: (p.name.startswith("step-"), p.name), reverse=True))


def tidy(folder: Path) -> None:
    """Delete what killed writes and deletions left; only the one process that writes there may call it."""
    for old in folder.glob(f".*{SUFFIX}.old"):
        recover(folder / old.name.removeprefix(".").removesuffix(".old"))
    for left in folder.glob(f".*{SUFFIX}.*"):
        log.info("%s: left by an interrupted run; deleted", left)
        shutil.rmtree(left, ignore_errors=True)


def step_of(path: Path) -> int | None:
    """3000 for ``step-000003000.ckpt``; None for other names."""
    number = path.name.removeprefix("step-").removesuffix(SUFFIX)
    return int(number) if path.name.startswith("step-") and number.isdigit() else None


def recover(path: Path) -> None:
    """Bring back the previous ``path`` when a crash struck between the two renames of its replacement."""
    old = path.with_name(f".{path.name}.old")
    if old.exists() and not path.exists():
        log.warning("%s: its replacement was interrupted; the previous checkpoint is used", path)
        with contextlib.suppress(FileNotFoundError):  # another rank was faster
            old.rename(path)


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flush(path: Path) -> None:
    """Wait until ``path`` (a file or a folder's entries) is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
