"""Segments hold the frames that PhoneField labels, and keep equal neighbours apart."""

from __future__ import annotations

from fractions import Fraction

import pytest
from lhotse import MonoCut, Recording, SupervisionSegment
from lhotse.supervision import AlignmentItem

from speechunits.data.cuts import open_cuts
from speechunits.data.fields.phone_field import PhoneField
from speechunits.data.segments import segments
from tests.recipes.toy import PHONES, write_corpus


def cut(*items: tuple[str, float, float], start: float = 0.0, seconds: float = 1.0) -> MonoCut:
    recording = Recording("r", [], 16000, 16000 * 3, 3.0)
    said = SupervisionSegment("s", "r", 0, seconds, alignment={"word": [AlignmentItem(*i) for i in items]})
    return MonoCut("c", start, seconds, 0, supervisions=[said], recording=recording)


def test_by_hand() -> None:
    # at 20 ms the centres of the frames are 0.0125, 0.0325, 0.0525, 0.0725 ...
    found = segments(
        cut(("no", 0.0, 0.05), ("no", 0.05, 0.03), ("x", 0.08, 0.01), ("end", 0.95, 0.2)), "word", Fraction(1, 50)
    )
    assert found[:2] == [("no", 0, 2), ("no", 2, 4)]
    assert [s.symbol for s in found] == ["no", "no", "end"], "x holds no centre"
    assert found[2] == ("end", 47, 49), "frames end with the cut"
    assert segments(cut(("no", 0.5, 0.05), start=0.49), "word", Fraction(1, 50)) == [("no", 0, 3)]
    assert segments(cut(), "phone", Fraction(1, 50)) == []


@pytest.mark.parametrize("hop", ["1/50", "1/100", "1/25"])
def test_they_are_the_labels_of_phone_field(tmp_path, hop: str) -> None:
    corpus = write_corpus(tmp_path, 4, 1)
    cuts = open_cuts(corpus.train)
    field = PhoneField(str(corpus.symbols), hop=hop).bind(cuts)
    for one in cuts:
        labels = field.load(one).tolist()
        mine = [-1] * len(labels)
        for symbol, start, end in segments(one, "phone", Fraction(hop)):
            mine[start:end] = [PHONES.index(symbol)] * (end - start)
        assert mine == labels
