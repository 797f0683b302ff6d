"""What lies in a folder of output, and manifests with something wrong in them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from lhotse import CutSet
from lhotse.cut import Cut

from speechunits.data.unit_meta import meta_path
from tests.recipes.toy import save

HOUSE = {".lock", "train.log", "fit.log", "extract.log", "evaluate.log", "probe.log"}  # stays, and is in nobody's way


def left(out: Path) -> set[str]:
    """What lies in a folder beside the log and the lock."""
    return {p.name for p in out.iterdir()} - HOUSE if out.exists() else set()


def spoilt(path: Path, change: Callable[[list[Cut]], None], name: str = "spoilt") -> Path:
    """``path`` with ``change`` made to its cuts, as a new manifest beside it."""
    cuts = list(CutSet.from_file(path))
    change(cuts)
    new = save(cuts, path.with_name(f"{name}.jsonl.gz"))
    if meta_path(path).exists():
        shutil.copy(meta_path(path), meta_path(new))
    return new
