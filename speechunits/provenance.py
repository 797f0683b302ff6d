"""Provenance: which code, versions and machine made a run."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import speechunits
from speechunits import ranks, store
from speechunits.config import dump

PACKAGES = ("torch", "torchaudio", "lightning", "lhotse", "transformers", "numpy")


def git_hash() -> str:
    """Commit of the checkout that speechunits runs from, with "-dirty" where files differ; "unknown" outside of one."""
    root = Path(speechunits.__file__).parents[1]
    if not (root / ".git").exists():  # an installed wheel may lie inside somebody else's checkout
        return "unknown"
    try:
        return subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],
            cwd=root, capture_output=True, text=True, check=True, timeout=30,
        ).stdout.strip()  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def provenance() -> dict[str, str]:
    """Flat and without the machine's name, so that it can be published with the results."""
    out = {"git": git_hash(), "speechunits": speechunits.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            out[package] = version(package)
        except PackageNotFoundError:
            out[package] = "not installed"
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    out |= {"platform": platform.platform(terse=True), "cpus": str(os.cpu_count()), "gpus": ", ".join(gpus) or "none"}
    out["cuda"] = str(torch.version.cuda)
    out["command"] = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    return out


def write_provenance(folder: str | Path, config: Mapping[str, Any]) -> dict[str, str]:
    """``config.yaml`` (resolved) and ``versions.json`` into a run's folder, by the first process."""
    found = provenance()
    if ranks.first_process():
        store.write_text(Path(folder) / "config.yaml", dump(config))
        store.write_json(Path(folder) / "versions.json", found)
    return found
