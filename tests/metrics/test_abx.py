from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from speechunits.errors import UserError
from speechunits.metrics.abx import Abx
from speechunits.metrics.abx_items import abx_items
from speechunits.metrics.abx_score import abx
from speechunits.metrics.measure import merge
from speechunits.seq import Seq, pad

FRAME, GRID = Fraction(1, 50), Fraction(1, 100)
RNG = np.random.default_rng(0)
PHONES = [torch.from_numpy(np.repeat(RNG.integers(0, 4, 20), 6)) for _ in range(6)]
FEATURES = [torch.from_numpy(np.eye(4)[p[::2]] + RNG.normal(size=(60, 4))).float() for p in PHONES]
IDS, SPEAKERS = [f"u{i}" for i in range(6)], ["anna", "ben", "anna", "ben", "cleo", "cleo"]
SEGMENTS = ("triphone", "phone", "phone_any")


def feed(which: list[int], measure: Abx | None = None, extra: int = 0) -> Abx:
    out = measure or Abx("features", SEGMENTS)
    features = pad([FEATURES[i] for i in which], FRAME)
    wide = torch.cat([features.data, torch.full((len(which), extra, 4), 9.0)], 1)
    batch = {
        "phones": pad([PHONES[i] for i in which], GRID),
        "ids": [IDS[i] for i in which],
        "speakers": [SPEAKERS[i] for i in which],
    }
    out.update({"features": Seq(wide, features.lengths, FRAME)}, batch)
    return out


def test_names_and_figures() -> None:
    out = feed(list(range(6))).compute()
    voices = [sorted(set(SPEAKERS)).index(s) for s in SPEAKERS]
    for segment, stem in zip(SEGMENTS, ("abx", "abx_phone", "abx_phone_any"), strict=True):
        items = abx_items([p.numpy() for p in PHONES], [GRID] * 6, [60] * 6, [FRAME] * 6, voices, segment)
        for side in ("within", "across"):
            want = abx(items, FEATURES, side == "across")
            assert out[f"{stem}_{side}"] == pytest.approx(100 * want.error, nan_ok=True)
            assert out[f"{stem}_{side}_kept"] == want.kept
    assert len(out) == 12
    assert 0 < out["abx_phone_any_within"] < 40
    assert 0 < out["abx_phone_any_across"] < 40


def test_shards_padding_and_order_do_not_matter() -> None:
    whole = feed(list(range(6))).compute()
    joined = Abx("features", SEGMENTS)
    joined.load(merge([feed([5, 1, 0], extra=7).state(), feed([2, 4, 1]).state(), feed([3]).state()]))
    assert joined.compute() == pytest.approx(whole, nan_ok=True)


def test_units() -> None:
    measure = Abx(segments=("phone_any",), name="units")
    batch = {"phones": pad(PHONES, GRID), "ids": IDS, "speakers": SPEAKERS}
    measure.update({"units": pad([p[::2] for p in PHONES], FRAME)}, batch)
    out = measure.compute()
    assert out["units_phone_any_within"] == 0
    assert out["units_phone_any_across"] == 0


def test_one_speaker_has_no_across() -> None:
    out = feed([0, 2]).compute()
    assert math.isnan(out["abx_phone_any_across"])
    assert out["abx_phone_any_within"] > 0


def test_errors() -> None:
    with pytest.raises(UserError, match="no ABX test is called"):
        Abx(segments=("diphone",))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="has seen no utterance"):
        Abx().compute()
    broken = pad([FEATURES[0] / 0], FRAME)
    with pytest.raises(ValueError, match="u0: 'units' is not finite"):
        Abx().update({"units": broken}, {"phones": pad(PHONES[:1], GRID), "ids": ["u0"], "speakers": ["anna"]})
    with pytest.raises(UserError, match="needs 'speakers'"):
        Abx().update({"units": broken}, {"phones": pad(PHONES[:1], GRID), "ids": ["u0"]})
