"""Fifty real utterances: the units of an imported model are those that transformers itself gives, one by one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.compare_units import compare


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "size"), [("hubert", "small"), ("hubert", "small-large"), ("wavlm", "small")])
def test_units_are_those_of_transformers(kind: str, size: str, corpora: Path) -> None:
    audio = sorted((corpora / "librispeech_excerpt").rglob("*.flac"))[:50]
    if len(audio) < 50:
        pytest.skip(f"{corpora} has no librispeech_excerpt with 50 utterances")
    found = compare(audio, kind, size)
    assert found["utterances"] == 50 and found["frames"] > 20000 and found["codes_in_use"] > 80, found
    assert found["differ"] == 0 and found["undecided"] <= 3, found
    assert found["worst_hidden_difference"] < 1e-5, found
