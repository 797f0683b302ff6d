"""The tiny corpus, made once for all tests here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Sizes = dict[str, dict[str, int]]


@pytest.fixture(scope="session")
def espeak_installed() -> None:
    pytest.importorskip("espeakng_loader", reason="eSpeak NG is not installed: pip install 'speechunits[demo]'")


@pytest.fixture(scope="session")
def sizes() -> Sizes:
    return {
        "train": {"sentences": 44, "spanish": 6, "speakers": 12},
        "valid": {"sentences": 8, "spanish": 3, "speakers": 4},
        "test": {"sentences": 8, "spanish": 3, "speakers": 4},
    }


@pytest.fixture(scope="session")
def corpus(espeak_installed: None, sizes: Sizes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from speechunits.data.demo.corpus import make_demo_corpus

    out = tmp_path_factory.mktemp("demo") / "corpus"
    make_demo_corpus(out, **sizes, workers=2)
    return out


@pytest.fixture(scope="session")
def cuts(corpus: Path) -> Callable[[str, str], list[Any]]:
    from lhotse import CutSet

    from speechunits.data.demo.corpus import cuts_path

    return lambda split, language: list(CutSet.from_file(cuts_path(corpus, split, language)))
