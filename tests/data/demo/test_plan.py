from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import yaml

from speechunits.data.demo.grammar import SLOTS
from speechunits.data.demo.plan import Utterance, plan
from speechunits.errors import UserError

SIZES = {
    "train": {"sentences": 300, "spanish": 20, "speakers": 100},
    "valid": {"sentences": 30, "spanish": 5, "speakers": 10},
    "test": {"sentences": 40, "spanish": 40, "speakers": 10},
}


def _of(utterances: list[Utterance], split: str, language: str) -> list[Utterance]:
    return [u for u in utterances if (u.split, u.language) == (split, language)]


def test_splits_share_neither_sentences_nor_speakers_over_seeds_too() -> None:
    plans = [plan(SIZES, seed=seed, target_speaker="f00", channel=True) for seed in (0, 1)]
    for field in ("text", "speaker"):
        seen = {split: {getattr(u, field) for p in plans for u in _of(p, split, "en")} for split in SIZES}
        assert not seen["train"] & (seen["valid"] | seen["test"]) and not seen["valid"] & seen["test"]
    assert plans[0] != plans[1]


def test_sizes_pairs_and_voices() -> None:
    utterances = plan(SIZES, seed=0, target_speaker="f00", channel=True)
    for split, size in SIZES.items():
        english, spanish = _of(utterances, split, "en"), _of(utterances, split, "es")
        assert len(english) == size["sentences"] and len({u.text for u in english}) == len(english)
        assert [u.pair for u in spanish] == [u.pair for u in english[: size["spanish"]]]
        assert {u.speaker for u in spanish} == {"f00"} and not any(u.channel for u in spanish)
        turns = Counter(u.speaker for u in english)
        assert len(turns) == size["speakers"] and max(turns.values()) - min(turns.values()) <= 1
        assert sum(name[0] == "f" for name in turns) == size["speakers"] // 2


def test_pairs_of_words_that_are_held_out_and_sentences_by_voices_that_were_heard() -> None:
    sizes = {**SIZES, "pairs": {"sentences": 30, "spanish": 0, "speakers": 10}}
    without = plan(SIZES, seed=0, target_speaker="f00", channel=True)
    utterances = plan(sizes, seed=0, target_speaker="f00", channel=True, seen=25)
    assert [u for u in utterances if u.split in SIZES] == without
    splits = [*SIZES, "pairs", "test_seen", "pairs_seen"]
    text = {split: [u.text for u in _of(utterances, split, "en")] for split in splits}
    voices = {split: {u.speaker for u in _of(utterances, split, "en")} for split in splits}
    assert text["test_seen"] == text["test"][:25] and text["pairs_seen"] == text["pairs"][:25]
    assert voices["pairs"] == voices["test"]
    assert voices["test_seen"] | voices["pairs_seen"] <= voices["train"] and len(voices["test_seen"]) == 25
    nouns = {slot[0] for slot in SLOTS[4]}
    pairs = {
        split: {(w[i - 1], w[i]) for t in said for w in [t.split()] for i in range(len(w)) if w[i] in nouns}
        for split, said in text.items()
    }
    assert not pairs["pairs"] & (pairs["train"] | pairs["valid"] | pairs["test"])
    assert {word for pair in pairs["pairs"] for word in pair} <= {word for pair in pairs["train"] for word in pair}


def test_more_sentences_by_voices_that_were_heard_than_there_are_are_refused() -> None:
    with pytest.raises(UserError, match=r"seen is 41 and test\.sentences 40"):
        plan(SIZES, seed=0, target_speaker="f00", channel=True, seen=41)


def test_many_spanish_voices() -> None:
    spanish = _of(plan(SIZES, seed=0, target_speaker=None, channel=True), "test", "es")
    assert len({u.speaker for u in spanish}) == 10 and all(u.channel for u in spanish)


@pytest.mark.parametrize("train", [(None, 0, 1), (5, 6, 2), (5, 0, 0), (5, 0, 6), (-1, 0, 1)])
def test_senseless_sizes_are_refused(train: tuple[int | None, ...]) -> None:
    size = dict(zip(("sentences", "spanish", "speakers"), train, strict=True))
    with pytest.raises(UserError, match="train"):
        plan({**SIZES, "train": size}, seed=0, target_speaker="f00", channel=True)  # type: ignore[dict-item]


@pytest.mark.parametrize("preset", ["tiny", "quick", "demo", "long"])
def test_presets_can_be_planned(preset: str) -> None:
    presets = yaml.safe_load((Path(__file__).parents[3] / "conf/data/demo_corpus.yaml").read_text(encoding="utf-8"))
    seen = presets[preset].pop("seen")
    utterances = plan(presets[preset], seed=0, target_speaker="f00", channel=True, seen=seen)
    sizes = presets[preset].values()
    assert len(utterances) == 2 * seen + sum(size["sentences"] + size["spanish"] for size in sizes)
    if preset in ("demo", "long"):
        assert len({u.speaker for u in _of(utterances, "train", "en")}) >= 100
