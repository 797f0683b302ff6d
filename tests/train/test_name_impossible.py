"""NameImpossible: utterances whose text is longer than their frames are named once, in a real training."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from speechunits.train.callbacks.name_impossible import NameImpossible
from tests.train.recognised import recognised
from tests.train.tiny import Each, Tiny, TinyData, batch, rows, train


def named(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if "fewer frames than ctc needs" in r.getMessage()]


def impossible(*windows: int) -> set[str]:
    """By the head's own rule, of the micro-batches of these windows."""
    model, found = recognised(), set()
    for index in (2 * w + i for w in windows for i in (0, 1)):
        each = batch(index)
        found |= {i for i, can in zip(each["ids"], model.possible(each)["ctc"].tolist(), strict=True) if not can}
    return found


def test_each_is_named_once_when_figures_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "speechunits")
    lines: list[int] = []
    look = Each(lambda step: lines.append(len(named(caplog))))
    data = TinyData(windows=4)
    train(tmp_path, 9, data, recognised, callbacks=[look], options={"log_every": 3})  # type: ignore[arg-type]
    want = impossible(*range(4)) | impossible(4, 5, 6, 7)
    assert want and len(want) < 16
    found = [name for line in named(caplog) for name in line.split("its loss: ")[1].split("; look")[0].split(", ")]
    assert set(found) >= want and len(found) == len(set(found))
    assert lines[:2] == [0, 0], "not before the first row of figures"
    assert sum(int(line.split()[0]) for line in named(caplog)) == len(found)
    assert any(row.get("train/ctc/impossible", 0) > 0 for row in rows(tmp_path))


def test_long_lists_are_cut_and_other_models_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "speechunits")
    short = NameImpossible(most=1)
    model, (first, second) = recognised(), (batch(1), batch(5))
    short._heard = [(each["ids"], model.possible(each)) for each in (first, second)]
    want = [
        i for each in (first, second) for i, ok in zip(each["ids"], model.possible(each)["ctc"], strict=True) if not ok
    ]
    short._name()
    short._name()
    assert len(want) > 2
    assert [line.split("its loss: ")[1].split(";")[0] for line in named(caplog)] == [
        f"{want[0]} and {len(want) - 1} more"
    ]
    train(tmp_path, 2, model=Tiny)
    assert len(named(caplog)) == 1
