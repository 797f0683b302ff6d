"""What every test shares: one thread, one seed, and where small real corpora lie."""

from __future__ import annotations

import logging
import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeds() -> None:
    """Every test starts from the same state of every global generator, whatever ran before it."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def quiet() -> None:
    """Every test starts without the log of a recipe that ran before it in this process."""
    house = logging.getLogger("speechunits")
    house.setLevel(logging.NOTSET)
    for handler in [h for h in house.handlers if h.name == "speechunits.recipe"]:
        house.removeHandler(handler)
        handler.close()


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of small real corpora: SPEECHUNITS_CORPORA, else `shared/corpora` beside the repository."""
    named = os.environ.get("SPEECHUNITS_CORPORA")
    folder = Path(named) if named else ROOT.parent / "shared" / "corpora"
    if not folder.is_dir():
        if named:
            pytest.fail(f"SPEECHUNITS_CORPORA={named} is not a folder: correct it or unset it.")
        pytest.skip("no real corpora here: set SPEECHUNITS_CORPORA to the folder that holds them")
    return folder
