"""time_errors: of right words alone, each beside the one that it was taken for."""

from __future__ import annotations

import pytest

from speechunits.metrics.word_times import time_errors


def test_of_right_words_alone() -> None:
    said = [("the", 0.1), ("old", 0.5), ("the", 0.8), ("cat", 1.0), ("sat", 1.5)]
    heard = [("the", 0.3), ("cold", 0.5), ("the", 0.8), ("cat", 0.9), ("um", 1.2), ("sat", 1.5)]
    assert time_errors(said, heard) == pytest.approx([0.2, 0.0, 0.1, 0.0])
    assert time_errors([], heard) == time_errors(said, []) == []
