"""tools/k2.sh: the wheel of this torch among many, and a sentence where there is none."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
import torch

from speechunits.nn import k2

ROOT = Path(__file__).resolve().parents[1]
TORCH = torch.__version__.split("+")[0]
BUILD = f"cuda{torch.version.cuda}" if torch.version.cuda else "cpu"
TAG = f"cp{sys.version_info[0]}{sys.version_info[1]}"
END = f"manylinux_2_27_{platform.machine()}.whl"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(k2.installed(), reason="k2 is installed: there is nothing to do"),
    pytest.mark.skipif(sys.platform != "linux", reason="the wheels of this test are those of Linux"),
]


def run(python: str | Path, page: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHON": str(python), "PAGE": str(page)}
    return subprocess.run(["bash", ROOT / "tools" / "k2.sh"], env=env, capture_output=True, text=True)


def listed(folder: Path, *names: str) -> Path:
    page = folder / "page.html"
    page.write_text("".join(f'<a href="{name.replace("+", "%2B")}">{name}</a><br/>\n' for name in names))
    return page


def wheel(folder: Path, version: str) -> str:
    """A wheel of one line under the name of k2's; its name."""
    name, info = f"k2-{version}-{TAG}-{TAG}-{END}", f"k2-{version}.dist-info"
    with zipfile.ZipFile(folder / name, "w") as file:
        file.writestr("k2/__init__.py", "import torch\n")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: k2\nVersion: {version}\n")
        tags = f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: false\nTag: {TAG}-{TAG}-{END[:-4]}\n"
        file.writestr(f"{info}/WHEEL", tags)
        file.writestr(f"{info}/RECORD", f"k2/__init__.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return name


def test_the_newest_wheel_for_this_torch(tmp_path: Path) -> None:
    """Into an environment that sees this one's packages; run again, it is there."""
    venv.create(tmp_path / "env")
    inside = tmp_path / "env" / "lib" / f"python3.{sys.version_info[1]}" / "site-packages"
    (inside / "outer.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    fitting = [wheel(tmp_path, f"1.24.4.dev{day}+{BUILD}.torch{TORCH}") for day in ("20260101", "20260627", "20251231")]
    others = [f"k2-1.24.5.dev20270101+{BUILD}.torch2.0.1-{TAG}-{TAG}-{END}"]
    others += [f"k2-1.24.5.dev20270101+cuda1.0.torch{TORCH}-{TAG}-{TAG}-{END}"]
    others += [f"k2-1.24.5.dev20270101+{BUILD}.torch{TORCH}-cp27-cp27mu-{END}"]
    others += [f"k2-1.24.5.dev20270101+{BUILD}.torch{TORCH}-{TAG}-{TAG}-macosx_11_0_arm64.whl"]
    page = listed(tmp_path, *others, *fitting)
    chosen = f"1.24.4.dev20260627+{BUILD}.torch{TORCH}"
    first = run(tmp_path / "env" / "bin" / "python", page)
    assert first.returncode == 0, first.stderr
    said = first.stdout.splitlines()
    assert said[0] == f"k2: installing {chosen} from {page}, for torch {TORCH}, {BUILD}, {TAG}"
    assert said[1].startswith(f"k2: {chosen} works with torch {TORCH}")
    again = run(tmp_path / "env" / "bin" / "python", tmp_path / "nowhere.html")
    assert (again.returncode, again.stdout) == (0, f"k2: {chosen} works with torch {TORCH}\n")


def test_no_wheel_for_this_torch(tmp_path: Path) -> None:
    page = listed(tmp_path, *(f"k2-1.24.4.dev1+{BUILD}.torch{t}-{TAG}-{TAG}-{END}" for t in ("2.0.1", "1.13.0")))
    done = run(sys.executable, page)
    assert done.returncode == 2 and done.stdout == ""
    assert f"has no wheel for torch {TORCH}, {BUILD}, {TAG}, linux" in done.stderr
    assert (
        f"for this torch it has none, for {BUILD} and {TAG} it has torch 1.13.0, 2.0.1: work without k2" in done.stderr
    )
    assert len(done.stderr.splitlines()) == 1


def test_no_page(tmp_path: Path) -> None:
    done = run(sys.executable, tmp_path / "page.html")
    assert done.returncode == 2 and "page.html cannot be read" in done.stderr and len(done.stderr.splitlines()) == 1


def test_no_python(tmp_path: Path) -> None:
    done = run(tmp_path / "python", tmp_path / "page.html")
    assert done.returncode == 2 and "run tools/setup.sh, or name a Python" in done.stderr
