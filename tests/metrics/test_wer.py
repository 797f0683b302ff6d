"""WER: a table by hand, torchaudio for the totals, and one result for any number of ranks."""

from __future__ import annotations

import random
from itertools import pairwise
from math import isnan

import pytest
import torch
import torchaudio

from speechunits.errors import UserError
from speechunits.metrics.edit_distance import edit_counts
from speechunits.metrics.measure import Measure, merge
from speechunits.metrics.wer import WER
from speechunits.text.by_language import ByLanguage
from speechunits.text.normaliser import Normaliser

# reference, hypothesis; insertions, deletions, substitutions of words; edits of characters
TABLE = [
    ("the cat sat", "the cat sat", (0, 0, 0), 0),
    ("the cat sat", "the bat sat", (0, 0, 1), 1),
    ("the cat sat", "the sat", (0, 1, 0), 4),
    ("the cat sat", "the cat has sat", (1, 0, 0), 4),
    ("a b", "b c", (1, 1, 0), 2),  # also two substitutions; b is right this way
    ("", "oh", (1, 0, 0), 2),
    ("no", "", (0, 1, 0), 2),
]


def feed(rows: list[tuple[str, str]], ids: list[str] | None = None) -> WER:
    out = WER()
    names = ids or [str(i) for i in range(len(rows))]
    out.update({"text": [h for _, h in rows]}, {"transcript": [r for r, _ in rows], "ids": names})
    return out


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0]} -> {row[1]}")
def test_one_pair_at_a_time(row: tuple) -> None:
    said, heard, edits, characters = row
    found = feed([(said, heard)]).compute()
    words = len(said.split())
    if not words:
        assert isnan(found["wer"]) and isnan(found["cer"])
        return
    assert [found[k] * words / 100 for k in ("insertions", "deletions", "substitutions")] == pytest.approx(edits)
    assert found["wer"] == pytest.approx(100 * sum(edits) / words)
    assert found["cer"] == pytest.approx(100 * characters / len(said))


def test_all_pairs_together() -> None:
    """Sums over sums: 7 edits of words over 15, 15 of characters over 49."""
    found = feed([(r, h) for r, h, *_ in TABLE]).compute()
    words, characters = sum(len(r.split()) for r, *_ in TABLE), sum(len(r) for r, *_ in TABLE)
    assert found["wer"] == pytest.approx(100 * 7 / words) and words == 15
    assert found["cer"] == pytest.approx(100 * 15 / characters) and characters == 49
    assert found["wer"] == pytest.approx(found["insertions"] + found["deletions"] + found["substitutions"])


def test_totals_are_torchaudios() -> None:
    generator = torch.Generator().manual_seed(1)
    sizes = torch.randint(0, 12, (60, 2), generator=generator).tolist()
    left = [torch.randint(0, 4, (n,), generator=generator) for n, _ in sizes]
    right = [torch.randint(0, 4, (m,), generator=generator) for _, m in sizes]
    found = edit_counts(left, right)
    want = [torchaudio.functional.edit_distance(a.tolist(), b.tolist()) for a, b in zip(left, right, strict=True)]
    assert found.sum(1).tolist() == want and (found >= 0).all()
    assert (found[:, 0] - found[:, 1]).tolist() == [m - n for n, m in sizes]
    assert edit_counts([], []).shape == (0, 3)


def test_white_space_is_no_error() -> None:
    assert feed([(" the  cat", "the cat ")]).compute()["cer"] == 0


def test_any_split_over_ranks_is_one_result() -> None:
    rows, ids = [(r, h) for r, h, *_ in TABLE], [str(i) for i in range(len(TABLE))]
    cuts = [0, 2, 5, len(rows)]
    shards = [feed(rows[a:b], ids[a:b]) for a, b in pairwise(cuts)] + [feed(rows[:1], ids[:1])]  # one of them twice
    joined = WER()
    assert isinstance(joined, Measure)
    joined.load(merge(shard.state() for shard in shards))
    assert joined.compute() == feed(rows, ids).compute()


