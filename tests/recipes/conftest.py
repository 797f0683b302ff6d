"""One toy corpus, its MFCC tokenizer, its units and a language model of its letters, made once by the recipes themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lhotse import CutSet

from recipes.extract_units import extract_units
from recipes.fit_ngram import fit_ngram
from recipes.fit_units import fit_units
from speechunits import store
from speechunits.recipe import run
from speechunits.text.characters import fit_characters
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


@pytest.fixture(scope="session")
def letters(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a text tokenizer."""
    out = tmp_path_factory.mktemp("letters") / "text"
    said = [cut.supervisions[0].text for path in (corpus.train, corpus.valid) for cut in CutSet.from_file(path)]
    store.save(fit_characters(said), out, kind="text")
    return out


@pytest.fixture(scope="session")
def language(corpus: Corpus, letters: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Folder of ``lm.arpa`` and ``ngram``, and the recipe's figures."""
    out = tmp_path_factory.mktemp("language")
    given = [f"out={out}", f"cuts={corpus.train}", "order=3", f"tokenizer={letters}", f"valid={corpus.valid}"]
    return out, run(fit_ngram, given)
