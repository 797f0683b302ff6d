from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from speechunits.data.batch_dataset import BatchDataset, Planned
from speechunits.data.batch_loader import BatchLoader
from speechunits.data.cuts import open_cuts
from speechunits.data.fields import AudioField, TextField
from speechunits.errors import UserError

Corpus = Callable[..., Path]
PLANNED = [Planned(0, (0, 1), (5,)), Planned(0, (2, 3), (4,)), Planned(0, (4, 5), (0,))]


def dataset(manifest: Path, *broken: int) -> BatchDataset:
    cuts = open_cuts(manifest)
    for row in broken:
        Path(cuts[row].recording.sources[0].source).write_bytes(b"no audio")
    return BatchDataset(cuts, {"audio": AudioField()})


@pytest.mark.parametrize("num_workers", [0, 2])
def test_training_skips_counts_and_borrows(corpus: Corpus, num_workers: int, caplog: pytest.LogCaptureFixture):
    loader = BatchLoader(dataset(corpus([0.2] * 6), 0, 2, 3), PLANNED, num_workers, max_bad=3)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):  # a second epoch finds the same three: they are not counted again
            assert [b["ids"] for b in loader] == [["a1"], ["a4"], ["a4", "a5"]]
    assert len(loader) == 3 and list(loader.bad) == ["a0", "a2", "a3"]
    assert [r.getMessage().split(":")[0] for r in caplog.records if r.name.endswith("batch_loader")] == [
        f"skipped the unreadable utterance a{row} ({i} so far)" for i, row in enumerate((0, 2, 3), 1)
    ]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_training_stops_beyond_the_limit(corpus: Corpus, num_workers: int):
    loader = BatchLoader(dataset(corpus([0.2] * 6), 0, 2, 3), PLANNED, num_workers, max_bad=2)
    batches = iter(loader)
    assert next(batches)["ids"] == ["a1"]
    with pytest.raises(UserError, match=r"^3 utterances cannot be read, more than max_bad = 2 \(the last: a3: .*$"):
        next(batches)


def test_training_stops_where_no_spare_is_left(corpus: Corpus):
    loader = BatchLoader(dataset(corpus([0.2] * 6), 2, 3, 4), PLANNED, max_bad=100)
    with pytest.raises(UserError, match="no utterance of a batch can be read, nor any of its spares"):
        list(loader)


def test_extraction_lists_and_goes_on(corpus: Corpus):
    planned = [Planned(0, p.rows) for p in PLANNED]
    loader = BatchLoader(dataset(corpus([0.2] * 6), 0, 2, 3), planned)
    assert [b["ids"] for b in loader] == [["a1"], ["a4", "a5"]]
    assert list(loader.bad) == ["a0", "a2", "a3"] and all("wav" in reason for reason in loader.bad.values())


@pytest.mark.parametrize("num_workers", [0, 2])
def test_wrong_labels_stop_with_one_sentence(corpus: Corpus, num_workers: int):
    texts = BatchDataset(open_cuts(corpus([0.2] * 6)), {"text": TextField(key="target_text")})
    with pytest.raises(UserError, match=r"^the cut a0 has no target_text; [^\n]*$"):
        list(BatchLoader(texts, PLANNED, num_workers))