def test_errors() -> None:
    with pytest.raises(UserError, match="has seen no utterance"):
        WER().compute()
    with pytest.raises(UserError, match="WER needs 'transcript'"):
        WER().update({"text": []}, {"ids": []})


def test_utterances_with_an_error() -> None:
    """The first one of the table alone is without."""
    assert feed([(r, h) for r, h, *_ in TABLE]).compute()["ser"] == pytest.approx(100 * 6 / 7)


def test_phones() -> None:
    measure = WER(symbols="phones")
    measure.update({"text": ["HH AH L OW", "K AE T S"]}, {"transcript": ["HH AH0 L OW", "K AE T"], "ids": ["a", "b"]})
    found = measure.compute()
    assert found.keys() == {"per", "insertions", "deletions", "substitutions", "ser"}
    assert found["per"] == pytest.approx(100 * 2 / 7) and found["ser"] == 100


def test_characters_that_need_no_space_are_words() -> None:
    found = feed([("今天 天气 iPhone 好", "今天天很 iPhone好吗")]).compute()
    assert found["wer"] == pytest.approx(100 * 2 / 6) and found["ser"] == 100


def test_both_sides_are_spelled_alike() -> None:
    measure = WER(normaliser=ByLanguage({"en": Normaliser(), "fr": Normaliser(inside="")}))
    batch = {"transcript": ["Don’t, please.", "L’eau !"], "ids": ["a", "b"], "languages": ["en", "fr"]}
    measure.update({"text": ["don't please", "l eau"]}, batch)
    assert measure.compute()["cer"] == 0
    with pytest.raises(UserError, match="no rules for text of no language"):
        measure.update({"text": ["a"]}, {"transcript": ["a"], "ids": ["c"]})


VOICES = [("a", "en"), ("a", "en"), ("b", "es"), ("b", "es"), ("c", "es"), ("c", "es"), ("c", "en")]


def labelled() -> WER:
    measure = WER()
    batch = {"transcript": [r for r, *_ in TABLE], "ids": list("tuvwxyz")}
    batch |= {"speakers": [s for s, _ in VOICES], "languages": [x for _, x in VOICES]}
    measure.update({"text": [h for _, h, *_ in TABLE]}, batch)
    return measure


def test_by_speaker_and_language() -> None:
    measure = labelled()
    by = measure.by("speaker")
    assert list(by) == ["a", "b", "c"] and [f["utterances"] for f in by.values()] == [2, 2, 3]
    alone = feed([(r, h) for r, h, *_ in TABLE[2:4]]).compute()
    assert by["b"] == {"utterances": 2, **alone}
    assert {name: f["wer"] for name, f in measure.by("language").items()} == pytest.approx(
        {"en": 200 / 7, "es": 500 / 8}
    )
    joined = WER()
    joined.load(merge([measure.state()]))
    assert joined.by("speaker") == by
    assert feed([("a", "a")]).by("speaker") == {}
    assert measure.empty == ["y"]


def test_intervals_over_utterances_and_speakers() -> None:
    measure = labelled()
    found = measure.compute()
    for over in ("utterances", "speakers"):
        sure = measure.intervals(over, draws=500, seed=1)
        assert sure.keys() == found.keys() and sure == measure.intervals(over, draws=500, seed=1)
        assert all(low < found[name] < high for name, (low, high) in sure.items()), over
        assert measure.intervals(over, draws=500, level=0.5)["wer"][0] > sure["wer"][0]
    with pytest.raises(UserError, match="intervals over speakers need the speaker of every utterance"):
        feed([("a", "a")]).intervals("speakers")


def test_intervals_hold_what_they_say() -> None:
    """Utterances of a known error rate: of 40 data sets, 95 % intervals hold it in 38, give or take 1.4."""
    draw, held = random.Random(0), 0
    for trial in range(40):
        heard = [" ".join("x" if draw.random() < 0.2 else "w" for _ in range(10)) for _ in range(30)]
        measure = feed([("w w w w w w w w w w", text) for text in heard])
        low, high = measure.intervals(draws=200, seed=trial)["wer"]
        held += low <= 20 <= high
    assert 34 <= held <= 40
