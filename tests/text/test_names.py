from __future__ import annotations

from pathlib import Path

import pytest

from speechunits import store
from speechunits.errors import UserError
from speechunits.text.names import Names, fit_names


def test_numbers_and_what_is_unknown() -> None:
    names = fit_names(["eve", "ada", "eve", "bob"])
    assert names.names == ("ada", "bob", "eve") and names.numbers(["eve", "ada", "eve"]).tolist() == [2, 0, 2]
    with pytest.raises(UserError, match=r"^there is no speaker 'al', 'zoe'; the known ones are: ada, bob, eve$"):
        names.numbers(["zoe", "ada", "al"], "speaker")
    many = Names([f"s{i}" for i in range(12)])
    with pytest.raises(UserError, match=r"the known ones are: s0, .*, s9 and 2 more$"):
        many.numbers(["x"])


def test_a_folder_gives_it_back(tmp_path: Path) -> None:
    names = fit_names(["eve", "ada"])
    assert store.save(names, tmp_path / "names") == names.fingerprint == Names(["ada", "eve"]).fingerprint
    back = store.restore(tmp_path / "names", expect=Names)
    assert (back.names, back.fingerprint) == (names.names, names.fingerprint)


@pytest.mark.parametrize("names", [[], ["a", "a"], ["a", ""]])
def test_what_is_no_list_of_names(names: list[str]) -> None:
    with pytest.raises(ValueError, match="needs different names"):
        Names(names)
    with pytest.raises(UserError, match="no names to list"):
        fit_names([])
