"""The command line in this process, and a tokenizer to encode with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from recipes.fit_units import fit_units
from speechunits import cli, recipe
from tests.recipes.toy import fit_arguments, write_corpus


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    recipe.run(fit_units, fit_arguments(write_corpus(folder / "corpus"), folder / "fit"))
    return folder / "fit" / "tokenizer"


@pytest.fixture
def speechunits(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """``speechunits(*arguments)`` -> (exit code, stdout, stderr)."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["speechunits", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return call
