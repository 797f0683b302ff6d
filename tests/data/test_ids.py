from __future__ import annotations

import numpy as np
import pytest

from speechunits.data import ids as module
from speechunits.data.ids import Ids, first_repeated

NAMES = ["b", "ä/é", "a", "line\nbreak", "", "日本"]


def test_by_number_and_by_name():
    ids = Ids.pack(NAMES)
    assert len(ids) == 6 and list(ids) == NAMES and [ids[i] for i in (5, 0, 3)] == ["日本", "b", "line\nbreak"]
    assert [ids.find(name) for name in NAMES] == list(range(6)) and ids.find("c") is None
    assert ids.text.dtype == np.uint8 and (np.diff(ids.hashes) > 0).all()


def test_repeated_ids_are_found_within_one_and_between_two():
    unique, other = Ids.pack(NAMES), Ids.pack(["x", "y"])
    assert first_repeated([unique]) is None and first_repeated([unique, other]) is None
    assert first_repeated([Ids.pack([*NAMES, "a"])]) == "a"
    assert first_repeated([unique, other, Ids.pack(["z", "日本"])]) == "日本"


def test_equal_hashes_are_not_equal_ids(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "hash_id", lambda name: len(name) % 2)
    ids = Ids.pack(NAMES)
    assert [ids.find(name) for name in NAMES] == list(range(6)) and ids.find("c") is None
    assert first_repeated([ids]) is None and first_repeated([ids, Ids.pack(["c"])]) is None
    assert first_repeated([ids, Ids.pack(["c", "b"])]) == "b"
