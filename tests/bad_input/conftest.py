"""One toy corpus and what is made of it; and ``fails``, which runs a command line that cannot work."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recipes.extract_units import extract_units
from recipes.fit_units import fit_units
from speechunits import cli, recipe
from tests.recipes.toy import Corpus, extract_arguments, fit_arguments, write_corpus


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return write_corpus(tmp_path_factory.mktemp("bad") / "corpus")


@pytest.fixture(scope="session")
def tokenizer(corpus: Corpus) -> Path:
    recipe.run(fit_units, fit_arguments(corpus, corpus.folder.parent / "fit"))
    return corpus.folder.parent / "fit" / "tokenizer"


@pytest.fixture(scope="session")
def made(corpus: Corpus, tokenizer: Path) -> Path:
    out = corpus.folder.parent / "units"
    recipe.run(extract_units, extract_arguments(corpus, out, tokenizer))
    return out


@pytest.fixture
def units(made: Path, tmp_path: Path) -> Path:
    """A copy of the folder of units, to spoil."""
    shutil.copytree(made, tmp_path / "units", ignore=shutil.ignore_patterns(".speechunits"))
    return tmp_path / "units"


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """``fails(recipe, arguments)``, or ``fails(cli.main, arguments)``: what it says on stderr as it exits with 2."""

    def call(fn: Callable[..., Any], arguments: list[Any], lines: int = 1) -> str:
        monkeypatch.setattr(sys, "argv", [fn.__name__, *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            fn() if fn is cli.main else recipe.main(fn)
        said = capsys.readouterr().err
        assert end.value.code == 2 and said.startswith("error: ") and said.count("\n") == lines, said
        return said

    return call
