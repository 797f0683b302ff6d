"""The toy corpus of the recipes."""

from __future__ import annotations

import pytest

from tests.recipes.toy import Corpus, write_corpus


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return write_corpus(tmp_path_factory.mktemp("corpus"), train=9)
