"""The toy corpus of the recipes with its units, and a training of two ranks that nobody disturbs."""

from pathlib import Path

import pytest

from tests.distributed.interrupted import STEPS
from tests.recipes.conftest import corpus, tokenizer, units  # noqa: F401  fixtures
from tests.recipes.toy import finish, start, train_arguments


@pytest.fixture(scope="session")
def whole(units: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """What ``interrupted.line`` must give, trained on this machine alone."""
    out = tmp_path_factory.mktemp("whole") / "run"
    finish(start("train", train_arguments(units, out, f"trainer.max_steps={STEPS}", "trainer.devices=2")))
    return out
