from __future__ import annotations

import pytest

from speechunits.data.demo.speaker import Speaker
from speechunits.errors import UserError


def _pitch(name: str) -> float:
    row = next(row for row in Speaker(name).variant().splitlines() if row.startswith("pitch"))
    return sum(float(value) for value in row.split()[1:]) / 2


def test_a_voice_depends_on_its_name_alone() -> None:
    assert Speaker("f001").variant() == Speaker("f001").variant()
    assert len({Speaker(f"m{i:03d}").variant() for i in range(200)}) == 200


def test_pitch_covers_adults() -> None:
    female = [_pitch(f"f{i:03d}") for i in range(100)]
    male = [_pitch(f"m{i:03d}") for i in range(100)]
    assert min(male) > 70 and max(male) < 165 and max(male) - min(male) > 60
    assert min(female) > 145 and max(female) < 280 and max(female) - min(female) > 80
    assert Speaker("f00").gender == "female" and Speaker("mt003").gender == "male"


@pytest.mark.parametrize("name", ["f1", "fast", "../f00", "F00", "x01", ""])
def test_names_of_espeak_or_of_files_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="not a demo voice"):
        Speaker(name)
