from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import yaml

from speechunits.config import UserError
from speechunits.data.demo.plan import Utterance, plan

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
    utterances = plan(presets[preset], seed=0, target_speaker="f00", channel=True)
    assert len(utterances) == sum(size["sentences"] + size["spanish"] for size in presets[preset].values())
    if preset in ("demo", "long"):
        assert len({u.speaker for u in _of(utterances, "train", "en")}) >= 100
