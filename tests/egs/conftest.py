"""A checkout whose scripts the tests of egs/ run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def shell(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a script of a checkout that is set up already: with this Python, and without looking for packages."""
    root = tmp_path / "checkout"
    (root / "tools").mkdir(parents=True)
    for name in ("egs", "conf", "recipes", "speechunits"):
        (root / name).symlink_to(ROOT / name)
    (root / "tools" / "stages.sh").symlink_to(ROOT / "tools" / "stages.sh")
    (root / "tools" / "setup.sh").write_text("#!/bin/sh\n")
    (root / "tools" / "setup.sh").chmod(0o755)
    (root / ".venv").symlink_to(Path(sys.executable).parent.parent)

    def run(command: str, *arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [str(root / command), *map(str, arguments)], env=env, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == code, (
            f"{command} gave {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        )
        return done

    return run
