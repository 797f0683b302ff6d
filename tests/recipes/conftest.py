"""One toy corpus, its MFCC tokenizer and its units, made once by the recipes themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipes.extract_units import extract_units
from recipes.fit_units import fit_units
from speechunits.recipe import run
from tests.recipes.toy import Corpus, extract_arguments, fit_arguments, write_corpus


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def tokenizer(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("fit")
    run(fit_units, fit_arguments(corpus, out))
    return out / "tokenizer"


@pytest.fixture(scope="session")
def units(corpus: Corpus, tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of ``train.jsonl.gz`` and ``valid.jsonl.gz`` with stored units."""
    out = tmp_path_factory.mktemp("units")
    run(extract_units, extract_arguments(corpus, out, tokenizer))
    return out
