"""The wheel, installed alone in an empty folder: commands, recipes and configurations are all there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

import speechunits

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "speechunits", "recipes", "conf", "tests", "tools")

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path, code: int = 0) -> str:
    """Output of a command that must end with ``code``; PYTHONPATH is dropped so that the checkout cannot help."""
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == code, f"{command} gave {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout if code == 0 else done.stderr


@dataclass(frozen=True)
class Installed:
    wheel: Path
    bin: Path
    empty: Path


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Builds from a copy, because setuptools ships whatever an earlier build left in build/."""
    folder = tmp_path_factory.mktemp("packaging")
    source, wheels, venv, empty = (folder / name for name in ("source", "wheels", "venv", "empty"))
    for path in (source, empty):
        path.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name)
        else:
            shutil.copy(ROOT / name, source / name)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", wheels, source, cwd=empty)
    (wheel,) = wheels.glob("*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=empty)
    python = venv / "bin" / "python"
    run(*pip, "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=empty)
    # A .pth file lends the dependencies; .pth files in the lent folder (an editable install) are not followed.
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])", cwd=empty).strip())
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return Installed(wheel, venv / "bin", empty)


def tree(package: str, pattern: str) -> set[str]:
    return {path.relative_to(ROOT).as_posix() for path in (ROOT / package).rglob(pattern)}


def test_wheel_holds_the_three_packages_and_nothing_else(installed: Installed) -> None:
    names = set(zipfile.ZipFile(installed.wheel).namelist())
    info = f"speechunits-{speechunits.__version__}.dist-info"
    assert {name.split("/")[0] for name in names} == {"speechunits", "recipes", "conf", info}
    expected = tree("speechunits", "*.py") | tree("recipes", "*.py") | tree("conf", "*.yaml")
    expected |= {"speechunits/py.typed", "conf/__init__.py"}
    assert {name for name in names if not name.startswith(info)} == expected
    assert f"{info}/licenses/LICENSE" in names


def test_the_wheel_is_what_runs(installed: Installed) -> None:
    code = "import speechunits, recipes, conf; print(speechunits.__file__, recipes.__file__, conf.__file__, sep='\\n')"
    files = run(installed.bin / "python", "-c", code, cwd=installed.empty).splitlines()
    assert len(files) == 3 and all(Path(file).is_relative_to(installed.bin.parent) for file in files), files


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--help"], "usage: speechunits"), (["run", "--help"], "train"), (["run", "train", "--help"], "recipes.train")],
)
def test_commands_run_in_an_empty_folder(installed: Installed, arguments: list[str], says: str) -> None:
    assert says in run(installed.bin / "speechunits", *arguments, cwd=installed.empty)
    assert list(installed.empty.iterdir()) == []


def test_a_recipe_reads_the_shipped_system(installed: Installed) -> None:
    """Without ``out`` a run is refused; that the refusal is about ``out`` shows that the YAML itself was found."""
    done = run(
        installed.bin / "speechunits", "run", "train", "conf/system/hubert_base.yaml", cwd=installed.empty, code=2
    )
    assert "train needs 'out'" in done and "no such configuration" not in done


def test_configurations_are_found_without_a_checkout(installed: Installed) -> None:
    code = (
        "import json, importlib.resources as r\n"
        "with r.as_file(r.files('conf')) as folder:\n"
        "    print(json.dumps(['conf/' + p.relative_to(folder).as_posix() for p in folder.rglob('*.yaml')]))"
    )
    found = json.loads(run(installed.bin / "python", "-c", code, cwd=installed.empty))
    assert set(found) == tree("conf", "*.yaml") != set()
