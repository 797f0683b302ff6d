from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from speechunits.inputs.unit_input import UnitInput
from speechunits.seq import pad
from speechunits.stream import Stream

STREAMS = {"units": Stream(Fraction(1, 50), (5,), "abc"), "two": Stream(Fraction(1, 50), (5, 5), "abc")}


def test_each_unit_has_its_vector_and_padding_none() -> None:
    made = UnitInput(3, streams=STREAMS)
    batch = {"units": pad([torch.tensor([4, 0, 4]), torch.tensor([1])], Fraction(1, 50))}
    heard = made(batch)
    weight = made.embedding.weight
    torch.testing.assert_close(heard.data[0], weight[[4, 0, 4]])
    torch.testing.assert_close(heard.data[1], torch.cat([weight[[1]], torch.zeros(2, 3)]))
    assert heard.hop == Fraction(1, 50) and made.lengths(batch).tolist() == [3, 1] and made.labels == {"units": "abc"}


@pytest.mark.parametrize(("field", "says"), [("text", "no field 'text' of units"), ("two", "has 2 codebooks")])
def test_what_it_cannot_read_is_refused(field: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        UnitInput(3, field, streams=STREAMS)
