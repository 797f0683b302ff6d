"""Provenance: code, versions and machine, in files that name no host; without Lightning."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from speechunits import config
from speechunits.provenance import write_provenance

CONFIG = {"seed": 3, "model": {"depth": 2, "layers": [1, 2]}}


def test_provenance_names_code_versions_and_machine(tmp_path: Path) -> None:
    found = write_provenance(tmp_path, CONFIG)
    assert json.loads((tmp_path / "versions.json").read_text()) == found
    assert config.load(str(tmp_path / "config.yaml")) == CONFIG
    assert found["torch"].startswith("2.") and found["cpus"].isdigit() and len(found["git"]) >= 7
    assert platform.node() not in " ".join(v for k, v in found.items() if k != "command")


def test_only_the_first_process_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert write_provenance(tmp_path, CONFIG)["torch"] and not list(tmp_path.iterdir())
