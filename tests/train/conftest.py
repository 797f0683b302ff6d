"""What the tests of data modules share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.train.numbered import corpus


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, str]:
    return {
        "train": corpus(tmp_path, "t", [0.2 + 0.02 * i for i in range(24)]),
        "valid": corpus(tmp_path, "v", [0.3, 0.5, 0.9]),
    }
