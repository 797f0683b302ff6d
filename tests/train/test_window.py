"""What is known of a window before any of its micro-batches runs."""

from __future__ import annotations

import pytest
import torch

from speechunits.term import Term
from speechunits.train.window import compare, empty, window_counts
from tests.train.tiny import Tiny, batch


def test_counts_are_sums_over_micro_batches() -> None:
    first, second = batch(0), batch(1)
    found = window_counts(Tiny(), [first, second])
    samples = sum(int(b["audio"].lengths.sum()) for b in (first, second))
    assert float(found["batches"]) == 2 and float(found["square/all"]) == samples
    assert float(found["audio_seconds"]) == pytest.approx(samples / 16000)
    seconds = {**first, "seconds": torch.tensor([2.5, 1.0])}  # what the cuts say counts, also where no audio is read
    assert float(window_counts(Tiny(), [seconds])["audio_seconds"]) == 3.5
    assert window_counts(Tiny(), []) == {"batches": 0.0, "audio_seconds": 0.0}


def test_what_is_empty() -> None:
    assert [empty(b) for b in (None, {}, {"ids": []}, batch(0))] == [True, True, True, False]


def test_a_weighted_term_without_a_count_is_named() -> None:
    one = torch.ones(())
    terms = {"a/b": Term(one, one, 1.0), "shown": Term(one, one, 0.0)}
    compare(Tiny(), terms, {"a/b": one})
    with pytest.raises(ValueError, match=r"Tiny\.counts gives no count for the weighted terms \['a/b'\]"):
        compare(Tiny(), terms, {})
