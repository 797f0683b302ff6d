"""tools/setup.sh refuses before it deletes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_a_link_to_the_environment_of_another_folder_is_refused_and_left_whole(tmp_path: Path) -> None:
    here, other = tmp_path / "here", tmp_path / "other"
    for folder in (here, other):
        (folder / "tools").mkdir(parents=True)
        for name in ("setup.sh", "constraints.txt"):
            shutil.copy(ROOT / "tools" / name, folder / "tools" / name)
        shutil.copy(ROOT / "pyproject.toml", folder)
    (other / ".venv").mkdir()
    (other / ".venv" / ".complete").write_text(f"1 pyproject.toml\n2 tools/constraints.txt\n{other}\n")
    (other / ".venv" / "precious").write_text("kept")
    (here / ".venv").symlink_to(other / ".venv")

    done = subprocess.run(
        [str(here / "tools" / "setup.sh")], capture_output=True, text=True, env={**os.environ, "PYTHON": "false"}
    )

    assert done.returncode != 0
    assert done.stderr.strip() == (
        f"setup: .venv is a link to the environment of {other}: remove the link and run tools/setup.sh again."
    )
    assert (other / ".venv" / "precious").read_text() == "kept"
