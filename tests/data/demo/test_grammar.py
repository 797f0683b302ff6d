from __future__ import annotations

import random
from collections import Counter

from speechunits.data.demo.grammar import LANGUAGES, SENTENCES, SLOTS, sentence, split_of


def test_no_two_sentences_read_alike() -> None:
    """Every slot's words differ in each language, so different indices give different texts."""
    for slot in SLOTS:
        for column in (0, 1):
            assert len({entry[column] for entry in slot}) == len(slot)
    draw = random.Random(0)
    drawn = {draw.randrange(SENTENCES) for _ in range(3000)}
    for language in LANGUAGES:
        assert len({sentence(index)[language] for index in drawn}) == len(drawn)


def test_spanish_agrees_and_reorders() -> None:
    first = sentence(0)
    assert first["en"] == "my sister bought two red books in the kitchen yesterday"
    assert first["es"] == "mi hermana compró dos libros rojos en la cocina ayer"
    boxes = sentence(24 * 16 * 12 * 16)  # one step of the fifth slot
    assert boxes["es"] == "mi hermana compró dos cajas rojas en la cocina ayer"


def test_splits_of_the_sentences() -> None:
    indices = [i * (SENTENCES // 20000) for i in range(20000)]
    counts = Counter(map(split_of, indices))
    assert 0.04 < counts["pairs"] / 20000 < 0.12
    rest = 20000 - counts["pairs"]
    assert counts["train"] / rest > 0.88
    assert 0.04 < counts["valid"] / rest < 0.06
    assert 0.04 < counts["test"] / rest < 0.06
